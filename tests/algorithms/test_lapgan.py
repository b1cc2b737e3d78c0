"""LAPGAN: an exact pyramid, levels that learn alone and sample together, the layers counted by hand, the condition."""

from __future__ import annotations

import itertools

import pytest
import torch
from tests.algorithms.toy import learn, make, modes_found, parameters, sample, share_of_own_colour, toy_batch
from torch import Tensor, nn

from dermsynth.algorithms.base import Adam, Batch, Sgd
from dermsynth.algorithms.lapgan import Lapgan, LapganConfig, doubled, halved
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError

SMALL = {"width": 2, "coarse_width": 10, "latent": 5}


def small(size_px: int = 16, classes: int = 1) -> Lapgan:
    algorithm = make("lapgan", size_px, classes, **SMALL)
    assert isinstance(algorithm, Lapgan)
    return algorithm


class Answer(nn.Module):
    """A level's network that always returns the same tensor."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Tensor) -> Tensor:
        return self.answer


def test_an_image_is_the_sum_of_its_pyramid() -> None:
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    gaussian = [images]
    while gaussian[-1].shape[-1] > 8:
        gaussian.append(halved(gaussian[-1]))
    residuals = [fine - doubled(coarse) for fine, coarse in itertools.pairwise(gaussian)]
    rebuilt = gaussian[-1]
    for residual in reversed(residuals):
        rebuilt = doubled(rebuilt) + residual
    torch.testing.assert_close(rebuilt, images, atol=1e-6, rtol=0)


def test_halving_blurs_with_the_kernel_1_3_3_1() -> None:
    # A row of ones through the middle: one axis shows the kernel, the other that constants stay.
    image = torch.zeros(1, 1, 16, 16)
    image[..., 7] = 1
    torch.testing.assert_close(halved(image)[0, 0, 3], torch.tensor([0, 0, 0, 3, 1, 0, 0, 0]) / 8)


def test_doubling_smooths_with_the_kernel_1_3_3_1() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 3] = 1
    expected = torch.tensor([0, 0, 0, 0, 0, 1, 3, 3, 1, 0, 0, 0, 0, 0, 0, 0]) / 4
    torch.testing.assert_close(doubled(image)[0, 0, 5], expected)


def test_coarsest_level_has_the_parameters_of_the_papers_layers() -> None:
    # G: 100 -> 1,200 -> 1,200 -> 8 x 8 x 3; D: 8 x 8 x 3 -> 600 -> 600 -> 1.
    algorithm = Lapgan(LapganConfig(), 16, ["mel"])
    generator = 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 192 + 192
    assert parameters(algorithm.generator.levels[0]) == generator
    assert parameters(algorithm.discriminator[0]) == 192 * 600 + 600 + 600 * 600 + 600 + 600 + 1


def test_finer_levels_have_the_parameters_of_the_codes_layers() -> None:
    # At 32 px D's convolutions without padding leave 28, then 12 pixels.
    algorithm = Lapgan(LapganConfig(), 32, ["mel"])
    generator = 49 * 4 * 128 + 128 + 49 * 128 * 128 + 128 + 25 * 128 * 3 + 3
    assert [parameters(algorithm.generator.levels[level]) for level in (1, 2)] == [generator, generator]
    assert parameters(algorithm.discriminator[2]) == 25 * (3 * 128 + 128 * 128) + 2 * 128 + 128 * 12 * 12 + 1


def test_classes_add_a_one_hot_vector_at_8_px_and_a_plane_above() -> None:
    one, three = small(16), small(16, 3)
    plane = 3 * 256 + 256
    added = [
        (3 * 10, three.generator.levels[0], one.generator.levels[0]),
        (plane + 49 * 2, three.generator.levels[1], one.generator.levels[1]),
        (3 * 5, three.discriminator[0], one.discriminator[0]),
        (plane + 25 * 2, three.discriminator[1], one.discriminator[1]),
    ]
    assert [parameters(with_classes) - parameters(without) for _, with_classes, without in added] == [
        expected for expected, _, _ in added
    ]


def test_noise_is_a_vector_at_8_px_and_a_plane_at_every_finer_level() -> None:
    assert small(64).latent == 5 + 16**2 + 32**2 + 64**2


def test_noise_is_uniform_between_minus_one_and_one() -> None:
    uniform = torch.cat([*small().generator.split(torch.randn(400, 5 + 256))], dim=1)
    shares = torch.histc(uniform, bins=10, min=-1, max=1) / uniform.numel()
    torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.005, rtol=0)


@pytest.mark.parametrize("size_px", [16, 32, 64, 128, 256])
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = small(size_px, 3)
    images = sample(algorithm, algorithm.networks["generator"], 2)
    assert images.shape == (2, 3, size_px, size_px)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("size_px", [4, 8, 24, 100])
def test_a_size_the_pyramid_cannot_reach_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"16, 32, 64, 128, … px, not {size_px}"):
        small(size_px)


def test_an_odd_coarse_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="'coarse_width' is 15"):
        parse(LapganConfig, {"coarse_width": 15}, "settings")


def test_the_discriminator_takes_the_real_residual_for_real() -> None:
    # A generator that makes the real residual of the real low-pass must hand the discriminator the real image.
    algorithm = small(32)
    batch = toy_batch(algorithm, 4)
    for level in (1, 2):
        real = algorithm.real(batch, level)
        algorithm.generator.levels[level] = Answer(real - doubled(halved(real)))
        torch.testing.assert_close(algorithm.fake(batch, level), real, atol=1e-6, rtol=0)


def test_a_level_learns_on_real_low_passes_whatever_the_coarser_ones_make() -> None:
    algorithm = small(16)
    first = algorithm.fake(toy_batch(algorithm, 4), 1)
    algorithm.generator.levels[0] = Answer(torch.full((4, 3, 8, 8), 9.0))
    assert torch.equal(algorithm.fake(toy_batch(algorithm, 4), 1), first)


def test_samples_are_built_from_the_coarsest_level_upwards() -> None:
    algorithm = small(32)
    coarse = torch.rand(2, 3, 8, 8) - 0.5
    residuals = [torch.rand(2, 3, size_px, size_px) / 4 for size_px in (16, 32)]
    for level, answer in enumerate([coarse, *residuals]):
        algorithm.generator.levels[level] = Answer(answer)
    made = sample(algorithm, algorithm.generator, 2)
    torch.testing.assert_close(made, doubled(doubled(coarse) + residuals[0]) + residuals[1])


def test_every_level_has_a_discriminator_and_a_generator_phase() -> None:
    algorithm = small(32)
    assert [phase.name for phase in algorithm.phases()] == [
        *("discriminator_8px", "generator_8px"),
        *("discriminator_16px", "generator_16px"),
        *("discriminator_32px", "generator_32px"),
    ]
    assert len({id(phase.net) for phase in algorithm.phases()}) == 6


def test_together_the_phases_move_every_parameter_once() -> None:
    algorithm = small(32, 3)
    moved = [id(p) for phase in algorithm.phases() for p in phase.net.parameters()]
    assert len(moved) == len(set(moved))
    assert set(moved) == {id(p) for network in algorithm.networks.values() for p in network.parameters()}


def test_each_phase_moves_its_own_level_only() -> None:
    algorithm = small(16, 3)
    batch = toy_batch(algorithm, 4)
    for phase in algorithm.phases():
        own = {id(p) for p in phase.net.parameters()}
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        moved = {id(p) for net in algorithm.networks.values() for p in net.parameters() if p.grad is not None}
        assert moved == own
        phase.net.zero_grad()


def test_the_finest_level_has_the_names_that_monitors_look_for() -> None:
    algorithm = small(16)
    batch = toy_batch(algorithm, 4)
    logged = [set(phase.loss(batch)[1]) for phase in algorithm.phases()]
    assert logged == [
        {"loss_discriminator_8px", "score_real_8px", "score_fake_8px"},
        {"loss_generator_8px"},
        {"loss_discriminator", "score_real", "score_fake"},
        {"loss_generator"},
    ]


def test_sgd_has_a_learning_rate_of_its_own() -> None:
    found = {name: make("lapgan", **SMALL, optimiser=name).phases()[0].optimiser for name in ("adam", "sgd")}
    assert found == {"adam": Adam(learning_rate=2e-4, beta1=0.5), "sgd": Sgd(learning_rate=0.02, momentum=0.5)}


def test_a_chosen_learning_rate_reaches_every_level() -> None:
    phases = make("lapgan", **SMALL, optimiser="adam", learning_rate=0.3, beta1=0.7).phases()
    assert {phase.optimiser for phase in phases} == {Adam(learning_rate=0.3, beta1=0.7)}


@pytest.mark.parametrize("number", range(4))
def test_a_phases_loss_falls_when_it_steps(number: int) -> None:
    algorithm = make("lapgan", 16, 3, width=4, coarse_width=50, dropout=0)
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
    algorithm = small(16, 3)
    noise, labels = torch.randn(4, algorithm.latent), torch.tensor([0, 1, 2, 0])
    together = algorithm.draw(algorithm.generator.eval(), noise, labels)
    torch.testing.assert_close(algorithm.draw(algorithm.generator, noise[2:3], labels[2:3]), together[2:3])


def test_every_levels_noise_changes_the_image() -> None:
    algorithm = small(16)
    generator, label = algorithm.generator.eval(), torch.zeros(1, dtype=torch.int64)
    noise = torch.randn(1, algorithm.latent)
    for place in (0, 5, 5 + 255):  # the vector's first value, the plane's first and last
        other = noise.clone()
        other[0, place] += 1
        assert not torch.equal(generator(other, label), generator(noise, label))


def test_the_label_changes_every_levels_image_and_score() -> None:
    algorithm = small(16, 3)
    batch = toy_batch(algorithm, 3)
    same = Batch(batch.images[:1].expand(3, -1, -1, -1), batch.labels, batch.noise[:1].expand(3, -1), batch.draws)
    for level in (0, 1):
        fake = algorithm.fake(same, level)
        assert not torch.allclose(fake[0], fake[1])
        scores = algorithm.discriminator[level].eval()(algorithm.real(same, level), torch.arange(3))
        assert len(scores.unique()) == 3


def test_it_learns_both_modes_of_a_distribution() -> None:
    algorithm = make("lapgan", 16, width=2, coarse_width=100, latent=2, optimiser="sgd", learning_rate=0.05, seed=1)
    learned = learn(algorithm, 170, 32, seed=1, decay=0.9)
    assert modes_found(sample(algorithm, learned.generator, 200)).both


def test_samples_follow_their_label() -> None:
    algorithm = make("lapgan", 16, 3, width=2, coarse_width=100, latent=4, optimiser="sgd", learning_rate=0.05)
    learned = learn(algorithm, 150, 33, decay=0.9)
    labels = torch.arange(99) % 3
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 3) > 0.95
