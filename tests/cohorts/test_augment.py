"""Classical augmentation: counted, range-keeping, and altering images as each operation's name says."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.cohorts.augment import POLICIES, RANGED, ClassicalAugmentation, altered, augment, draw
from dermsynth.cohorts.augment.geometry import views
from dermsynth.core.config import Config, parse
from dermsynth.core.errors import ConfigError
from dermsynth.core.randomness import torch_generator

NOTHING = ClassicalAugmentation(policy="none")
CONFIGS = st.builds(
    ClassicalAugmentation,
    flip=st.booleans(),
    quarter_turns=st.booleans(),
    rotation_deg=st.floats(0, 180),
    shear_deg=st.floats(0, 45),
    scale_max=st.floats(1, 2),
    translation_share=st.floats(0, 0.5),
    crop_side_min=st.floats(0.1, 1),
    brightness=st.floats(0, 0.5),
    contrast=st.floats(0, 0.5),
    saturation=st.floats(0, 0.5),
    hue_deg=st.floats(0, 30),
    erasing_chance=st.floats(0, 1),
    erasing_area_max=st.floats(0.02, 0.5),
    randaugment_ops=st.integers(0, len(RANGED)),
    randaugment_magnitude=st.floats(0, 10),
)
LUMA = torch.tensor([0.30, 0.59, 0.11])


def images(count: int = 4, size_px: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size_px, size_px, generator=torch_generator(seed, "images")) * 2 - 1


def generator(step: int = 0) -> torch.Generator:
    return torch_generator(0, "augment", step)


def forced(before: torch.Tensor, values: dict[str, Any], **draws: float) -> torch.Tensor:
    """Return images altered by these settings alone, with given draws; what is not given leaves them alone."""
    config = NOTHING.changed(**values)
    free = {name: torch.full((len(before),), 0.0 if name in RANGED else 0.5) for name in draw(1, config, generator())}
    return altered(before, config, {**free, **{name: torch.full((len(before),), draws[name]) for name in draws}})


def shown(count: int, **values: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image, and what it looks like `count` times under these settings alone."""
    image = images(1)
    return image[0], augment(image.expand(count, -1, -1, -1), NOTHING.changed(**values), generator())


# What holds for every setting


@settings(max_examples=20, deadline=None)
@given(config=CONFIGS, step=st.integers(0, 1000))
def test_equal_generators_give_equal_images(config: ClassicalAugmentation, step: int) -> None:
    once, again = (augment(images(), config, generator(step)) for _ in range(2))
    assert torch.equal(once, again)


@settings(max_examples=20, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 1000))
def test_values_stay_between_minus_one_and_one(config: ClassicalAugmentation, seed: int) -> None:
    before = images(seed=seed)
    after = augment(before, config, generator(seed))
    assert after.shape == before.shape
    assert after.dtype == torch.float32
    assert after.abs().max() <= 1 + 1e-6


@settings(max_examples=20, deadline=None)
@given(config=CONFIGS, first=st.integers(1, 7))
def test_the_first_images_of_a_batch_do_not_depend_on_its_length(config: ClassicalAugmentation, first: int) -> None:
    whole, part = (augment(images(8)[:count], config, generator()) for count in (8, first))
    torch.testing.assert_close(whole[:first], part)


@settings(max_examples=20, deadline=None)
@given(config=CONFIGS, name=st.sampled_from(sorted(set(ClassicalAugmentation.model_fields) - {"policy"})))
def test_a_range_changes_no_draw_of_another_operation(config: ClassicalAugmentation, name: str) -> None:
    other = config.changed(**{name: getattr(NOTHING, name)})
    before, after = (draw(3, one, generator()) for one in (config, other))
    ranged = () if name.startswith("randaugment") else RANGED  # which chooses among these
    for draws in (*ranged, *(set(before) - set(RANGED))):
        assert torch.equal(before[draws], after[draws])


def test_zero_ranges_change_nothing() -> None:
    assert torch.equal(augment(images(), NOTHING, generator()), images())


def test_images_of_a_batch_are_altered_independently_of_each_other() -> None:
    same = images(1).expand(6, -1, -1, -1)
    changed = augment(same, ClassicalAugmentation(), generator())
    assert all(not torch.allclose(changed[0], other, atol=1e-2) for other in changed[1:])


