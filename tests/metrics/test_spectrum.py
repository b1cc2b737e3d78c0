"""Spectra find waves where they are, and traces that the eye overlooks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dermsynth.core.errors import InputError
from dermsynth.metrics.spectrum import radial_spectrum, spectrum_distance


def photos(n: int, seed: int, side_px: int = 64) -> np.ndarray:
    """Return images of blurred noise with some grain."""
    generator = np.random.default_rng(seed)
    coarse = generator.normal(0, 60, (n, side_px, side_px, 3)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 2) * 4 for image in coarse])
    return np.clip(128 + smooth + generator.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("down", "right", "ring"), [(0, 8, 8), (20, 0, 20), (6, 8, 10), (9, 12, 15)])
def test_a_wave_is_found_at_its_frequency_in_any_direction(down: int, right: int, ring: int) -> None:
    y, x = np.indices((64, 64)) / 64
    wave = 128 + 50 * np.sin(2 * np.pi * (down * y + right * x))
    image = np.repeat(wave[..., None], 3, axis=2).round().astype(np.uint8)[None]
    found = radial_spectrum(image)[0]
    assert abs(int(found.argmax()) - ring) <= 1  # the window widens a line by one bin
    assert found.max() - np.median(found) > 30


def test_white_noise_is_level() -> None:
    noise = np.random.default_rng(0).normal(128, 20, (60, 32, 32, 1)).repeat(3, axis=3).clip(0, 255).astype(np.uint8)
    found = radial_spectrum(noise).mean(axis=0)[2:]  # the lowest hold what subtracting the mean took away
    assert found.max() - found.min() < 1.5
    assert found.mean() == pytest.approx(10 * np.log10((20 / 255) ** 2), abs=1)


def test_ten_times_the_contrast_are_twenty_decibels() -> None:
    wave = np.sin(np.indices((32, 32))[1] * 2 * np.pi * 5 / 32)[None, ..., None].repeat(3, axis=3)
    strong, weak = ((128 + height * wave).round().astype(np.uint8) for height in (100, 10))
    assert radial_spectrum(strong)[0, 5] - radial_spectrum(weak)[0, 5] == pytest.approx(20, abs=0.3)


def test_new_images_are_near_and_altered_ones_far() -> None:
    real, others = photos(40, 0), photos(40, 1)
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 1) for image in others])
    upsampled = others[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    spectra = radial_spectrum(real)
    near, soft, coarse = (spectrum_distance(spectra, radial_spectrum(x)) for x in (others, blurred, upsampled))
    assert near < 1
    assert min(soft, coarse) > 10 * near


def test_an_empty_image_has_a_finite_spectrum() -> None:
    assert np.isfinite(radial_spectrum(np.zeros((1, 16, 16, 3), np.uint8))).all()


@pytest.mark.parametrize("images", [photos(2, 0) / 255, photos(2, 0)[..., 0], photos(2, 0)[:, :32]])
def test_unusable_images_are_refused(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="a spectrum needs uint8"):
        radial_spectrum(images)


def test_images_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(InputError, match="8 and 16 dimensions"):
        spectrum_distance(radial_spectrum(photos(2, 0, 16)), radial_spectrum(photos(2, 0, 32)))
