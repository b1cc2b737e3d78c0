"""DCGAN: the layers of paper 003, counted by hand, its ablation switches, and the condition."""

from __future__ import annotations

import pytest
import torch
from tests.algorithms.toy import learn, make, modes_found, parameters, sample, share_of_own_colour, toy_batch

from dermsynth.algorithms import algorithm_class
from dermsynth.algorithms.base import Adam, Sgd
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError


def test_generator_of_the_paper_has_the_parameters_of_its_layers() -> None:
    # 128 -> 4x4x512, then 512 -> 256 -> 128 -> 64 -> 3 with 5x5 kernels; two numbers per batch-normed map; output bias.
    expected = 128 * 512 * 16
    expected += 25 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 3
    expected += 2 * (512 + 256 + 128 + 64)
    assert parameters(Dcgan(DcganConfig(), 64, ["mel"]).generator) == expected == 5_356_099


def test_discriminator_of_the_paper_has_the_parameters_of_its_layers() -> None:
    expected = 25 * 3 * 64 + 64
    expected += 25 * (64 * 128 + 128 * 256 + 256 * 512) + 2 * (128 + 256 + 512)
    expected += 512 * 16 + 1
    assert parameters(Dcgan(DcganConfig(), 64, ["mel"]).discriminator) == expected == 4_315_649


def test_classes_add_a_one_hot_vector_to_the_noise_and_a_logit_each() -> None:
    one, three = Dcgan(DcganConfig(width=8), 32, ["mel"]), Dcgan(DcganConfig(width=8), 32, ["bkl", "mel", "nv"])
    assert parameters(three.generator) - parameters(one.generator) == 3 * 32 * 16
    assert parameters(three.discriminator) - parameters(one.discriminator) == 2 * (32 * 16 + 1)


def test_generators_maps_double_in_size_and_halve_in_number_as_the_paper_prints() -> None:
    generator = Dcgan(DcganConfig(), 64, ["mel"]).generator.eval()
    seen = []
    for layer in generator.layers:
        layer.register_forward_hook(lambda _layer, _before, after: seen.append(tuple(after.shape[1:])))
    generator(torch.zeros(1, 128), torch.zeros(1, dtype=torch.int64))
    sizes = [shape for number, shape in enumerate(seen) if not number or shape != seen[number - 1]]
    assert sizes == [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]


def test_weights_start_as_the_dcgan_paper_draws_them() -> None:
    generator = Dcgan(DcganConfig(), 64, ["mel"]).generator
    assert generator.project.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert generator.project.weight.mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("size_px", [16, 32, 64, 128])
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = make("dcgan", size_px, 3, width=2)
    images = sample(algorithm, algorithm.networks["generator"], 4)
    assert images.shape == (4, 3, size_px, size_px)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("size_px", [8, 48, 60, 100])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"16, 32, 64, 128, … px, not {size_px}"):
        make("dcgan", size_px, 3, width=2)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match="'kernel_px' is 4: choose an odd number"):
        parse(DcganConfig, {"kernel_px": 4}, "settings")


def test_both_phases_learn_as_the_paper_says() -> None:
    phases = make("dcgan", width=2).phases()
    assert [(phase.name, phase.every) for phase in phases] == [("discriminator", 1), ("generator", 1)]
    assert {phase.optimiser for phase in phases} == {Adam(learning_rate=2e-4, beta1=0.5, beta2=0.999)}
    assert {phase.schedule(progress) for phase in phases for progress in (0.0, 0.5, 1.0)} == {1.0}


def test_learning_rate_and_beta1_of_the_ablation_reach_the_phases() -> None:
    # Table 3 varies the learning rate; the methods section prints beta1 0.2 where the abstract has 0.5.
    phases = make("dcgan", width=2, learning_rate=1e-3, beta1=0.2).phases()
    assert {phase.optimiser for phase in phases} == {Adam(learning_rate=1e-3, beta1=0.2)}


