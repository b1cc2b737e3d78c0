"""R3GAN: layers counted by hand, its loss and schedules against their definitions, and that it learns modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.algorithms.toy import learn, make, modes_found, sample, share_of_own_colour, toy_batch
from torch import Tensor

from dermsynth.algorithms import losses
from dermsynth.algorithms.base import Batch
from dermsynth.algorithms.r3gan import R3gan
from dermsynth.core.errors import InputError

TINY = {"width": 4, "widest": 8, "group": 4, "latent": 8, "batch_size": 8}
PAPER = {"width": 384, "widest": 768, "blocks": 2, "expansion": 2}


def r3gan(size_px: int = 16, classes: int = 1, **settings: Any) -> R3gan:
    made = make("r3gan", size_px, classes, **{**TINY, **settings})
    assert isinstance(made, R3gan)
    return made


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def block(maps: int, inside: int, group: int) -> int:
    """Return the numbers of one residual block: 1 x 1 with bias, grouped 3 x 3 with bias, 1 x 1."""
    return maps * inside + inside + 9 * inside * group + inside + inside * maps


def test_networks_of_the_paper_have_the_parameters_of_their_layers() -> None:
    with torch.device("meta"):
        algorithm = r3gan(64, 1, **PAPER, latent=64, group=16)
    # 768 maps at 4 to 32 px and 384 at 64 px, two blocks each with twice as many maps inside, in groups of 16.
    stages = 2 * (4 * block(768, 1536, 16) + block(384, 768, 16)) + 768 * 384
    assert parameters(algorithm.generator) == 64 * 768 + 768 * 16 + stages + 384 * 3 + 3
    assert parameters(algorithm.discriminator) == 3 * 384 + 384 + stages + 768 * 16 + 768


def test_default_networks_have_the_parameters_of_their_layers() -> None:
    algorithm = make("r3gan", 64, 7)
    maps = [32, 64, 128, 256, 256]
    stages = sum(block(n, n, 16) for n in maps) + 32 * 64 + 64 * 128 + 128 * 256
    # The class is 64 numbers beside the noise in G and as many as features in D.
    assert parameters(algorithm.networks["generator"]) == 7 * 64 + 128 * 256 + 256 * 16 + stages + 32 * 3 + 3
    assert parameters(algorithm.networks["discriminator"]) == 3 * 32 + 32 + stages + 256 * 16 + 256 + 7 * 256


@pytest.mark.parametrize("size_px", [16, 32, 64, 128, 256])
def test_images_have_the_size_of_the_cohort_and_drawn_ones_lie_in_range(size_px: int) -> None:
    algorithm = r3gan(size_px, 3)
    batch = toy_batch(algorithm, 4)
    assert algorithm.fake(batch).shape == (4, 3, size_px, size_px)
    with torch.no_grad():
        algorithm.generator.to_rgb.bias.fill_(3)  # it has no tanh to hold it
    drawn = sample(algorithm, algorithm.generator, 4)
    assert drawn.dtype == torch.float32
    assert drawn.max() == 1


@pytest.mark.parametrize("size_px", [8, 48, 100, 512])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"16, 32, 64, 128 or 256 px, not {size_px}"):
        r3gan(size_px)


def test_maps_that_do_not_fall_into_groups_are_refused() -> None:
    with pytest.raises(InputError, match="24 maps of a block cannot be divided into groups of 16"):
        r3gan(width=24, widest=96, group=16)


def test_groups_wider_than_a_stage_are_that_stage() -> None:
    assert r3gan(width=4, group=16).generator.stages[-1][0].mix.groups == 1


def test_blocks_start_as_the_identity_and_their_branches_shrink_with_depth() -> None:
    # Fix-up: whatever the depth, the network starts as a linear map, and branches by (blocks in all)^(-1/4).
    algorithm = r3gan(16, width=64, widest=64, blocks=2)
    first = algorithm.discriminator.stages[0][0]
    x = torch.randn(2, 64, 4, 4)
    assert torch.equal(first(x), x)
    expected = (2 / 1.04 / 64) ** 0.5 * (3 * 2) ** -0.25
    assert first.enter.weight.std().item() == pytest.approx(expected, rel=0.05)


def test_the_label_changes_the_image_and_the_score() -> None:
    algorithm = r3gan(16, 3)
    made = algorithm.generator(torch.ones(3, algorithm.latent), torch.arange(3))
    assert not torch.allclose(made[0], made[1])
    assert len(algorithm.discriminator(torch.ones(3, 3, 16, 16), torch.arange(3)).unique()) == 3


def test_one_class_has_no_embeddings() -> None:
    algorithm = r3gan(16, 1)
    assert algorithm.generator.embed is None
    assert algorithm.discriminator.embed is None


def awake(algorithm: R3gan) -> R3gan:
    """Give the last layers of all blocks weights, so that scores are no longer linear in the image."""
    for name, parameter in algorithm.discriminator.named_parameters():
        if "leave" in name:
            torch.nn.init.normal_(parameter, 0, 0.3)
    return algorithm


def double(algorithm: R3gan, batch: Batch) -> Batch:
    """Return the batch in float64, and make the networks float64."""
    for network in algorithm.networks.values():
        network.double()
    return Batch(batch.images.double(), batch.labels, batch.noise.double(), batch.draws)


def test_the_discriminators_loss_is_pairing_plus_r1_and_r2_of_separate_passes() -> None:
    algorithm = awake(r3gan(16, 2, gamma=3))
    batch = toy_batch(algorithm, 8)
    loss, scalars = algorithm.discriminator_loss(batch)
    real, fake = batch.images, algorithm.fake(batch).detach()

    def score(images: Tensor) -> Tensor:
        return algorithm.discriminator(images, batch.labels)

    pairs = torch.nn.functional.softplus(score(fake) - score(real)).mean()
    penalty = losses.zero_centred_penalty(score, real) + losses.zero_centred_penalty(score, fake)
    # gamma is that of 64 px: a 16th of the pixels, a 16th of the weight.
    expected = pairs + 3 / 16 / 2 * penalty
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(scalars["penalty"], penalty)
    weights = list(algorithm.discriminator.parameters())
    torch.testing.assert_close(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights))


def test_the_generator_learns_from_the_same_pairs_the_other_way_round() -> None:
    algorithm = awake(r3gan(16, 2))
    batch = toy_batch(algorithm, 8)
    score_real = algorithm.discriminator(batch.images, batch.labels)
    score_fake = algorithm.discriminator(algorithm.fake(batch), batch.labels)
    expected = torch.log(1 + torch.exp(score_real - score_fake)).mean()
    torch.testing.assert_close(algorithm.generator_loss(batch)[0], expected)


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = awake(r3gan(16, 2))
    batch = toy_batch(algorithm, 8)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


def test_two_halves_of_a_batch_have_the_gradient_of_the_whole() -> None:
    algorithm = awake(r3gan(16, 2))
    # In float64, as gradients of gradients round too differently from one processor to the next.
    whole = double(algorithm, toy_batch(algorithm, 8))
    weights = list(algorithm.discriminator.parameters())
    expected = torch.autograd.grad(algorithm.discriminator_loss(whole)[0], weights)
    found = [torch.zeros_like(weight) for weight in weights]
    for rows in (slice(0, 4), slice(4, 8)):
        half = Batch(whole.images[rows], whole.labels[rows], whole.noise[rows], whole.draws)
        for total, part in zip(found, torch.autograd.grad(algorithm.discriminator_loss(half)[0], weights), strict=True):
            total += part / 2
    torch.testing.assert_close(found, list(expected))


def test_a_lazy_penalty_comes_every_so_many_steps_and_weighs_as_much_in_sum() -> None:
    lazy, always = (awake(r3gan(16, penalty_every=every)) for every in (4, 1))
    always.discriminator.load_state_dict(lazy.discriminator.state_dict())
    always.generator.load_state_dict(lazy.generator.state_dict())
    assert ["penalty" in lazy.discriminator_loss(toy_batch(lazy, 4, step))[1] for step in range(5)] == [
        *[True, False, False, False, True]
    ]
    parts = [
        [loss, found["loss_discriminator"]]
        for loss, found in (a.discriminator_loss(toy_batch(a, 4)) for a in (lazy, always))
    ]
    torch.testing.assert_close(parts[0][0] - parts[0][1], 4 * (parts[1][0] - parts[1][1]))


def test_learning_rate_and_gamma_fall_along_a_cosine_and_stay() -> None:
    algorithm = r3gan(64, learning_rate=2e-4, final_learning_rate=5e-5, gamma=2, final_gamma=0.2, burn_in=0.5)
    for value, first, last in ((algorithm.rate, 1, 0.25), (algorithm.gamma, 2, 0.2)):
        assert [value(0), value(0.25), value(0.5), value(1)] == pytest.approx([first, (first + last) / 2, last, last])


def test_gamma_grows_with_the_number_of_pixels() -> None:
    assert r3gan(128).gamma(0) == 4 * r3gan(64).gamma(0)


def test_ada_observes_how_often_the_real_image_of_a_pair_wins() -> None:
    algorithm = awake(r3gan(16, augment="ada"))
    with torch.no_grad():  # all scores move by the same amount: nothing changes for a relativistic loss
        algorithm.discriminator.basis.weight.zero_()
    logged = algorithm.discriminator_loss(toy_batch(algorithm, 8))[1]
    assert logged["ada_sign"] == 0


@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_augmented_images_reach_both_losses(augment: str) -> None:
    algorithm = awake(r3gan(16, augment=augment))
    if augment == "ada":
        algorithm.augmentation.p.fill_(0.8)
    plain = awake(r3gan(16))
    for phase, other in zip(algorithm.phases(), plain.phases(), strict=True):
        loss = phase.loss(toy_batch(algorithm, 8))[0]
        loss.backward(inputs=list(phase.net.parameters()))
        assert all(torch.isfinite(p.grad).all() for p in phase.net.parameters() if p.grad is not None)
        assert not torch.isclose(loss, other.loss(toy_batch(plain, 8))[0])


def test_the_discriminators_loss_falls_when_it_steps() -> None:
    algorithm = r3gan(16, 2, width=8, widest=16)
    batch = toy_batch(algorithm, 16)
    optimiser = torch.optim.Adam(algorithm.discriminator.parameters(), 1e-3)
    first = algorithm.discriminator_loss(batch)[0]
    for _ in range(5):
        loss = algorithm.discriminator_loss(batch)[0]
        loss.backward(inputs=list(algorithm.discriminator.parameters()))
        optimiser.step()
        optimiser.zero_grad()
    assert algorithm.discriminator_loss(batch)[0] < first


FAST = {"width": 8, "widest": 8, "learning_rate": 5e-3, "final_learning_rate": 2e-3, "penalty_every": 4}


def test_it_learns_both_modes_of_a_toy_distribution() -> None:
    algorithm = r3gan(16, **FAST, latent=4, expansion=2, gamma=32, final_gamma=3.2)
    learned = learn(algorithm, 200, 16, decay=0.9)
    assert modes_found(sample(algorithm, learned.generator, 200)).both


def test_samples_follow_their_label() -> None:
    algorithm = r3gan(16, 3, **FAST, latent=8, gamma=32, final_gamma=3.2)
    learned = learn(algorithm, 120, 12, decay=0.9)
    labels = torch.arange(60) % 3
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 3) > 0.9
