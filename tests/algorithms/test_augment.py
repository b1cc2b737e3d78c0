"""What the discriminator sees altered: exactness, second derivatives, ADA's p, and that alterations can be undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dermsynth.algorithms.augment import Augmentation, DiscriminatingConfig, shift, warp
from dermsynth.algorithms.base import Batch, Draws
from dermsynth.algorithms.losses import zero_centred_penalty
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError

CPU = torch.device("cpu")
KINDS = ["diffaugment", "ada"]


def augmentation(kind: str, *policy: str, p: float = 0.8, **settings: float) -> Augmentation:
    made = Augmentation(
        parse(DiscriminatingConfig, {"augment": kind, "augment_policy": policy, **settings}, "settings")
    )
    if kind == "ada":
        made.p.fill_(p)
    return made


def batch_of(n: int, step: int = 0, rows: slice | None = None) -> Batch:
    """Return a batch whose images do not matter."""
    rows = rows or slice(0, n)
    share = len(range(n)[rows])
    nothing = torch.zeros(share, 1)
    draws = Draws(0, step, n, rows, CPU)
    return Batch(nothing, nothing[:, 0].long(), nothing, draws, images_seen=step * n, budget=10**6)


def pictures(n: int, size: int = 16, seed: int = 0) -> Tensor:
    images = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return images.contiguous(memory_format=torch.channels_last)


def test_none_hands_on_what_it_gets() -> None:
    images = pictures(2)
    assert Augmentation(DiscriminatingConfig())(images, batch_of(2), "real") is images


def test_ada_starts_by_changing_nothing() -> None:
    images = pictures(8)
    altered = Augmentation(DiscriminatingConfig(augment="ada"))(images, batch_of(8), "real")
    torch.testing.assert_close(altered, images, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_altered_images_keep_shape_layout_and_precision_under_autocast(kind: str) -> None:
    images = pictures(4)
    with torch.autocast("cpu", torch.bfloat16):
        altered = augmentation(kind)(images, batch_of(4), "real")
    assert altered.shape == images.shape
    assert altered.dtype == torch.float32
    assert altered.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(altered, augmentation(kind)(images, batch_of(4), "real"), atol=0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_purposes_and_steps_have_draws_of_their_own(kind: str) -> None:
    images, altering = pictures(4), augmentation(kind)
    first = altering(images, batch_of(4, 1), "real")
    assert torch.equal(first, altering(images, batch_of(4, 1), "real"))
    assert not torch.allclose(first, altering(images, batch_of(4, 1), "fake"))
    assert not torch.allclose(first, altering(images, batch_of(4, 2), "real"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_a_step_is_altered_as_in_the_whole_step(kind: str) -> None:
    images, altering = pictures(6), augmentation(kind)
    whole = altering(images, batch_of(6), "real")
    rows = slice(2, 4)
    torch.testing.assert_close(altering(images[rows], batch_of(6, rows=rows), "real"), whole[rows])


def test_shift_moves_pixels_and_fills_with_zero() -> None:
    images = pictures(2, 5)
    moved = shift(images, torch.tensor([[2, -1], [0, 0]]))
    assert torch.equal(moved[0, :, :4, 2:], images[0, :, 1:, :3])
    assert not moved[0, :, 4:].any()
    assert not moved[0, :, :, :2].any()
    assert torch.equal(moved[1], images[1])


def test_cutout_takes_one_square_of_at_most_half_the_side() -> None:
    gone = augmentation("diffaugment", "cutout")(torch.ones(64, 3, 16, 16), batch_of(64), "real")[:, 0] == 0
    rows, columns = gone.any(2), gone.any(1)
    # All that is gone is the product of some rows and some columns, and each of these is one run of up to 8.
    assert torch.equal(gone, rows[:, :, None] & columns[:, None, :])
    for run in (rows, columns):
        assert (run.sum(1) <= 8).all()
        assert (run.sum(1) >= 1).float().mean() > 0.9
        assert (run.float().diff(dim=1).abs().sum(1) <= 2).all()
    assert (rows.sum(1) == 8).any()


def test_translation_reaches_an_eighth_of_the_side_either_way() -> None:
    point = torch.zeros(200, 3, 16, 16)
    point[:, :, 8, 8] = 1
    moved = augmentation("diffaugment", "translation")(point, batch_of(200), "real")
    columns = moved[:, 0].sum(1).argmax(1) - 8
    assert set(columns.tolist()) == {-2, -1, 0, 1, 2}


def test_diffaugments_colour_is_brightness_then_saturation_then_contrast() -> None:
    images, batch = pictures(5), batch_of(5)
    draw = batch.draws.uniform("diffaugment real", 7)[:, :3, None, None, None]
    expected = images + draw[:, 0] - 0.5
    grey = expected.mean(1, keepdim=True)
    expected = (expected - grey) * 2 * draw[:, 1] + grey
    mean = expected.mean((1, 2, 3), keepdim=True)
    expected = (expected - mean) * (draw[:, 2] + 0.5) + mean
    torch.testing.assert_close(augmentation("diffaugment", "colour")(images, batch, "real"), expected)


def test_ada_blit_moves_pixels_without_mixing_them() -> None:
    image = torch.arange(64.0).view(1, 1, 8, 8).expand(100, 3, 8, 8)
    altered = augmentation("ada", "blit")(image, batch_of(100), "real")
    torch.testing.assert_close(altered, altered.round(), atol=1e-3, rtol=0)
    # Flips, quarter turns and translations make many different pictures of one.
    assert len(altered[:, 0].round().flatten(1).unique(dim=0)) > 20


def test_ada_hits_each_alteration_with_probability_p() -> None:
    # Brightness and contrast hit independently; the others of the group leave grey images alone.
    grey = torch.full((2000, 3, 4, 4), 0.5)
    altered = augmentation("ada", "colour", p=0.3)(grey, batch_of(2000), "real")
    same = ((altered - grey).abs().amax((1, 2, 3)) < 1e-6).float().mean()
    assert same == pytest.approx(0.7**2, abs=0.04)


def test_ada_turns_by_any_angle_with_probability_p() -> None:
    # Of `geometry` only rotation moves the direction of a ramp; either of two rotations may hit.
    ramp = torch.linspace(-1, 1, 32).view(1, 1, 1, 32).expand(2000, 3, 32, 32)
    altered = augmentation("ada", "geometry", p=0.4)(ramp, batch_of(2000), "real")[:, 0, 12:20, 12:20]
    across = altered.diff(dim=1).abs().mean((1, 2))
    assert (across < 1e-4).float().mean() == pytest.approx(0.6, abs=0.04)


def test_by_default_ada_keeps_hue_and_the_order_of_light_and_dark() -> None:
    light, dark = torch.tensor([0.6, 0.1, -0.2]), torch.tensor([-0.4, -0.6, -0.7])
    images = torch.stack([light, dark], dim=1)[None, :, :, None].expand(200, 3, 2, 2)
    colours = augmentation("ada", "colour")(images, batch_of(200), "real")[..., 0]
    assert (colours[:, :, 0].mean(1) > colours[:, :, 1].mean(1)).all()
    chroma = colours[:, :, 0] - colours[:, :, 0].mean(1, keepdim=True)
    alike = F.cosine_similarity(chroma, (light - light.mean())[None])
    assert (alike > 0.999).all()
    assert torch.equal(
        augmentation("ada")(pictures(4), batch_of(4), "real"),
        augmentation("ada", "blit", "geometry", "colour")(pictures(4), batch_of(4), "real"),
    )


def test_recolour_turns_hue_and_inverts_brightness_where_asked() -> None:
    colour = torch.tensor([0.6, 0.1, -0.2])
    altered = augmentation("ada", "recolour")(colour[None, :, None, None].expand(400, 3, 1, 1), batch_of(400), "real")
    altered = altered.flatten(1)
    chroma = altered - altered.mean(1, keepdim=True)
    # Strength of colour and of grey stay; direction and sign do not.
    torch.testing.assert_close(chroma.norm(dim=1), (colour - colour.mean()).norm().expand(400), atol=1e-5, rtol=0)
    assert F.cosine_similarity(chroma, (colour - colour.mean())[None]).min() < -0.9
    assert (altered.mean(1) < 0).float().mean() == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize("kind", KINDS)
def test_first_and_second_derivatives_agree_with_finite_differences(kind: str) -> None:
    images = pictures(2, 3).double().contiguous().requires_grad_()
    if kind == "ada":
        place = torch.eye(2, 3, dtype=torch.float64) + 0.3 * torch.randn(
            2, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        altered = lambda x: warp(x, place)  # noqa: E731
    else:
        altered = lambda x: shift(x, torch.tensor([[1, 0], [-2, 1]]))  # noqa: E731
    # The square makes the second derivative differ from zero.
    assert torch.autograd.gradcheck(lambda x: altered(x).square(), images)
    assert torch.autograd.gradgradcheck(lambda x: altered(x).square(), images)


def test_warp_is_torchs_grid_sample_with_its_gradient() -> None:
    images = pictures(3, 7).requires_grad_()
    place = torch.eye(2, 3) + 0.4 * torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(1))
    grid = F.affine_grid(place, list(images.shape), align_corners=False)
    expected = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    ours = warp(images, place)
    torch.testing.assert_close(ours, expected)
    grads = [torch.autograd.grad((made * weight).sum(), images)[0] for made in (ours, expected)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_penalty_through_the_alteration_has_its_true_gradient(kind: str) -> None:
    altering, images, batch = augmentation(kind), pictures(4, 8), batch_of(4)
    weight = torch.tensor(0.7, requires_grad=True)

    def penalty(at: Tensor) -> Tensor:
        return zero_centred_penalty(lambda x: (at * altering(x, batch, "real")).pow(2).sum((1, 2, 3)), images)

    (gradient,) = torch.autograd.grad(penalty(weight), weight)
    # The penalty is c·w⁴, so its derivative is exactly 4·penalty / w.
    torch.testing.assert_close(gradient, 4 * penalty(weight.detach()) / 0.7, rtol=1e-4, atol=0)


def observed(sign: float, steps: int, n: int = 64, **settings: float) -> Augmentation:
    """Return an augmentation after `steps` steps with scores of which `sign` is the mean sign."""
    altering = augmentation("ada", p=0.0, **settings)
    scores = torch.where(torch.arange(n) < n * (1 + sign) / 2, 2.0, -3.0)
    for step in range(steps):
        altering(torch.zeros(n, 3, 2, 2), batch_of(n, step), "real")
        logged = altering.observe(scores, batch_of(n, step))
        assert logged["ada_sign"].item() == pytest.approx(sign)
    return altering


def test_p_rises_at_the_speed_of_ada_kimg_while_the_target_is_exceeded() -> None:
    # 41 steps of 64: at the last of them 2,560 images were seen, and p moves 1 per 10,000.
    assert observed(0.75, 41, ada_kimg=10).p.item() == pytest.approx(0.256)


def test_p_never_reaches_what_leaks() -> None:
    assert observed(1.0, 41, ada_kimg=1).p.item() == pytest.approx(0.8)


def test_p_falls_to_zero_below_the_target() -> None:
    altering = observed(0.75, 41, ada_kimg=10)
    for step in range(41, 100):
        altering.observe(-torch.ones(64), batch_of(64, step))
    assert altering.p.item() == 0


def test_p_does_not_depend_on_how_a_step_is_divided() -> None:
    scores = torch.randn(40, 64, generator=torch.Generator().manual_seed(0)) + 0.9
    images = pictures(64, 4)
    found = []
    for parts in (1, 4):
        altering = augmentation("ada", p=0.0, ada_kimg=5)
        seen = []
        for step in range(40):
            shares = [slice(i * 64 // parts, (i + 1) * 64 // parts) for i in range(parts)]
            # All parts of a phase come before the next phase.
            for rows in shares:
                seen.append(altering(images[rows], batch_of(64, step, rows), "real"))
                altering.observe(scores[step, rows], batch_of(64, step, rows))
            seen += [altering(images[rows], batch_of(64, step, rows), "generator") for rows in shares]
        found.append((altering.p, torch.cat(seen)))
    assert found[0][0] > 0.05
    torch.testing.assert_close(found[0], found[1])


def test_p_moves_by_the_mean_over_all_processes() -> None:
    altering = augmentation("ada", p=0.5)
    for step in range(6):
        batch = batch_of(64, step)
        batch.mean = lambda value: value * 0 - 1  # the other processes saw low scores
        altering.observe(torch.ones(64), batch)
    assert altering.p < 0.5


def test_state_is_all_that_a_continued_run_needs() -> None:
    uninterrupted, other = observed(0.875, 7, ada_kimg=10), augmentation("ada", p=0.0, ada_kimg=10)
    other.load_state_dict(uninterrupted.state_dict())
    for step in range(7, 12):
        for altering in (uninterrupted, other):
            altering.observe(torch.ones(64), batch_of(64, step))
    assert torch.equal(uninterrupted.p, other.p)
    assert uninterrupted.p > 0


def test_only_ada_has_something_to_remember_or_log() -> None:
    for kind in ("none", "diffaugment"):
        assert not augmentation(kind).state_dict()
        assert not augmentation(kind).observe(torch.ones(4), batch_of(4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"augment": "ada", "augment_policy": ["cutout"]},
            "'cutout' does not belong to augment 'ada'; choose from blit",
        ),
        ({"augment_policy": ["cutout"]}, "does not belong to augment 'none'; set augment to diffaugment or ada"),
        ({"augment": "adaptive"}, "'augment' is 'adaptive'"),
        ({"augment": "ada", "ada_target": 1.5}, "'ada_target' is 1.5"),
    ],
)
def test_unknown_choices_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(DiscriminatingConfig, settings, "settings")


def mixing(p: float) -> np.ndarray:
    """Return how ADA's blits mix four orientations of a ramp: shares (from, to), measured on altered images."""
    n = 3000
    ramp = torch.linspace(-1, 1, 8).view(1, 1, 1, 8).expand(n, 3, 8, 8)
    altering = augmentation("ada", "blit", p=p)
    rows = []
    for turns in range(4):
        altered = altering(torch.rot90(ramp, turns, (2, 3)), batch_of(n, turns), "real")[:, 0]
        across, down = (altered.diff(dim=axis).mean((1, 2)) for axis in (2, 1))
        way = torch.where(across.abs() > down.abs(), torch.where(across > 0, 0, 2), torch.where(down > 0, 3, 1))
        rows.append(np.bincount(way, minlength=4) / n)
    return np.array(rows)


def test_below_p_080_altered_orientations_can_be_undone_and_at_p_1_they_cannot() -> None:
    # Another distribution of the images then means another distribution of what the discriminator sees, and the
    # generator wins only by unaltered images. At p = 1 every distribution of orientations looks alike.
    for p in (0.2, 0.5, 0.8):
        smallest = np.linalg.svd(mixing(p), compute_uv=False)[-1]
        assert smallest == pytest.approx((1 - p) ** 2, abs=0.04)  # flips and quarter turns: a factor 1 - p each
    upright, any_way = np.array([1, 0, 0, 0]), np.full(4, 0.25)
    assert np.abs((upright - any_way) @ mixing(0.8)).sum() > 0.05
    assert np.abs((upright - any_way) @ mixing(1.0)).sum() < 0.05
