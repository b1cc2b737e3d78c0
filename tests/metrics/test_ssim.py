"""Structural similarity: its laws, and which scales an image has. tests/reference compares the values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.core.errors import InputError
from dermsynth.metrics.ssim import ms_ssim, random_pairs, scales


def noise(n: int, seed: int, side_px: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side_px, side_px, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("side_px", "count"),
    [(11, 1), (21, 1), (22, 2), (43, 2), (44, 3), (64, 3), (87, 3), (88, 4), (128, 4), (175, 4), (176, 5), (512, 5)],
)
def test_an_image_has_the_scales_that_the_window_fits_into(side_px: int, count: int) -> None:
    assert scales(side_px) == count


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), side_px=st.integers(11, 60))
def test_an_image_is_wholly_similar_to_itself_and_similarity_is_mutual(seed: int, side_px: int) -> None:
    a, b = noise(2, seed, side_px), noise(2, seed + 1, side_px)
    np.testing.assert_allclose(ms_ssim(a, a), 1)
    np.testing.assert_allclose(ms_ssim(a, b), ms_ssim(b, a))
    assert (ms_ssim(a, b) < 0.9).all()


def test_constant_images_differ_in_brightness_alone() -> None:
    dark, light = np.full((1, 16, 16, 3), 50, np.uint8), np.full((1, 16, 16, 3), 150, np.uint8)
    c = (0.01 * 255) ** 2
    np.testing.assert_allclose(ms_ssim(dark, light), (2 * 50 * 150 + c) / (50**2 + 150**2 + c))


def test_a_negative_image_is_not_similar() -> None:
    image = noise(3, 0)
    np.testing.assert_allclose(ms_ssim(image, 255 - image), 0)


def test_many_pairs_are_each_what_they_are_alone() -> None:
    a, b = noise(40, 0, 22), noise(40, 1, 22)
    np.testing.assert_allclose(ms_ssim(a, b)[[0, 17, 39]], [ms_ssim(a[[i]], b[[i]])[0] for i in (0, 17, 39)])


def test_few_images_are_compared_in_all_pairs() -> None:
    for pairs in (6, 99):
        assert sorted(zip(*random_pairs(4, pairs, seed=3), strict=True)) == [
            (0, 1),
            (0, 2),
            (0, 3),
            (1, 2),
            (1, 3),
            (2, 3),
        ]


def test_pairs_are_drawn_by_the_seed_each_once_and_never_of_one_image() -> None:
    first, second = random_pairs(30, 200, seed=1)
    assert (first < second).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 200
    assert set(first) | set(second) == set(range(30))
    assert (random_pairs(30, 200, seed=1)[0] == first).all()
    assert (random_pairs(30, 200, seed=2)[0] != first).any()


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (noise(2, 0, 10), noise(2, 1, 10), "images of 10 px; structural similarity needs 11"),
        (noise(2, 0, 16), noise(2, 1, 20), r"uint8 \(2, 16, 16, 3\) and uint8 \(2, 20, 20, 3\)"),
        (noise(2, 0) / 255, noise(2, 1) / 255, "expected twice uint8"),
    ],
)
def test_unusable_images_are_refused(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ms_ssim(a, b)


def test_one_image_makes_no_pair() -> None:
    with pytest.raises(InputError, match="1 images; a pair needs 2"):
        random_pairs(1, 5)
