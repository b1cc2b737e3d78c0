"""Every artefact that is drawn into an image is measured, and the same image without it is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dermsynth.metrics.artefacts import ARTEFACTS, artefact_scores, ink

Image = NDArray[np.uint8]
SIZES = (64, 128, 224)


def skin(size_px: int) -> Image:
    """Return skin with a lesion in the middle."""
    y, x = (np.indices((size_px, size_px)) + 0.5) / size_px * 2 - 1
    lesion = 1 / (1 + np.exp((np.hypot(x, 1.2 * y) - 0.5) / 0.04))
    noise = np.random.default_rng(0).normal(0, 2, (size_px, size_px, 1))
    bright, dark = np.array([205, 160, 145]), np.array([110, 70, 60])
    return np.clip(bright + lesion[..., None] * (dark - bright) + noise, 0, 255).astype(np.uint8)


def with_dark_corners(image: Image) -> Image:
    y, x = (np.indices(image.shape[:2]) + 0.5) / len(image) * 2 - 1
    return np.where((np.hypot(x, y) < 1.15)[..., None], image, 10).astype(np.uint8)


def with_hair(image: Image) -> Image:
    hairy, side = image.copy(), len(image)
    for start, end in (((0.05, 0.1), (0.9, 0.3)), ((0.1, 0.9), (0.8, 0.6)), ((0.2, 0.0), (0.35, 1.0))):
        ends = [tuple(round(at * side) for at in point) for point in (start, end)]
        cv2.line(hairy, ends[0], ends[1], (50, 35, 30), max(1, side // 64), cv2.LINE_AA)
    return hairy


def with_ruler(image: Image) -> Image:
    ruled, side = image.copy(), len(image)
    for number, at in enumerate(np.arange(1 / 32, 1, 1 / 16)):
        high = 0.1 if number % 5 == 0 else 0.06
        place = (round(at * side), round(0.97 * side))
        cv2.line(ruled, place, (place[0], round((0.97 - high) * side)), (20, 20, 20), max(1, side // 100))
    return ruled


ADDED = {"dark corners": with_dark_corners, "hair": with_hair, "ruler marks": with_ruler}


def present(image: Image) -> set[str]:
    scores = artefact_scores(image[None], 1)
    return {name for name, (_, least) in ARTEFACTS.items() if scores[name][0] >= least}


@pytest.mark.parametrize("size_px", SIZES)
def test_a_clean_image_has_no_artefact(size_px: int) -> None:
    assert present(skin(size_px)) == set()


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_is_found_and_not_taken_for_another(name: str, size_px: int) -> None:
    assert present(ADDED[name](skin(size_px))) == {name}


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_is_found_at_every_side(name: str, turns: int) -> None:
    assert name in present(np.ascontiguousarray(np.rot90(ADDED[name](skin(128)), turns)))


def test_a_lesion_that_fills_one_corner_is_no_dark_corner() -> None:
    image = skin(64)
    image[:30, :30] = 20
    assert "dark corners" not in present(image)


def test_scores_do_not_depend_on_the_number_of_threads() -> None:
    images = np.stack([skin(64), with_hair(skin(64)), with_ruler(skin(64))])
    one, two = (artefact_scores(images, threads) for threads in (1, 2))
    assert all((one[name] == two[name]).all() for name in ARTEFACTS)


@pytest.mark.parametrize("value", [0, 255])
def test_a_plain_image_has_finite_scores(value: int) -> None:
    scores = artefact_scores(np.full((1, 64, 64, 3), value, np.uint8), 1)
    assert all(np.isfinite(score).all() for score in scores.values())


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("colour", [(90, 60, 200), (40, 110, 200), (60, 170, 80)])
def test_ink_in_the_margin_is_measured_and_skin_is_not(size_px: int, colour: tuple[int, int, int]) -> None:
    clean = skin(size_px)
    marked = clean.copy()
    cv2.line(marked, (0, size_px // 8), (size_px, size_px // 12), colour, max(1, size_px // 20))
    found = ink(np.stack([clean, marked]))
    assert found[0] == 0
    assert found[1] > 0.02


def test_a_blue_lesion_in_the_middle_is_no_ink() -> None:
    blue = skin(64)
    cv2.circle(blue, (32, 32), 12, (70, 80, 160), -1)
    assert ink(blue[None])[0] == 0
