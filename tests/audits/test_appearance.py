"""Images that are no dermoscopy images stand out, each in its own way, and rare ones only."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from dermsynth.audits.appearance import appearance, oddities

COUNT = 60


def skin() -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    tones = generator.normal([200, 150, 135], 15, (COUNT, 1, 1, 3))
    return np.clip(tones + generator.normal(0, 12, (COUNT, 16, 16, 1)), 0, 255).astype(np.uint8)


def odd(images: NDArray[np.uint8]) -> dict[str, list[int]]:
    found = oddities(pl.DataFrame(appearance(images)))
    return {name: np.flatnonzero(rows).tolist() for name, rows in found.items() if rows.any()}


def with_first(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    images = skin()
    images[0] = np.clip(image, 0, 255).astype(np.uint8)
    return images


def test_skin_is_not_odd() -> None:
    assert odd(skin()) == {}


@pytest.mark.parametrize("value", [0, 150, 255])
def test_a_uniform_image_is_nearly_empty(value: int) -> None:
    assert odd(with_first(np.full((16, 16, 3), value))) == {"nearly empty images": [0]}


def test_a_clipped_image_is_told() -> None:
    half = np.where(np.arange(16)[:, None, None] < 8, 255, np.array([200, 150, 135])) * np.ones((16, 16, 3))
    assert odd(with_first(half)) == {"images that are mostly black or white": [0]}


def test_a_grey_image_is_without_colour() -> None:
    grey = np.random.default_rng(1).normal(160, 12, (16, 16, 1)) * np.ones(3)
    assert odd(with_first(grey)) == {"images without colour": [0]}


@pytest.mark.parametrize("colour", [(40, 160, 60), (30, 60, 220)])
def test_an_image_of_another_colour_is_unlike_the_others(colour: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).normal(0, 12, (16, 16, 1)) + np.array(colour)
    assert odd(with_first(image)) == {"images of a colour unlike the others": [0]}


def test_a_frequent_kind_of_images_is_no_outlier() -> None:
    images = skin()
    images[:20] = images[:20, ..., ::-1]
    assert odd(images) == {}


def test_of_few_images_none_is_an_outlier() -> None:
    assert odd(with_first(np.random.default_rng(1).normal(0, 12, (16, 16, 1)) + np.array([40, 160, 60]))[:5]) == {}
