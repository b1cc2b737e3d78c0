"""Every step does what it says, to image and mask alike, and a chain does the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermsynth.cohorts.preprocess import (
    STEPS,
    Bilateral,
    Gamma,
    HairRemoval,
    LesionCrop,
    Resize,
    ShadesOfGrey,
    Step,
    apply,
    chain_of,
)
from dermsynth.core.errors import ConfigError


def photo(width: int = 40, height: int = 24, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def through(*steps: Step, image: Image.Image, size_px: int) -> np.ndarray:
    return apply(steps, image, None, size_px)[0]


def test_crop_keeps_the_central_square() -> None:
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = (200, 100, 50)
    assert np.array_equal(through(Resize(), image=Image.fromarray(pixels), size_px=10), pixels[:, 10:20])


def test_pad_keeps_everything_between_black_bars() -> None:
    pixels = np.full((10, 30, 3), 90, dtype=np.uint8)
    square = through(Resize(fit="pad"), image=Image.fromarray(pixels), size_px=30)
    assert (square[10:20] == 90).all()
    assert not square[:10].any()
    assert not square[20:].any()


def test_squash_keeps_everything_at_another_shape() -> None:
    pixels = np.zeros((10, 40, 3), dtype=np.uint8)
    pixels[:, 20:] = 200
    square = through(Resize(fit="squash", interpolation="area"), image=Image.fromarray(pixels), size_px=10)
    assert square[0, :, 0].tolist() == [0] * 5 + [200] * 5


def test_area_is_the_mean_of_the_pixels() -> None:
    image = photo(16, 16)
    means = np.asarray(image).reshape(4, 4, 4, 4, 3).mean(axis=(1, 3))
    assert np.abs(through(Resize(interpolation="area"), image=image, size_px=4) - means).max() <= 1


def test_a_mask_follows_its_image_and_stays_zero_or_one() -> None:
    image = Image.new("RGB", (60, 40))
    mask = Image.new("L", (60, 40))
    image.paste((255, 255, 255), (24, 14, 36, 26))
    mask.paste(1, (24, 14, 36, 26))
    pixels, found = apply((Resize(),), image, mask, 20)
    assert found is not None
    assert set(np.unique(found)) == {0, 1}
    assert np.array_equal(found == 1, pixels[:, :, 0] > 127)


def test_lesion_crop_keeps_the_lesion_and_its_margin() -> None:
    mask = Image.new("L", (100, 80))
    mask.paste(1, (40, 30, 60, 40))  # 20 x 10 around (50, 35)
    image, cut = LesionCrop(margin=0.25).apply(photo(100, 80), mask, 64)
    assert cut is not None
    assert image.size == cut.size == (30, 30)
    assert cut.getbbox() == (5, 10, 25, 20)


def test_lesion_crop_stays_inside_the_photo() -> None:
    mask = Image.new("L", (50, 40))
    mask.paste(1, (0, 0, 20, 20))
    image, cut = LesionCrop(margin=0.5).apply(photo(50, 40), mask, 64)
    assert cut is not None
    assert (image.size, cut.getbbox()) == ((40, 40), (0, 0, 20, 20))


@pytest.mark.parametrize("mask", [None, Image.new("L", (40, 24))], ids=["none", "empty"])
def test_without_a_lesion_the_photo_stays_whole(mask: Image.Image | None) -> None:
    image = photo()
    assert LesionCrop().apply(image, mask, 64)[0] is image


def test_gamma_is_its_formula() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    found = np.asarray(Gamma(gamma=2.0).apply(Image.fromarray(pixels), None, 16)[0])
    assert np.array_equal(found, np.round(np.sqrt(pixels / 255) * 255).astype(np.uint8))


def test_shades_of_grey_takes_a_colour_cast_away() -> None:
    scene = np.random.default_rng(0).integers(20, 200, (32, 32, 1)).repeat(3, axis=2)
    cast = (scene * [1.2, 1.0, 0.7]).round().astype(np.uint8)
    found = np.asarray(ShadesOfGrey().apply(Image.fromarray(cast), None, 32)[0]).astype(float)
    assert np.ptp(found.mean(axis=(0, 1))) < 1.5


def test_the_bilateral_filter_smooths_noise_and_keeps_an_edge() -> None:
    generator = np.random.default_rng(0)
    clean = np.full((40, 40, 3), 60.0)
    clean[:, 20:] = 200
    noisy = np.clip(clean + generator.normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
    found = np.asarray(Bilateral().apply(Image.fromarray(noisy), None, 40)[0]).astype(float)
    assert found[:, :18].std() < 0.3 * noisy[:, :18].astype(float).std()
    assert (found[:, 20] - found[:, 19]).mean() > 130


def hairy() -> tuple[Image.Image, np.ndarray]:
    import cv2

    skin = np.full((120, 160, 3), (210, 160, 140), dtype=np.uint8)
    cv2.circle(skin, (80, 60), 30, (110, 70, 60), -1)
    hairs = skin.copy()
    for x in (20, 70, 120):
        cv2.line(hairs, (x, 0), (x + 25, 119), (40, 30, 30), 2)
    return Image.fromarray(hairs), skin


def test_hairs_are_painted_over_and_the_lesion_stays() -> None:
    image, skin = hairy()
    found = np.asarray(HairRemoval().apply(image, None, 120)[0]).astype(float)
    before = np.abs(np.asarray(image) - skin.astype(float)).mean()
    assert np.abs(found - skin).mean() < 0.15 * before
    assert np.abs(found[40:80, 72:88] - skin[40:80, 72:88]).mean() < 12


def test_short_dots_are_no_hairs() -> None:
    import cv2

    skin = np.full((120, 160, 3), (210, 160, 140), dtype=np.uint8)
    for x in range(20, 150, 20):
        cv2.circle(skin, (x, 60), 2, (70, 50, 40), -1)
    assert not HairRemoval().hairs(skin).any()


def test_steps_run_in_their_order() -> None:
    image = photo(32, 32)
    first = through(Gamma(gamma=3.0), Resize(), image=image, size_px=8)
    assert not np.array_equal(first, through(Resize(), Gamma(gamma=3.0), image=image, size_px=8))


@given(names=st.lists(st.sampled_from(sorted(STEPS)), unique=True), width=st.integers(9, 50), height=st.integers(9, 50))
def test_any_chain_gives_the_same_square_every_time(names: list[str], width: int, height: int) -> None:
    if "resize" in names:
        names.sort(key="lesion-crop".__ne__)
    chain = chain_of(names)
    mask = Image.new("L", (width, height))
    mask.paste(1, (2, 2, width // 2 + 1, height // 2 + 1))
    (first, cut), (second, _) = (apply(chain, photo(width, height), mask, 16) for _ in range(2))
    assert first.shape == (16, 16, 3)
    assert first.dtype == np.uint8
    assert cut is not None
    assert cut.shape == (16, 16)
    assert np.array_equal(first, second)


def test_a_chain_ends_with_resize_unless_it_names_it() -> None:
    assert [step.step for step in chain_of(["hair", "gamma:gamma=1.2"])] == ["hair", "gamma", "resize"]
    assert [step.step for step in chain_of(["resize:fit=pad", "bilateral"])] == ["resize", "bilateral"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["gama"], "--step gama: unknown step 'gama'; did you mean 'gamma'?"),
        (["gamma:gama=2"], "--step gamma:gama=2: unknown key 'gama'; did you mean 'gamma'?"),
        (["gamma:2"], "--step gamma:2: '2' should be KEY=VALUE"),
        (["gamma:gamma=0"], "--step gamma:gamma=0: 'gamma' is 0: Input should be greater than 0"),
        (["resize", "lesion-crop"], "--step: 'lesion-crop' after 'resize' would change the size; put it before"),
        (["resize", "resize"], "--step: 'resize' stands twice in the chain; keep one"),
    ],
)
def test_a_wrong_step_is_refused_in_one_line(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        chain_of(texts)
    assert str(error.value).startswith(message)
