"""A planted grid stands out of the spectrum; photos and their brightness do not."""

from __future__ import annotations

import numpy as np
import pytest

from dermsynth.core.errors import InputError
from dermsynth.metrics.checkerboard import checkerboard


def photos(n: int, size: int = 32) -> np.ndarray:
    noise = np.random.default_rng(0).normal(128, 12, (n, size, size, 3))
    return np.clip(noise + 40 * np.hanning(size)[:, None, None], 0, 255).astype(np.uint8)


def grid(size: int, period: int) -> np.ndarray:
    y, x = np.indices((size, size)) // (period // 2)
    return np.where((x + y) % 2, 12, -12)[..., None]


@pytest.mark.parametrize("period", [2, 4])
def test_a_grid_of_a_period_of_two_or_four_pixels_stands_out(period: int) -> None:
    plain = photos(20)
    marked = np.clip(plain + grid(32, period), 0, 255).astype(np.uint8)
    assert checkerboard(marked).min() > checkerboard(plain).max()


def test_stripes_stand_out_too() -> None:
    plain = photos(20)
    striped = np.clip(plain + np.where(np.arange(32) % 2, 6, -6)[:, None, None], 0, 255).astype(np.uint8)
    assert checkerboard(striped).min() > checkerboard(plain).max()


def test_mirrors_and_quarter_turns_change_nothing() -> None:
    images = photos(5)
    turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2))[:, :, ::-1])
    np.testing.assert_allclose(checkerboard(turned), checkerboard(images), atol=1e-6)


def test_an_even_image_has_no_grid() -> None:
    assert checkerboard(np.full((1, 16, 16, 3), 200, np.uint8))[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 18, 18, 3), (1, 12, 12, 3), (1, 16, 16)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a grid is looked for in"):
        checkerboard(np.zeros(shape, np.uint8))
