"""The first GAN: its layers counted by hand, maxout and dropout against their definitions, and the condition."""

from __future__ import annotations

import pytest
import torch
from tests.algorithms.toy import learn, make, modes_found, parameters, sample, share_of_own_colour, toy_batch

from dermsynth.algorithms.base import Adam, Sgd
from dermsynth.algorithms.gan import Discriminator, Gan, GanConfig, Maxout
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError


def test_generator_has_the_parameters_of_the_codes_layers() -> None:
    # 100 -> 1,200 -> 1,200 -> 64 x 64 x 3, each with its biases.
    expected = 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 12_288 + 12_288
    assert parameters(Gan(GanConfig(), 64, ["mel"]).generator) == expected


def test_discriminator_has_the_parameters_of_the_codes_layers() -> None:
    # 64 x 64 x 3 -> 240 maxout units of 5 pieces -> 240 of them -> 1.
    expected = 12_288 * 1200 + 1200 + 240 * 1200 + 1200 + 240 + 1
    assert parameters(Gan(GanConfig(), 64, ["mel"]).discriminator) == expected


def test_classes_add_a_one_hot_vector_to_the_input_of_both_networks() -> None:
    one, three = Gan(GanConfig(width=50), 16, ["mel"]), Gan(GanConfig(width=50), 16, ["bkl", "mel", "nv"])
    assert parameters(three.generator) - parameters(one.generator) == 3 * 50
    assert parameters(three.discriminator) - parameters(one.discriminator) == 3 * 50


@pytest.mark.parametrize("size_px", [8, 13, 64])
def test_images_have_any_size_and_lie_in_range(size_px: int) -> None:
    algorithm = make("gan", size_px, 3, width=10)
    images = sample(algorithm, algorithm.networks["generator"], 4)
    assert images.shape == (4, 3, size_px, size_px)
    assert images.abs().max() <= 1


def test_images_below_8_px_are_refused() -> None:
    with pytest.raises(InputError, match="8 px and more, not 7"):
        make("gan", 7, width=10)


def test_a_width_that_five_pieces_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="'width' is 12"):
        parse(GanConfig, {"width": 12}, "settings")


def test_a_maxout_unit_is_the_largest_of_its_five_linear_functions() -> None:
    maxout, x = Maxout(3, 2), torch.randn(4, 3)
    pieces = x @ maxout.linear.weight.T + maxout.linear.bias
    expected = torch.stack([pieces[:, :5].max(dim=1).values, pieces[:, 5:].max(dim=1).values], dim=1)
    torch.testing.assert_close(maxout(x), expected)


def test_the_discriminator_drops_units_only_while_it_learns() -> None:
    discriminator, images = Discriminator(GanConfig(width=50), 8, 0), torch.ones(2, 3, 8, 8)
    labels = torch.zeros(2, dtype=torch.int64)
    learning = discriminator(images, labels)
    assert learning[0] != learning[1]
    judging = discriminator.eval()(images, labels)
    torch.testing.assert_close(judging[0], judging[1])


def test_dropout_never_hides_the_class() -> None:
    # Black pixels stay what they are when they are dropped, so only a dropped class could change the score.
    config = GanConfig(width=50, dropout_input=0.9, dropout_hidden=0)
    discriminator, images = Discriminator(config, 8, 3), torch.zeros(3, 3, 8, 8)
    learning = discriminator(images, torch.arange(3))
    torch.testing.assert_close(learning, discriminator.eval()(images, torch.arange(3)))


def test_the_class_weighs_as_much_as_all_pixels_together() -> None:
    discriminator = Discriminator(GanConfig(), 16, 4)
    weight = discriminator.layers[0].linear.weight
    assert weight[:, -4:].std().item() == pytest.approx(1, abs=0.05)
    assert weight[:, :-4].square().sum(dim=1).mean().item() == pytest.approx(2, rel=0.05)


def test_adams_step_does_not_depend_on_the_image_size_and_sgds_shrinks_with_the_pixels() -> None:
    def rates(optimiser: str) -> list[Adam | Sgd]:
        return [make("gan", size_px, width=10, optimiser=optimiser).phases()[0].optimiser for size_px in (16, 32)]

    assert rates("adam") == [Adam(learning_rate=2e-4, beta1=0.5)] * 2
    assert rates("sgd") == [Sgd(learning_rate=15 / 768, momentum=0.5), Sgd(learning_rate=15 / 3072, momentum=0.5)]


def test_a_chosen_learning_rate_and_momentum_reach_both_phases() -> None:
    phases = make("gan", width=10, optimiser="sgd", learning_rate=0.3, beta1=0.7).phases()
    assert [(phase.name, phase.optimiser) for phase in phases] == [
        ("discriminator", Sgd(learning_rate=0.3, momentum=0.7)),
        ("generator", Sgd(learning_rate=0.3, momentum=0.7)),
    ]


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = make("gan", classes=3, width=10)
    batch = toy_batch(algorithm, 4)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


@pytest.mark.parametrize("number", [0, 1])
def test_a_phases_loss_falls_when_it_steps(number: int) -> None:
    algorithm = make("gan", classes=3, width=50, dropout_input=0, dropout_hidden=0)
    phase = algorithm.phases()[number]
    weights = list(phase.net.parameters())
    optimiser = torch.optim.SGD(weights, 0.01)
    losses = []
    for _ in range(6):
        loss = phase.loss(toy_batch(algorithm, 16))[0]
        loss.backward(inputs=weights)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_an_image_does_not_depend_on_those_drawn_beside_it() -> None:
    algorithm = make("gan", classes=3, width=10)
    generator = algorithm.networks["generator"]
    noise, labels = torch.randn(4, algorithm.latent), torch.tensor([0, 1, 2, 0])
    together = algorithm.draw(generator.eval(), noise, labels)
    torch.testing.assert_close(algorithm.draw(generator, noise[2:3], labels[2:3]), together[2:3])


def test_it_learns_both_modes_of_a_distribution() -> None:
    algorithm = make("gan", 8, width=100, latent=2, optimiser="sgd", learning_rate=0.02)
    learned = learn(algorithm, 400, 32, decay=0.9)
    assert modes_found(sample(algorithm, learned.generator, 200)).both


def test_samples_follow_their_label() -> None:
    algorithm = make("gan", 8, 3, width=100, latent=8, optimiser="sgd", learning_rate=0.02)
    learned = learn(algorithm, 280, 33, decay=0.9)
    labels = torch.arange(99) % 3
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 3) > 0.95