def test_sgd_of_the_ablation_reaches_the_phases() -> None:
    phases = make("dcgan", width=2, optimiser="sgd", learning_rate=0.01).phases()
    assert {phase.optimiser for phase in phases} == {Sgd(learning_rate=0.01, momentum=0.5)}


def test_batch_size_of_the_ablation_is_a_setting() -> None:
    assert parse(DcganConfig, {"batch_size": 128}, "settings").batch_size == 128
    with pytest.raises(ConfigError, match="batch_size"):
        parse(DcganConfig, {"batch_size": 1}, "settings")


def test_another_optimiser_is_refused() -> None:
    with pytest.raises(ConfigError, match="'optimiser' is 'rmsprop'"):
        parse(DcganConfig, {"optimiser": "rmsprop"}, "settings")


def test_the_label_changes_the_image_and_the_score() -> None:
    algorithm = make("dcgan", classes=3, width=2)
    noise, images = torch.ones(3, algorithm.latent), torch.ones(3, 3, 16, 16)
    made = algorithm.networks["generator"].eval()(noise, torch.arange(3))
    assert not torch.allclose(made[0], made[1])
    scores = algorithm.networks["discriminator"](images, torch.arange(3))
    assert len(scores.unique()) == 3


def test_an_image_does_not_depend_on_those_drawn_beside_it() -> None:
    algorithm = make("dcgan", classes=3, width=2)
    generator = algorithm.networks["generator"]
    noise, labels = torch.randn(4, algorithm.latent), torch.tensor([0, 1, 2, 0])
    together = algorithm.draw(generator.eval(), noise, labels)
    torch.testing.assert_close(algorithm.draw(generator, noise[2:3], labels[2:3]), together[2:3])


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = make("dcgan", classes=3, width=2)
    batch = toy_batch(algorithm, 4)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


@pytest.mark.parametrize("number", [0, 1])
def test_a_phases_loss_falls_when_it_steps(number: int) -> None:
    algorithm = make("dcgan", classes=3, width=4)
    phase = algorithm.phases()[number]
    weights = list(phase.net.parameters())
    optimiser = torch.optim.Adam(weights, 1e-3)
    losses = []
    for _ in range(6):
        loss = phase.loss(toy_batch(algorithm, 16))[0]
        loss.backward(inputs=weights)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_untrained_networks_lose_what_guessing_loses() -> None:
    # With logits near 0 every image is real with probability 1/2: 2 log 2 for D, log 2 for G.
    algorithm = make("dcgan", width=4)
    batch = toy_batch(algorithm, 16)
    found = [phase.loss(batch)[0].item() for phase in algorithm.phases()]
    assert found == pytest.approx([2 * 0.6931, 0.6931], rel=0.1)


def test_both_phases_share_one_forward_pass_of_the_generator() -> None:
    algorithm = make("dcgan", classes=3, width=2)
    assert isinstance(algorithm, Dcgan)
    batch = toy_batch(algorithm, 4)
    assert algorithm.fake(batch) is algorithm.fake(batch)


def test_it_learns_both_modes_of_a_distribution() -> None:
    # With SGD: at this size Adam's discriminator wins, and its generator then makes one mode only.
    algorithm = make("dcgan", width=4, latent=4, optimiser="sgd", learning_rate=0.05, seed=1)
    learned = learn(algorithm, 140, 32, seed=1, decay=0.9)
    assert modes_found(sample(algorithm, learned.generator, 200)).both


def test_samples_follow_their_label() -> None:
    algorithm = make("dcgan", classes=3, width=4, latent=4, learning_rate=2e-3)
    learned = learn(algorithm, 80, 33, decay=0.9)
    labels = torch.arange(99) % 3
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 3) > 0.95


def test_a_misspelt_algorithm_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown algorithm 'dcgna'; did you mean 'dcgan'"):
        algorithm_class("dcgna")
