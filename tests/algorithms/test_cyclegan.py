"""CycleGAN: the published networks counted by hand, the losses on known networks, the pool, and a toy translation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.algorithms import toy
from tests.algorithms.toy import CPU, learn, make, parameters, toy_batch
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms.base import Batch, Draws
from dermsynth.algorithms.cyclegan import (
    Cyclegan,
    CycleganConfig,
    Discriminator,
    Generator,
    ImagePool,
    InstanceNorm,
    late_decay,
)
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError

CLASSES = ("bkl", "mel", "nv")


def small(size_px: int = 32, **settings: Any) -> Cyclegan:
    chosen = {"width": 2, "blocks": 1, "source": ["nv", "bkl"], "target": "mel", **settings}
    algorithm = make("cyclegan", size_px, CLASSES, **chosen)
    assert isinstance(algorithm, Cyclegan)
    return algorithm


class Always(nn.Module):
    """A discriminator that gives every image the same score."""

    def __init__(self, score: float) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 1, 2, 2), float(self.score))


class Times(nn.Module):
    """A generator that multiplies every pixel."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor


@pytest.mark.parametrize(("blocks", "published"), [(9, 11_378_179), (6, 7_837_699)])
def test_the_generator_has_the_parameters_of_the_published_one(blocks: int, published: int) -> None:
    # c7s1-64, d128, d256, the blocks, u128, u64, c7s1-3; a bias for every map; the norms have no parameters.
    expected = 49 * 3 * 64 + 64 + 9 * (64 * 128 + 128 * 256) + 128 + 256
    expected += blocks * 2 * (9 * 256 * 256 + 256)
    expected += 9 * (256 * 128 + 128 * 64) + 128 + 64 + 49 * 64 * 3 + 3
    assert parameters(Generator(64, blocks)) == expected == published


def test_the_discriminator_has_the_parameters_of_the_published_one() -> None:
    expected = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 64 + 128 + 256 + 512 + 1
    assert parameters(Discriminator(64)) == expected == 2_764_737


@pytest.mark.parametrize(("size_px", "blocks"), [(252, 6), (256, 9)])
def test_nine_residual_blocks_from_256_px_and_six_below(size_px: int, blocks: int) -> None:
    generator = small(size_px, width=1, blocks=None).generator
    assert sum(type(module).__name__ == "Residual" for module in generator.modules()) == blocks


def test_a_score_sees_70_by_70_pixels() -> None:
    discriminator = Discriminator(1)
    # The norms' means would carry something of every pixel to every score.
    layers = [nn.Identity() if isinstance(layer, InstanceNorm) else layer for layer in discriminator.layers]
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    nn.Sequential(*layers)(image)[0, 0, 7, 7].backward()
    assert image.grad is not None
    rows, columns = image.grad.abs().sum(dim=(0, 1)).nonzero().unbind(1)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (70, 70)


def test_an_image_of_128_px_has_14_by_14_scores() -> None:
    assert Discriminator(1)(torch.zeros(2, 3, 128, 128)).shape == (2, 1, 14, 14)


@pytest.mark.parametrize("size_px", [32, 36, 64])
def test_translations_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = small(size_px)
    there, back = algorithm.fakes(toy_batch(algorithm, 2))
    assert there.shape == back.shape == (2, 3, size_px, size_px)
    assert max(there.abs().max(), back.abs().max()) <= 1


