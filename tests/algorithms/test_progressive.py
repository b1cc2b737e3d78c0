"""Progressive GAN: the paper's layers, growing without a jump, and the loss."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from tests.algorithms import toy
from torch.nn import functional as F

from dermsynth.algorithms.progressive import Discriminator, Generator, Progressive, ProgressiveConfig
from dermsynth.core.errors import InputError

TINY = {"width": 2, "most_maps": 8, "latent": 4}


def tiny(size_px: int = 16, classes: int = 1, **settings: object) -> Progressive:
    algorithm = toy.make("progressive", size_px, classes, **{**TINY, **settings})
    assert isinstance(algorithm, Progressive)
    return algorithm


def at(algorithm: Progressive, stage: int, blend: float) -> None:
    for network in (algorithm.generator, algorithm.discriminator):
        network.stage, network.blend = stage, blend


def blocks_of(images: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(F.avg_pool2d(images, factor), scale_factor=float(factor), mode="nearest")


def test_networks_for_1024_px_have_the_papers_layers() -> None:
    # Table 2: 512 maps up to 32 px, then half as many at every size; two 3 x 3 convolutions at each, and 1 x 1 to RGB.
    maps = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    generator = Generator(ProgressiveConfig(), 1024, 0)
    discriminator = Discriminator(ProgressiveConfig(), 1024, 0)
    pairs = list(itertools.pairwise(maps))
    rgb = sum(3 * count + 3 for count in maps)
    # Our 4 x 4 layer has a bias per value, the paper's one per map.
    expected = 512 * 512 * 16 + 512 * 16 + 9 * 512 * 512 + 512 + rgb
    expected += sum(9 * (before * after + after * after) + 2 * after for before, after in pairs)
    assert toy.parameters(generator) == expected
    # Its smallest convolution also sees the map of the minibatch deviation; a 4 x 4 convolution; the score.
    expected = 9 * 513 * 512 + 512 + 16 * 512 * 512 + 512 + 513 + sum(3 * count + count for count in maps)
    expected += sum(9 * (inner * inner + inner * outer) + inner + outer for outer, inner in pairs)
    assert toy.parameters(discriminator) == expected
    # "Total trainable parameters 23.1M", for both.
    assert round(toy.parameters(generator) / 1e6, 1) == round(toy.parameters(discriminator) / 1e6, 1) == 23.1


@pytest.mark.parametrize("size_px", [8, 16, 32])
def test_images_have_the_full_size_at_every_stage(size_px: int) -> None:
    algorithm = tiny(size_px)
    for stage in range(algorithm.generator.last + 1):
        at(algorithm, stage, 1.0)
        images = algorithm.fake(toy.toy_batch(algorithm, 2))
        assert images.shape == (2, 3, size_px, size_px)
        # They have no more detail than the stage.
        torch.testing.assert_close(images, blocks_of(images, size_px // (4 * 2**stage)))


@pytest.mark.parametrize("size_px", [4, 12, 60, 100])
def test_a_size_that_is_never_reached_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"8, 16, 32, 64, 128, … px, not {size_px}; ingest"):
        tiny(size_px)


@pytest.mark.parametrize("first_px", [6, 32])
def test_a_first_size_that_is_not_on_the_way_is_refused(first_px: int) -> None:
    with pytest.raises(InputError, match=rf"from first_px {first_px} to images of 16 px; set first_px to"):
        tiny(16, first_px=first_px)


def test_a_small_budget_grows_over_its_first_half() -> None:
    algorithm = tiny(16)
    grown = [algorithm.growth(seen, 800) for seen in (0, 99, 100, 150, 200, 250, 350, 399, 400, 799)]
    # 100 images each: 4 px, 8 px fading in, 8 px, 16 px fading in; then 16 px.
    assert [stage for stage, _ in grown] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert [blend for _, blend in grown] == pytest.approx([1, 1, 0, 0.5, 1, 1, 0.5, 0.99, 1, 1])


def test_a_large_budget_has_the_papers_phases_of_800_000_images() -> None:
    algorithm = tiny(16)
    assert algorithm.growth(800_000, 25_000_000) == (1, 0)
    assert algorithm.growth(1_200_000, 25_000_000) == (1, 0.5)
    assert algorithm.growth(3_200_000, 25_000_000) == (2, 1)


def test_training_can_start_at_a_larger_size() -> None:
    algorithm = tiny(16, first_px=8)
    assert [algorithm.growth(seen, 800)[0] for seen in (0, 199, 200, 400)] == [1, 1, 2, 2]
    assert tiny(16, first_px=16).growth(0, 800) == (2, 1.0)


def test_growing_reaches_copies_of_the_generator() -> None:
    algorithm = tiny(16)
    average = copy.deepcopy(algorithm.generator)
    algorithm.advance([average], 150, 800)
    assert (average.stage, average.blend) == (1, 0.5)
    # The network that is trained is told on its own.
    assert (algorithm.generator.stage, algorithm.generator.blend) == (2, 1.0)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_that_is_not_faded_in_changes_no_image_and_no_score(stage: int) -> None:
    algorithm = tiny(16, classes=3)
    batch = toy.toy_batch(algorithm, 6)
    images = torch.rand(6, 3, 16, 16) * 2 - 1
    at(algorithm, stage - 1, 1.0)
    before, score, real = algorithm.fake(batch), algorithm.discriminator(images, batch.labels), algorithm.real(images)
    at(algorithm, stage, 0.0)
    after = algorithm.generator(batch.noise, batch.labels)
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(algorithm.discriminator(images, batch.labels), score)
    torch.testing.assert_close(algorithm.real(images), real)


def test_a_stage_that_is_faded_in_no_longer_needs_the_one_below() -> None:
    algorithm = tiny(16)
    batch = toy.toy_batch(algorithm, 4)
    at(algorithm, 2, 1 - 1e-6)
    nearly, score = algorithm.fake(batch), algorithm.discriminator(batch.images, batch.labels)
    at(algorithm, 2, 1.0)
    torch.testing.assert_close(algorithm.generator(batch.noise, batch.labels), nearly, atol=1e-4, rtol=0)
    torch.testing.assert_close(algorithm.discriminator(batch.images, batch.labels), score, atol=1e-4, rtol=0)


def test_real_images_have_the_detail_of_the_stage() -> None:
    algorithm = tiny(16)
    images = torch.rand(2, 3, 16, 16)
    at(algorithm, 1, 0.25)
    expected = 0.75 * blocks_of(images, 4) + 0.25 * blocks_of(images, 2)
    torch.testing.assert_close(algorithm.real(images), expected)
    at(algorithm, 2, 1.0)
    assert torch.equal(algorithm.real(images), images)


def test_layers_of_later_stages_stay_as_they_are() -> None:
    algorithm = tiny(16)
    at(algorithm, 1, 0.5)
    batch = toy.toy_batch(algorithm, 4)
    algorithm.generator_loss(batch)[0].backward()
    assert all(p.grad is None for p in algorithm.generator.blocks[1].parameters())
    assert all(p.grad is not None for p in algorithm.generator.blocks[0].parameters())


def test_weights_are_scaled_where_they_are_used() -> None:
    # Stored with deviation 1, so that Adam's steps are the same share of every layer; used with He's.
    network = Generator(ProgressiveConfig(width=32, most_maps=64, latent=64), 16, 0)
    for layer in (network.project, network.first.convolution, network.blocks[1][1].convolution):
        assert layer.weight.std().item() == pytest.approx(1, abs=0.03)
        fan_in = layer.weight[0].numel()
        assert layer.scale == pytest.approx((2 / fan_in) ** 0.5)
    x = torch.randn(64, 64, 8, 8)
    assert network.first.convolution(x)[:, :, 1:-1, 1:-1].square().mean().item() == pytest.approx(2, rel=0.1)


def test_features_of_the_generator_are_normed_in_every_pixel() -> None:
    network = Generator(ProgressiveConfig(width=4, most_maps=16, latent=8), 16, 0)
    seen = []
    network.blocks[1].register_forward_hook(lambda module, given, made: seen.append(made))
    network(torch.randn(2, 8), torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(seen[0].square().mean(dim=1), torch.ones(2, 16, 16), atol=1e-3, rtol=0)


def test_the_length_of_the_noise_does_not_matter() -> None:
    # The paper's latent points lie on a hypersphere.
    algorithm = tiny(8)
    noise, labels = torch.randn(2, 4), torch.zeros(2, dtype=torch.int64)
    torch.testing.assert_close(algorithm.generator(3 * noise, labels), algorithm.generator(noise, labels))


def test_the_loss_is_the_papers_sum() -> None:
    algorithm = tiny(8, penalty=10, drift=0.5)
    batch = toy.toy_batch(algorithm, 8)
    loss, found = algorithm.discriminator_loss(batch)
    real = algorithm.discriminator(batch.images, batch.labels)
    fake = algorithm.discriminator(algorithm.fake(batch), batch.labels)
    expected = fake.mean() - real.mean() + 10 * found["penalty"] + 0.5 * real.square().mean()
    torch.testing.assert_close(loss, expected)


def test_the_critics_gradients_are_those_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    # They contain the penalty's, a derivative of a gradient. Casts to float32 would drown differences.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    algorithm = tiny(8)
    at(algorithm, 1, 0.5)
    critic = algorithm.discriminator.double()
    batch = toy.toy_batch(algorithm, 4)
    batch.images, fake = batch.images.double(), algorithm.fake(batch).detach().double()
    monkeypatch.setattr(algorithm, "fake", lambda batch: fake)
    algorithm.discriminator_loss(batch)[0].backward()
    for weights in (critic.from_rgb[0].weight, critic.blocks[0][2].weight, critic.end[1].weight, critic.score.weight):
        direction = torch.randn_like(weights)
        losses = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weights += step * direction
            losses.append(algorithm.discriminator_loss(batch)[0].item())
            with torch.no_grad():
                weights -= step * direction
        assert (weights.grad * direction).sum().item() == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)


def test_the_critics_loss_falls_when_it_steps() -> None:
    algorithm = tiny(8)
    batch = toy.toy_batch(algorithm, 16)
    optimiser = torch.optim.Adam(algorithm.discriminator.parameters(), 1e-2, (0.0, 0.99))
    first = algorithm.discriminator_loss(batch)[0]
    for _ in range(8):
        algorithm.discriminator_loss(batch)[0].backward(inputs=list(algorithm.discriminator.parameters()))
        optimiser.step()
        optimiser.zero_grad()
    assert algorithm.discriminator_loss(batch)[0] < first


def test_it_learns_both_modes_while_it_grows() -> None:
    # Ten images: the toy's modes alternate, and groups of four for the deviation would each hold one mode alone.
    algorithm = tiny(8, width=4, learning_rate=0.02)
    generator = toy.learn(algorithm, 120, 10, decay=0.9).generator
    found = toy.modes_found(toy.sample(algorithm, generator, 64))
    assert found.both, found


def test_images_follow_their_label() -> None:
    algorithm = tiny(8, classes=3, width=4, learning_rate=0.02)
    generator = toy.learn(algorithm, 60, 12, decay=0.9).generator
    labels = torch.arange(60) % 3
    assert toy.share_of_own_colour(toy.sample(algorithm, generator, labels), labels, 3) > 0.9


def test_an_image_does_not_depend_on_those_drawn_beside_it() -> None:
    algorithm = tiny(8, classes=3)
    generator = algorithm.generator.eval()
    noise, labels = torch.randn(5, 4), torch.arange(5) % 3
    together = algorithm.draw(generator, noise, labels)
    alone = torch.cat([algorithm.draw(generator, noise[n : n + 1], labels[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(together, alone)
    assert together.abs().max() <= 1
