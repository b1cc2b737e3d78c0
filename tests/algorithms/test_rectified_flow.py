"""Rectified flow: the line, the sampler and guidance have exact laws; the network's layers are counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests.algorithms.toy import CPU, learn, make, modes_found, sample, share_of_own_colour, toy_batch
from torch import Tensor, nn

from dermsynth.algorithms.base import Draws
from dermsynth.algorithms.rectified_flow import (
    RectifiedFlow,
    RectifiedFlowConfig,
    Sampler,
    VelocityNetwork,
    between,
    integrate,
    steps,
)
from dermsynth.core.errors import InputError


def flow(size_px: int = 16, classes: int = 3, **settings: object) -> RectifiedFlow:
    made = make("rectified-flow", size_px, classes, **{"width": 4, **settings})
    assert isinstance(made, RectifiedFlow)
    return made


def noise_and_images(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, 4, 4, generator=generator), torch.rand(n, 3, 4, 4, generator=generator) * 2 - 1


def awake(algorithm: RectifiedFlow) -> RectifiedFlow:
    """Return the algorithm with its zeroed layers drawn like the others."""
    generator = torch.Generator().manual_seed(0)
    for parameter in algorithm.velocity.parameters():
        if not parameter.any():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return algorithm


# The line


def test_the_line_starts_in_noise_and_ends_in_the_image() -> None:
    noise, images = noise_and_images()
    assert torch.equal(between(noise, images, torch.zeros(6)), noise)
    torch.testing.assert_close(between(noise, images, torch.ones(6)), images)


def test_the_velocity_along_the_line_is_the_same_everywhere() -> None:
    noise, images = noise_and_images()
    times, step = torch.linspace(0, 0.9, 6), 0.1
    moved = between(noise, images, times + step) - between(noise, images, times)
    torch.testing.assert_close(moved / step, images - noise, atol=1e-5, rtol=0)


# The sampler


@pytest.mark.parametrize("sampler", ["euler", "dpm"])
@pytest.mark.parametrize("times", [[0.0, 1.0], [0.0, 0.1, 0.3, 0.9, 1.0]])
def test_the_best_velocity_for_a_single_image_leads_there(times: list[float], sampler: Sampler) -> None:
    noise, images = noise_and_images()
    image = images[:1]

    def oracle(points: Tensor, times: Tensor) -> Tensor:
        return (image - points) / (1 - times.view(-1, 1, 1, 1))

    reached = integrate(oracle, noise, times, sampler)
    torch.testing.assert_close(reached, image.expand_as(reached), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2), ("dpm", 2)])
def test_the_sampler_has_its_order(sampler: Sampler, order: int) -> None:
    # Images of variance 9 have this mean velocity, and its paths this length: they grow as the deviation of x_t does.
    def deviation(time: Tensor) -> Tensor:
        return ((3 * time) ** 2 + (1 - time) ** 2).sqrt()

    def velocity(points: Tensor, times: Tensor) -> Tensor:
        return ((9 * times - (1 - times)) / deviation(times) ** 2).view(-1, 1, 1, 1) * points

    first, last = 0.05, 0.95
    expected = float(deviation(torch.tensor(last)) / deviation(torch.tensor(first)))
    errors = []
    for count in (32, 64):
        logits = torch.linspace(math.log(first / (1 - first)), math.log(last / (1 - last)), count + 1).double()
        reached = integrate(velocity, torch.ones(1, 1, 1, 1).double(), logits.sigmoid().tolist(), sampler)
        errors.append(abs(float(reached) - expected))
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize("root_mean_square", [12.0, 1.0, 0.05])
def test_twelve_steps_keep_the_spread_of_colour_shape_and_grain(root_mean_square: float) -> None:
    # The spread of ISIC 2018's mean colours, of its coarse shapes and of its fine ones at 64 px, in units of the noise.
    def velocity(points: Tensor, times: Tensor) -> Tensor:
        variance, t = root_mean_square**2, times.view(-1, 1, 1, 1)
        return (t * variance - (1 - t)) / (t**2 * variance + (1 - t) ** 2) * points

    reached = integrate(velocity, torch.ones(1, 1, 1, 1), steps(12, 64), "dpm")
    assert float(reached) == pytest.approx(root_mean_square, rel=0.05)


@pytest.mark.parametrize(("count", "size_px"), [(4, 16), (12, 64), (30, 256)])
def test_steps_rise_from_noise_to_image(count: int, size_px: int) -> None:
    times = steps(count, size_px)
    assert len(times) == count + 1
    assert (times[0], times[-1]) == (0, 1)
    assert times == sorted(set(times))


# Guidance


class Label(nn.Module):
    """A network whose velocity is the label, and which counts the images it was asked for."""

    asked = 0

    def forward(self, points: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        self.asked += len(points)
        return labels.view(-1, 1, 1, 1).float().expand_as(points)


@pytest.mark.parametrize(("guidance", "expected", "asked"), [(1, 0.0, 2), (0, 3.0, 2), (2, -3.0, 4), (1.5, -1.5, 4)])
def test_guidance_goes_from_no_class_through_the_class_and_beyond(guidance: float, expected: float, asked: int) -> None:
    network, labels = Label(), torch.zeros(2, dtype=torch.int64)  # class 0; 'no class' is 3
    velocity = flow(guidance=guidance).guided(network, labels)
    assert velocity(torch.zeros(2, 3, 4, 4), torch.zeros(2)).unique().tolist() == [expected]
    assert network.asked == asked


def test_one_class_knows_no_guidance() -> None:
    network = Label()
    labels = torch.zeros(2, dtype=torch.int64)
    flow(classes=1, guidance=3).guided(network, labels)(torch.zeros(2, 3, 4, 4), torch.zeros(2))
    assert network.asked == 2


def test_a_tenth_of_the_labels_is_dropped() -> None:
    algorithm = flow(classes=4)
    batch = toy_batch(algorithm, 4000)
    dropped = algorithm.dropped(batch)
    share = (dropped == 4).float().mean().item()
    assert share == pytest.approx(0.1, abs=0.02)
    assert torch.equal(dropped[dropped < 4], batch.labels[dropped < 4])


def test_what_is_drawn_may_be_changed_without_training_again() -> None:
    changed = flow(guidance=3, sampling_steps=4, sampler="heun")
    assert RectifiedFlow.sampling == {"guidance", "sampling_steps", "sampler"}
    changed.velocity.load_state_dict(flow().velocity.state_dict())


# Times


def test_times_are_logit_normal() -> None:
    algorithm = flow(64, time_mean=-0.5, time_deviation=1.2)
    logits = algorithm.times(toy_batch(algorithm, 2000)).logit()
    assert logits.mean().item() == pytest.approx(-0.5, abs=0.02)
    assert logits.std().item() == pytest.approx(1.2, abs=0.03)


@pytest.mark.parametrize("rows", [slice(0, 16), slice(16, 32)])
def test_every_part_of_a_batch_covers_the_times_evenly(rows: slice) -> None:
    algorithm = flow(64)
    batch = toy_batch(algorithm, 16)
    part = replace(batch, draws=Draws(0, 5, 32, rows, CPU))
    quarters = (algorithm.times(part) > (1.8 * torch.tensor([-0.6745, 0.0, 0.6745])).sigmoid()[:, None]).sum(dim=0)
    assert min(torch.bincount(quarters, minlength=4).tolist()) >= 3


def test_the_parts_of_a_batch_have_the_times_of_the_whole() -> None:
    algorithm = flow()
    whole, *parts = (
        algorithm.times(replace(toy_batch(algorithm, 4), draws=Draws(0, 3, 8, rows, CPU)))
        for rows in (slice(0, 8), slice(0, 4), slice(4, 8))
    )
    assert torch.equal(whole, torch.cat(parts))


def test_larger_images_learn_and_draw_nearer_to_noise() -> None:
    small, large = (flow(size_px) for size_px in (64, 256))
    logits = [algorithm.times(toy_batch(algorithm, 8)).logit() for algorithm in (small, large)]
    torch.testing.assert_close(logits[0] - logits[1], torch.full((8,), math.log(2)), atol=1e-4, rtol=0)
    assert steps(12, 256)[1] < steps(12, 64)[1]
    assert steps(12, 256)[-2] == steps(12, 64)[-2]


# The network


def test_the_network_has_the_parameters_of_its_layers() -> None:
    told = 4 * 32

    def block(before: int, after: int) -> int:
        shortcut = before * after + after if before != after else 0
        return 2 * before + 9 * (before + after) * after + 2 * after + told * 2 * after + 2 * after + shortcut

    def attention(maps: int) -> int:
        return 2 * maps + 4 * maps**2 + 4 * maps

    expected = (64 * told + told) + (told * told + told) + 8 * told  # time; seven classes and none
    expected += (9 * 12 * 32 + 32) + 2 * 32 + (9 * 32 * 12 + 12)  # 2 x 2 pixels of 3 colours enter and leave
    expected += block(32, 32) + block(32, 64) + block(64, 128) + attention(128)
    expected += block(32, 32) + block(64, 64) + block(128, 128) + attention(128)
    expected += (64 * 32 + 32) + (128 * 64 + 64)  # on the way up
    network = VelocityNetwork(RectifiedFlowConfig(width=32), 64, 7)
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(
    ("size_px", "settings"),
    [(16, {}), (32, {"blocks": 2}), (32, {"patch_px": 2}), (64, {}), (64, {"patch_px": 4}), (128, {}), (256, {})],
)
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int, settings: dict[str, int]) -> None:
    algorithm = flow(size_px, sampling_steps=4, attention_px=16, **settings)
    assert algorithm.latent == 3 * size_px**2
    images = sample(algorithm, algorithm.velocity, 2)
    assert images.shape == (2, 3, size_px, size_px)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1


@pytest.mark.parametrize("size_px", [8, 24, 48, 100, 512])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"makes 16, 32, 64, 128 or 256 px, not {size_px}"):
        flow(size_px)


@pytest.mark.parametrize("patch_px", [3, 8])
def test_a_patch_that_leaves_no_u_net_is_refused(patch_px: int) -> None:
    with pytest.raises(InputError, match=rf"patch_px {patch_px} .* of 64; choose 1 or 2 or 4$"):
        flow(64, patch_px=patch_px)


def test_an_untrained_network_is_the_best_linear_estimate() -> None:
    # Least squares over many points finds the same factor as the closed form, and its error the scale of the residual.
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 3, 16, 16, generator=generator)
    images = torch.randn(200, 3, 16, 16, generator=generator) * VelocityNetwork.deviation
    network = flow().velocity
    for time in (0.1, 0.5, 0.9):
        times = torch.full((200,), time)
        points, target = between(noise, images, times), images - noise
        factor = (points * target).sum() / points.square().sum()
        with torch.no_grad():
            found = network(points, times, torch.zeros(200, dtype=torch.int64))
        torch.testing.assert_close(found, factor * points, atol=0.05, rtol=0)
        variance = (time * network.deviation) ** 2 + (1 - time) ** 2
        assert (found - target).square().mean().item() == pytest.approx(network.deviation**2 / variance, rel=0.02)


@pytest.mark.parametrize("moved", ["label", "time"])
def test_time_and_label_reach_the_velocity(moved: str) -> None:
    network = awake(flow()).velocity
    points, label, time = torch.ones(1, 3, 16, 16), torch.tensor([0]), torch.tensor([0.5])
    before = network.unet(points, network.described(time, label))
    after = network.unet(points, network.described(time + (moved == "time") * 0.1, label + (moved == "label")))
    assert not torch.allclose(before, after)


def test_an_image_depends_on_its_own_noise_and_label_alone() -> None:
    algorithm = awake(flow(guidance=2, sampling_steps=4))
    labels = torch.tensor([0, 1, 2, 1])
    noise = torch.randn(4, algorithm.latent, generator=torch.Generator().manual_seed(0))
    together = algorithm.draw(algorithm.velocity.eval(), noise, labels)
    alone = algorithm.draw(algorithm.velocity, noise[2:3], labels[2:3])
    torch.testing.assert_close(together[2:3], alone, atol=1e-5, rtol=0)


# Learning


def test_each_image_is_mirrored_in_one_of_four_ways() -> None:
    algorithm = flow()
    batch = toy_batch(algorithm, 64)
    image = torch.arange(3 * 16 * 16, dtype=torch.float32).view(3, 16, 16)
    batch.images = image.expand(64, 3, 16, 16)
    ways = [image, image.flip(2), image.flip(1), image.flip(1, 2)]
    found = [next(n for n, way in enumerate(ways) if torch.equal(way, got)) for got in algorithm.mirror(batch)]
    assert min(found.count(way) for way in range(4)) >= 4


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    schedule = flow(warm_up=0.1).schedule
    assert 0 < schedule(0) < 0.05
    assert schedule(0.1) == pytest.approx(0.9)
    assert schedule(0.55) == pytest.approx(0.45)
    assert schedule(1) == 0


def test_the_loss_falls_and_is_told_by_time() -> None:
    algorithm = flow(width=8, learning_rate=4e-3)
    history = learn(algorithm, 20, 16).history
    assert set(history[0]) == {"loss_generator", "loss_near_noise", "loss_halfway", "loss_near_image"}
    first, last = (sum(line["loss_generator"] for line in part) for part in (history[:5], history[-5:]))
    assert last < 0.8 * first


def test_both_modes_are_learnt() -> None:
    algorithm = flow(classes=1, width=8, learning_rate=4e-3, sampling_steps=10)
    learnt = learn(algorithm, 70, 16)
    found = modes_found(sample(algorithm, learnt.generator, 32))
    assert found.both, found


def test_images_follow_their_label() -> None:
    algorithm = flow(classes=3, width=8, learning_rate=4e-3, sampling_steps=10)
    learnt = learn(algorithm, 40, 16)
    labels = torch.arange(24) % 3
    assert share_of_own_colour(sample(algorithm, learnt.generator, labels), labels, 3) > 0.9