@pytest.mark.parametrize("name", POLICIES)
def test_channels_last_stays_channels_last_and_has_the_same_values(name: str) -> None:
    config = ClassicalAugmentation(policy=name)
    plain, last = (
        augment(images().to(memory_format=layout), config, generator())
        for layout in (torch.contiguous_format, torch.channels_last)
    )
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, last)


# Geometry


def test_flips_show_an_image_and_its_three_mirrors_about_equally_often() -> None:
    image, moved = shown(400, flip=True)
    mirrors = [image.flip(dims) for dims in ((), (1,), (2,), (1, 2))]
    counts = [sum(torch.allclose(one, mirror, atol=1e-4) for one in moved) for mirror in mirrors]
    assert sum(counts) == 400
    assert all(60 < count < 140 for count in counts)


def test_quarter_turns_are_the_four_exact_turns() -> None:
    image, moved = shown(200, quarter_turns=True)
    turned = [torch.rot90(image, turns, (1, 2)) for turns in range(4)]
    counts = [sum(torch.allclose(one, turn, atol=1e-4) for one in moved) for turn in turned]
    assert sum(counts) == 200
    assert min(counts) > 20


def test_rotation_keeps_the_distance_to_the_centre_and_moves_up_to_its_range() -> None:
    dot = torch.full((200, 3, 65, 65), -1.0)
    dot[:, :, 31:34, 51:54] = 1.0  # 20 px to the right of the centre (32, 32)
    moved = augment(dot, NOTHING.changed(rotation_deg=30.0), generator())
    mass = (moved[:, 0] + 1) / (moved[:, 0] + 1).sum(dim=(1, 2), keepdim=True)
    axis = torch.arange(65) - 32.0
    x, y = (mass.sum(dim=1) * axis).sum(dim=1), (mass.sum(dim=2) * axis).sum(dim=1)
    torch.testing.assert_close(torch.hypot(x, y), torch.full((200,), 20.0), atol=0.2, rtol=0)
    angles = torch.atan2(y, x).rad2deg()
    assert angles.abs().max() <= 30.5
    assert angles.min() < -25
    assert angles.max() > 25


def test_rotation_is_torchs_own_warp_by_the_rotation_matrix() -> None:
    before, angle = images(), torch.tensor(0.5)
    matrix = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]]).expand(4, 2, 3)
    grid = F.affine_grid(matrix, list(before.shape), align_corners=False)
    expected = F.grid_sample(before, grid, padding_mode="reflection", align_corners=False)
    turned = forced(before, {"rotation_deg": float(2 * angle.rad2deg())}, rotation=0.5)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


def test_crops_lie_inside_the_image() -> None:
    ramp = torch.linspace(-1, 1, 32).expand(300, 3, 32, 32)
    rows = augment(ramp, NOTHING.changed(crop_side_min=0.5), generator())[:, 0, 0]
    assert (rows.diff(dim=1) > 0).all()  # no reflected edge: the ramp rises everywhere
    spans = (rows[:, -1] - rows[:, 0]) / 2
    assert 0.48 < spans.min() < 0.55
    assert 0.95 < spans.max() < 1.01


def test_shear_slants_columns_and_leaves_the_middle_row() -> None:
    half = torch.full((100, 3, 33, 33), -1.0)
    half[..., 16:] = 1.0
    moved = augment(half, NOTHING.changed(shear_deg=20.0), generator())
    edges = (moved[:, 0] < 0).sum(dim=2).float()  # first bright column of every row
    assert (edges[:, 16] - 16).abs().max() <= 1
    slope = (edges[:, -1] - edges[:, 0]) / 32
    assert slope.abs().max() <= 0.4  # tan 20° = 0.364
    assert slope.min() < -0.25
    assert slope.max() > 0.25


@pytest.mark.parametrize(("strength", "side_px"), [(1.0, 16), (0.0, 8), (-1.0, 4)])
def test_scale_magnifies_by_its_factor_or_shrinks_by_it(strength: float, side_px: int) -> None:
    square = torch.full((1, 3, 32, 32), -1.0)
    square[:, :, 12:20, 12:20] = 1.0
    bright = forced(square, {"scale_max": 2.0}, scale=strength)[0, 0, 8:24, 8:24] > 0  # reflections lie outside
    assert bright.any(dim=0).sum() == bright.any(dim=1).sum() == side_px


