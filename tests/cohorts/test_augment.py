"""Classical augmentation: counted, range-keeping, and moving pixels where the geometry says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.cohorts.augment import ClassicalAugmentation, augment
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError
from dermsynth.core.randomness import torch_generator

NOTHING = ClassicalAugmentation(flip=False, rotation_deg=0, shear_deg=0, crop_side_min=1)
CONFIGS = st.builds(
    ClassicalAugmentation,
    flip=st.booleans(),
    quarter_turns=st.booleans(),
    rotation_deg=st.floats(0, 180),
    shear_deg=st.floats(0, 45),
    crop_side_min=st.floats(0.1, 1),
)


def images(count: int = 4, size_px: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size_px, size_px, generator=torch_generator(seed, "images")) * 2 - 1


@settings(max_examples=25, deadline=None)
@given(config=CONFIGS, step=st.integers(0, 1000))
def test_equal_generators_give_equal_images(config: ClassicalAugmentation, step: int) -> None:
    once, again = (augment(images(), config, torch_generator(3, "augment", step)) for _ in range(2))
    assert torch.equal(once, again)


@settings(max_examples=25, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 1000))
def test_values_stay_in_the_range_of_their_image_and_channel(config: ClassicalAugmentation, seed: int) -> None:
    before = images(seed=seed)
    after = augment(before, config, torch_generator(seed, "augment"))
    assert after.shape == before.shape
    assert (after <= before.amax(dim=(2, 3), keepdim=True) + 1e-5).all()
    assert (after >= before.amin(dim=(2, 3), keepdim=True) - 1e-5).all()


def test_zero_ranges_and_no_flips_change_nothing() -> None:
    torch.testing.assert_close(augment(images(), NOTHING, torch_generator(0, "augment")), images(), atol=1e-4, rtol=0)


def test_images_of_a_batch_move_independently_of_each_other() -> None:
    same = images(1).expand(6, -1, -1, -1)
    moved = augment(same, ClassicalAugmentation(), torch_generator(0, "augment"))
    assert all(not torch.allclose(moved[0], other, atol=1e-2) for other in moved[1:])


def test_flips_show_an_image_and_its_three_mirrors_about_equally_often() -> None:
    image = images(1)
    moved = augment(image.expand(400, -1, -1, -1), NOTHING.changed(flip=True), torch_generator(0, "augment"))
    mirrors = [image[0].flip(dims) for dims in ((), (1,), (2,), (1, 2))]
    counts = [sum(torch.allclose(one, mirror, atol=1e-4) for one in moved) for mirror in mirrors]
    assert sum(counts) == 400
    assert all(60 < count < 140 for count in counts)


def test_quarter_turns_are_the_four_exact_turns() -> None:
    image = images(1)
    config = NOTHING.changed(quarter_turns=True)
    moved = augment(image.expand(200, -1, -1, -1), config, torch_generator(0, "augment"))
    turned = [torch.rot90(image[0], turns, (1, 2)) for turns in range(4)]
    counts = [sum(torch.allclose(one, turn, atol=1e-4) for one in moved) for turn in turned]
    assert sum(counts) == 200
    assert min(counts) > 20


def test_rotation_keeps_the_distance_to_the_centre_and_moves_up_to_its_range() -> None:
    dot = torch.full((200, 3, 65, 65), -1.0)
    dot[:, :, 31:34, 51:54] = 1.0  # 20 px to the right of the centre (32, 32)
    moved = augment(dot, NOTHING.changed(rotation_deg=30.0), torch_generator(0, "augment"))
    mass = (moved[:, 0] + 1) / (moved[:, 0] + 1).sum(dim=(1, 2), keepdim=True)
    axis = torch.arange(65) - 32.0
    x, y = (mass.sum(dim=1) * axis).sum(dim=1), (mass.sum(dim=2) * axis).sum(dim=1)
    torch.testing.assert_close(torch.hypot(x, y), torch.full((200,), 20.0), atol=0.2, rtol=0)
    angles = torch.atan2(y, x).rad2deg()
    assert angles.abs().max() <= 30.5
    assert angles.min() < -25
    assert angles.max() > 25


def test_crops_lie_inside_the_image() -> None:
    ramp = torch.linspace(-1, 1, 32).expand(300, 3, 32, 32)
    moved = augment(ramp, NOTHING.changed(crop_side_min=0.5), torch_generator(0, "augment"))
    rows = moved[:, 0, 0]
    assert (rows.diff(dim=1) > 0).all()  # no reflected edge: the ramp rises everywhere
    spans = (rows[:, -1] - rows[:, 0]) / 2
    assert spans.min() > 0.48
    assert spans.max() < 1.01
    assert spans.min() < 0.55
    assert spans.max() > 0.95


def test_shear_slants_columns_and_leaves_the_middle_row() -> None:
    half = torch.full((100, 3, 33, 33), -1.0)
    half[..., 16:] = 1.0
    moved = augment(half, NOTHING.changed(shear_deg=20.0), torch_generator(0, "augment"))
    edges = (moved[:, 0] < 0).sum(dim=2).float()  # first bright column of every row
    assert (edges[:, 16] - 16).abs().max() <= 1
    slope = (edges[:, -1] - edges[:, 0]) / 32
    assert slope.abs().max() <= 0.4  # tan 20° = 0.364
    assert slope.min() < -0.25
    assert slope.max() > 0.25


def test_the_other_values_do_not_depend_on_a_changed_range() -> None:
    generators = (torch_generator(0, "augment") for _ in range(2))
    flipped, cropped_too = (
        augment(images(50), NOTHING.changed(flip=True, crop_side_min=side), generator)
        for side, generator in zip((1.0, 0.999), generators, strict=True)
    )
    assert (flipped - cropped_too).abs().mean() < 0.02


def test_channels_last_stays_channels_last() -> None:
    moved = augment(
        images().to(memory_format=torch.channels_last), ClassicalAugmentation(), torch_generator(0, "augment")
    )
    assert moved.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("wrong", [{"rotation_deg": 200}, {"crop_side_min": 0}, {"shear_deg": -1}, {"rotation": 10}])
def test_ranges_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        parse(ClassicalAugmentation, wrong, "trial.yaml")
