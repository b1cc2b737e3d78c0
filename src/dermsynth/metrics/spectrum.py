"""Do images have as much of every fineness as real ones? Upsampling in a generator leaves its traces here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.features import FloatArray, checked_pair

Pixels = npt.NDArray[np.uint8]

_LUMINANCE = np.array([0.299, 0.587, 0.114])
_QUIETEST = 1 / (12 * 255.0**2)
"""The power of rounding to 8 bits, below which there is nothing to see."""


def radial_spectrum(images: Pixels) -> FloatArray:
    """Return the power of every image's luminance at each spatial frequency, in dB, float64 n x (S // 2).

    Column i is the mean over all directions of the power at i to i + 1 periods per image side, up to the Nyquist
    frequency (Durall et al. 2020, arXiv:2003.01826, equation 2). A Hann window keeps the borders, where an image does
    not continue on its other side, from filling the high frequencies.

    Args:
        images: uint8 n x S x S x 3, S at least 4.

    Raises:
        InputError: images of another size or type.
    """
    size = images.shape[1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3) or size < 4:
        raise InputError(f"images are {images.dtype} {images.shape}; a spectrum needs uint8 N x S x S x 3, S >= 4")
    frequencies = np.fft.fftfreq(size, 1 / size)
    ring = np.hypot(frequencies[:, None], frequencies[None, :]).astype(np.int64).ravel()
    places = np.bincount(ring)[: size // 2]
    window = np.outer(np.hanning(size + 1)[:-1], np.hanning(size + 1)[:-1])
    window /= np.sqrt((window**2).mean())
    found = np.empty((len(images), size // 2))
    for row, image in enumerate(images):
        luminance = image @ _LUMINANCE / 255
        power = np.abs(np.fft.fft2((luminance - luminance.mean()) * window)) ** 2 / size**2
        mean = np.bincount(ring, power.ravel())[: size // 2] / places
        found[row] = 10 * np.log10(mean + _QUIETEST)
    return found


def spectrum_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the root mean square, over spatial frequencies, of the difference of two sets' mean spectra, in dB.

    Args:
        a: float n x F, of `radial_spectrum`; `b`: float m x F.

    Raises:
        InputError: no image, images of different sizes, or a value that is not finite.
    """
    first, second = checked_pair(a, b, at_least=1)
    difference = first.mean(axis=0) - second.mean(axis=0)
    return float(np.sqrt((difference**2).mean()))