def test_translation_moves_the_content_right_and_down() -> None:
    before = images()
    moved = forced(before, {"translation_share": 0.25}, shift_x=0.5, shift_y=1.0)  # 2 and 4 of 16 px
    torch.testing.assert_close(moved[:, :, 4:, 2:], before[:, :, :-4, :-2], atol=1e-5, rtol=0)


# Colour


def test_brightness_multiplies_every_value() -> None:
    before = images() * 0.5 - 0.5  # 0 to 0.5 as a share of white
    torch.testing.assert_close((forced(before, {"brightness": 0.4}, brightness=0.5) + 1), (before + 1) * 1.2)


def test_contrast_scales_the_distances_from_the_mean_luma() -> None:
    before = images() * 0.5
    mean = torch.einsum("nchw,c->n", before, LUMA)[:, None, None, None] / 256
    torch.testing.assert_close(forced(before, {"contrast": 0.5}, contrast=-1.0), mean + 0.5 * (before - mean))


@pytest.mark.parametrize("changed", ["saturation", "hue"])
def test_saturation_and_hue_keep_the_luma(changed: str) -> None:
    before = images() * 0.3
    after = forced(before, {"saturation": 0.5, "hue_deg": 30.0}, **{changed: 1.0})
    assert (after - before).abs().max() > 0.05
    torch.testing.assert_close(*(torch.einsum("nchw,c->nhw", one, LUMA) for one in (before, after)))


@pytest.mark.parametrize(("strength", "saturation"), [(1.0, 0.0), (-0.5, 0.4)])
def test_hue_and_saturation_turn_and_scale_chroma_as_colorsys_has_it(strength: float, saturation: float) -> None:
    before = images(1) * 0.3
    values = {"hue_deg": 30.0, "saturation": 0.4}
    after = forced(before, values, hue=strength, saturation=saturation / 0.4)
    angle = -np.radians(30 * strength)  # towards yellow, whose angle in YIQ is below that of red
    for old, new in zip(before[0].flatten(1).T.tolist(), after[0].flatten(1).T.tolist(), strict=True):
        y, i, q = colorsys.rgb_to_yiq(*[(value + 1) / 2 for value in old])
        turned = (1 + saturation) * complex(i, q) * np.exp(1j * angle)
        expected = colorsys.yiq_to_rgb(y, turned.real, turned.imag)
        np.testing.assert_allclose([(value + 1) / 2 for value in new], expected, atol=2e-5)