def test_an_image_is_translated_alike_alone_and_among_others() -> None:
    algorithm = small()
    generator, images = algorithm.generator.eval(), torch.rand(3, 3, 32, 32) * 2 - 1
    together = algorithm.translate(generator, images)
    torch.testing.assert_close(algorithm.translate(generator, images[1:2])[0], together[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", [1, 3])
def test_the_norm_is_torchs_instance_norm(n: int) -> None:
    x = (torch.rand(n, 4, 6, 6) * 3 + 1).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.rand(n, 4, 6, 6)
    ours, theirs = InstanceNorm()(x), F.instance_norm(x)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_layer_keeps_channels_last(n: int, dtype: torch.dtype) -> None:
    # A layer that does not makes every convolution after it copy its input.
    algorithm, moved = small(width=8), []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not output.is_contiguous(memory_format=torch.channels_last):
            moved.append(module)

    for network in (algorithm.generator, algorithm.target.discriminator):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            module.register_forward_hook(look)
    images = torch.rand(n, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        algorithm.target.discriminator(algorithm.generator(images))
    assert moved == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_norm_of_a_gpu_is_torchs_instance_norm() -> None:
    x = torch.rand(3, 4, 6, 6, device="cuda") * 3 + 1
    torch.testing.assert_close(InstanceNorm()(x), F.instance_norm(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size_px", [16, 28, 34, 70])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"32, 36, … px, not {size_px}; ingest"):
        small(size_px)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": [], "target": ["mel"]}, "'source' names no class; say what becomes what, for example --set source"),
        ({"source": ["nv"], "target": []}, "'target' names no class"),
        ({"source": ["nv"], "target": ["mle"]}, "unknown class 'mle'; did you mean 'mel'"),
        ({"source": ["nv", "mel"], "target": ["mel"]}, "'mel' stands twice in source and target"),
        ({"source": ["nv", "nv"], "target": ["mel"]}, "'nv' stands twice"),
    ],
)
def test_sets_of_classes_that_cannot_be_are_refused(settings: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**settings)


def test_a_cohort_of_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="one class into another, and the cohort has 'nv' alone"):
        make("cyclegan", 32, ["nv"], source="nv", target="mel")


def test_a_single_class_needs_no_list() -> None:
    assert parse(CycleganConfig, {"source": "nv", "target": ["mel"]}, "settings").source == ("nv",)


def test_a_class_that_is_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="source"):
        parse(CycleganConfig, {"source": 3}, "settings")


def test_it_translates_from_the_source_to_the_target_classes() -> None:
    assert small().domains() == (("nv", "bkl"), ("mel",))


def test_each_phase_moves_its_own_networks_only() -> None:
    algorithm = small()
    batch = toy_batch(algorithm, 2)
    for phase in algorithm.phases():
        own = {id(p) for p in phase.net.parameters()}
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        for p in (p for network in algorithm.networks.values() for p in network.parameters()):
            assert (p.grad is not None) == (id(p) in own)
            p.grad = None


def test_the_discriminators_learn_to_tell_their_images_apart() -> None:
    history = learn(small(learning_rate=2e-3), 12, 2).history
    assert history[-1]["loss_discriminator"] < history[0]["loss_discriminator"] / 2


def test_the_discriminators_loss_is_half_of_the_least_squares_of_both_sides() -> None:
    algorithm = small()
    algorithm.target.discriminator, algorithm.source.discriminator = Always(0.5), Always(-1)  # type: ignore[assignment]
    loss, scalars = algorithm.discriminator_loss(toy_batch(algorithm, 2))
    assert loss == ((0.5 - 1) ** 2 + 0.5**2) / 2 + ((-1 - 1) ** 2 + (-1) ** 2) / 2
    assert scalars["score_real"] == scalars["score_fake"] == -0.25


@pytest.mark.parametrize("identity", [0.5, 0.0])
def test_the_generators_loss_is_that_of_the_paper(identity: float) -> None:
    algorithm = small(cycle=10, identity=identity)
    algorithm.generator, algorithm.backward = Times(-1), Times(0.5)  # type: ignore[assignment]
    algorithm.target.discriminator, algorithm.source.discriminator = Always(0.5), Always(0)  # type: ignore[assignment]
    batch = toy_batch(algorithm, 2)
    assert batch.source is not None
    x, y = batch.source.abs().mean(), batch.images.abs().mean()
    # There and back, x becomes -x / 2: 1.5 |x| away. On the other side's images G differs by 2 |y|, F by |x| / 2.
    expected = 0.5**2 + 1 + 10 * 1.5 * (x + y) + 10 * identity * (2 * y + 0.5 * x)
    loss, scalars = algorithm.generator_loss(batch)
    torch.testing.assert_close(loss, expected)
    assert ("loss_identity" in scalars) == (identity > 0)


def test_both_phases_share_one_translation() -> None:
    algorithm = small()
    batch = toy_batch(algorithm, 2)
    assert algorithm.fakes(batch)[0] is algorithm.fakes(batch)[0]


def test_the_learning_rate_falls_over_the_second_half() -> None:
    assert [late_decay(progress) for progress in (0, 0.5, 0.75, 1)] == [1, 1, 0.5, 0]


@pytest.mark.parametrize(("score", "sign"), [(0.75, 1), (0.25, -1)])
def test_ada_takes_the_middle_of_the_two_targets_for_the_boundary(score: float, sign: int) -> None:
    algorithm = small(augment="ada")
    algorithm.target.discriminator = algorithm.source.discriminator = Always(score)  # type: ignore[assignment]
    assert algorithm.discriminator_loss(toy_batch(algorithm, 2))[1]["ada_sign"] == sign


# The pool.


def numbered(first: int, n: int = 1) -> Tensor:
    """Return images that are all 1, all 2, …"""
    return torch.arange(first, first + n).float().view(-1, 1, 1, 1).expand(n, 3, 2, 2)


def step_of(number: int, total: int = 1, rows: slice | None = None) -> Batch:
    empty = torch.zeros(0)
    return Batch(empty, empty, empty, Draws(0, number, total, rows or slice(0, total), CPU))


def test_the_pool_shows_new_images_until_it_is_full() -> None:
    pool = ImagePool(5, 1, 2)
    shown = [pool(numbered(1 + n), step_of(n), "pool")[0, 0, 0, 0].item() for n in range(5)]
    assert shown == [1, 2, 3, 4, 5]
    assert pool.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_full_pool_shows_a_stored_image_half_of_the_time_and_keeps_the_new_one_instead() -> None:
    pool = ImagePool(5, 1, 2)
    old = 0
    for n in range(400):
        before = pool.images[:, 0, 0, 0].tolist()
        shown = pool(numbered(1 + n), step_of(n), "pool")[0, 0, 0, 0].item()
        after = pool.images[:, 0, 0, 0].tolist()
        if shown != 1 + n:
            old += 1
            assert sorted(after) == sorted([value for value in before if value != shown] + [1 + n])
        elif n >= 5:
            assert after == before
    # 395 throws of a coin: 60 is six standard deviations.
    assert abs(old - 395 / 2) < 60


def test_without_a_pool_every_image_is_shown() -> None:
    assert ImagePool(0, 1, 2)(numbered(7), step_of(99), "pool")[0, 0, 0, 0] == 7


def fill(pools: list[ImagePool], shares: list[slice], *, together: bool) -> list[Tensor]:
    """Show 20 steps of 4 images; a share each, one after the other in one pool or at once in processes."""
    shown = []
    for n in range(20):
        images = numbered(1 + 4 * n, 4)
        parts = []
        for pool, rows in zip(pools, shares, strict=True):
            batch = step_of(n, 4, rows)
            if together:
                # What an all-reduce would return: every process has put its own images, and ones, into zeros.
                batch.mean = lambda t, images=images: (images if t.shape[1] == 3 else torch.ones_like(t)) / len(shares)
            parts.append(pool(images[rows], batch, "pool"))
        shown.append(torch.cat(parts))
    return shown


@pytest.mark.parametrize("together", [False, True])
def test_a_divided_step_shows_and_keeps_what_a_whole_one_does(together: bool) -> None:
    whole = ImagePool(12, 4, 2)
    expected = fill([whole], [slice(0, 4)], together=False)
    halves = [ImagePool(12, 4, 2), ImagePool(12, 4, 2)] if together else [ImagePool(12, 4, 2)] * 2
    shown = fill(halves, [slice(0, 2), slice(2, 4)], together=together)
    assert torch.equal(torch.stack(shown), torch.stack(expected))
    assert all(torch.equal(half.images, whole.images) for half in halves)


# Learning.


def shapes(n: int, step: int, hue: int, seed: int) -> Tensor:
    """Return n images with a bright square, in turn left and right, on a background of a dark hue."""
    images = torch.full((n, 3, 32, 32), -0.8)
    images[:, hue] = 0.0
    draws = Draws(seed, step, n, slice(0, n), CPU)
    down = (draws.uniform(f"down {hue}", 1) * 18).int() + 1
    for number in range(n):
        left = 3 if number % 2 == 0 else 17
        images[number, :, down[number] : down[number] + 12, left : left + 12] = 0.9
    noisy = images + 0.05 * draws.normal(f"noise {hue}", 3, 32, 32)
    return noisy.clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def shape_batch(algorithm: Cyclegan, n: int = 4, step: int = 0, *, seed: int = 0, steps: int = 1) -> Batch:
    labels = torch.zeros(n, dtype=torch.int64)
    draws = Draws(seed, step, n, slice(0, n), CPU)
    batch = Batch(shapes(n, step, 2, seed), labels, torch.zeros(n, 0), draws, images_seen=step * n, budget=steps * n)
    batch.source, batch.source_labels = shapes(n, step, 0, seed), labels
    return batch


def test_it_learns_to_change_the_colour_and_to_leave_squares_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "toy_batch", shape_batch)
    algorithm = small(width=4, learning_rate=5e-3)
    generator = learn(algorithm, 40, 2).generator
    given = shapes(8, 0, 0, seed=99)
    translated = algorithm.translate(generator, given)
    background = (given.amin(dim=1) < 0.5).unsqueeze(1)
    colour = (translated * background).sum(dim=(2, 3)) / background.sum(dim=(2, 3))
    assert (colour - torch.tensor([-0.8, -0.8, 0.0])).abs().max() < 0.15
    brightness = translated.mean(dim=1)
    left, right = brightness[:, :, 3:15].mean(dim=(1, 2)), brightness[:, :, 17:29].mean(dim=(1, 2))
    # Both kinds are still there, each where it was: no generator that makes one image for all passes.
    assert ((left > right) == (torch.arange(8) % 2 == 0)).all()