def test_grey_stays_grey_under_saturation_and_hue() -> None:
    grey = images()[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(forced(grey, {"saturation": 0.5, "hue_deg": 30.0}, saturation=1.0, hue=1.0), grey)


def test_a_positive_hue_turns_red_towards_yellow() -> None:
    red = torch.tensor([0.6, -0.4, -0.6])[None, :, None, None].expand(1, 3, 4, 4)
    turned = forced(red, {"hue_deg": 10.0}, hue=1.0)
    assert turned[0, 1, 0, 0] > red[0, 1, 0, 0]
    assert turned[0, 0, 0, 0] < red[0, 0, 0, 0]


# Erasing


def test_erased_rectangles_have_the_mean_colour_and_an_area_within_the_range() -> None:
    image = images(1, size_px=64)
    changed = augment(image.expand(300, -1, -1, -1), NOTHING.changed(erasing_chance=1.0), generator())
    erased = (changed != image).any(dim=1)
    shares = erased.float().mean(dim=(1, 2))
    assert 0.01 < shares.min() < 0.04
    assert 0.17 < shares.max() < 0.22
    rectangles = erased.any(dim=1).sum(dim=1) * erased.any(dim=2).sum(dim=1)
    assert torch.equal(rectangles, erased.sum(dim=(1, 2)))  # no holes, nothing outside
    mean = image.mean(dim=(0, 2, 3))
    torch.testing.assert_close(changed.permute(0, 2, 3, 1)[erased], mean.expand(int(erased.sum()), 3))


def test_as_many_images_are_erased_as_the_chance_says() -> None:
    image, changed = shown(600, erasing_chance=0.25)
    assert 0.2 < (changed != image).any(dim=(1, 2, 3)).float().mean() < 0.3


# RandAugment


def test_randaugment_lets_n_operations_act_at_its_magnitude_to_either_side() -> None:
    config = NOTHING.changed(randaugment_ops=3, randaugment_magnitude=4)
    draws = draw(900, config, generator())
    strengths = torch.stack([draws[name] for name in RANGED])
    assert set(strengths.unique().tolist()) == {-torch.tensor(0.4).item(), 0.0, torch.tensor(0.4).item()}
    assert (strengths != 0).sum(dim=0).eq(3).all()
    assert ((strengths != 0).float().mean(dim=1) - 3 / len(RANGED)).abs().max() < 0.06  # every one as often
    assert abs((strengths > 0).sum() / (strengths != 0).sum() - 0.5) < 0.03


# Views


def test_the_eight_views_are_the_mirrors_and_turns_of_the_square() -> None:
    square = torch.arange(9.0).view(1, 1, 3, 3)
    found = {tuple(view.flatten().tolist()) for view in views(square, 8)}
    expected = {
        tuple(torch.rot90(one, turns, (2, 3)).flatten().tolist())
        for one in (square, square.flip(3))
        for turns in range(4)
    }
    assert found == expected
    assert len(found) == 8


def test_the_first_views_are_the_image_and_its_mirrors() -> None:
    square = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    found = [view.flatten().tolist() for view in views(square, 4)]
    assert found == [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]


@pytest.mark.parametrize("count", [2, 4, 8])
def test_a_mean_over_views_is_the_same_for_each_of_them(count: int) -> None:
    def mean_over_views(image: torch.Tensor) -> torch.Tensor:
        return torch.stack([(view * weights).sum() for view in views(image, count)]).mean()

    weights = images(1, seed=1)
    expected = mean_over_views(images(1))
    for view in views(images(1), count):
        torch.testing.assert_close(mean_over_views(view), expected)


# Settings


class Trial(Config):
    augmentation: ClassicalAugmentation = ClassicalAugmentation()


def read(value: Any) -> ClassicalAugmentation:
    return parse(Trial, {"augmentation": value}, "trial.yaml").augmentation


def test_a_name_stands_for_its_policy() -> None:
    assert read("papers") == read({"policy": "papers"}) == ClassicalAugmentation(policy="papers")


def test_the_papers_policy_is_rotation_shear_and_flip() -> None:
    on = {name for name, value in read("papers") if value != getattr(NOTHING, name)}
    assert on == {"policy", "flip", "rotation_deg", "shear_deg"}


def test_given_values_stand_over_those_of_the_policy() -> None:
    found = read({"policy": "papers", "rotation_deg": 45, "hue_deg": 2})
    assert (found.flip, found.rotation_deg, found.shear_deg, found.hue_deg) == (True, 45, 10, 2)


def test_values_without_a_policy_stand_over_the_default_one() -> None:
    assert read({"rotation_deg": 3}) == ClassicalAugmentation(policy="strong").changed(rotation_deg=3)


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_written_reads_back_as_itself(name: str) -> None:
    config = ClassicalAugmentation(policy=name, brightness=0.1)
    assert read(config.canonical()) == config


def test_another_policy_brings_its_own_values() -> None:
    assert ClassicalAugmentation(policy="strong").changed(policy="papers") == ClassicalAugmentation(policy="papers")


@pytest.mark.parametrize("wrong", [{"rotation_deg": 200}, {"crop_side_min": 0}, {"shear_deg": -1}, {"hue_deg": 90}])
def test_ranges_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        read(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("strnog", "'augmentation.policy' is 'strnog': unknown policy; did you mean 'strong'?"),
        ({"policy": "paper"}, "did you mean 'papers'?"),
        ({"rotation": 10}, "unknown key 'augmentation.rotation'; did you mean 'rotation_deg'?"),
        ({"polcy": "strong"}, "unknown key 'augmentation.polcy'; did you mean 'policy'?"),
        ({"policy": ["strong"]}, "'augmentation.policy'"),
        (["strong"], "'augmentation'"),
    ],
)
def test_a_mistake_is_named_with_the_nearest_word(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(wrong)
    assert message in str(error.value)
