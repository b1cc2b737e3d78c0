"""The regular grid that strided and transposed convolutions leave in generated images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]

_LUMINANCE = np.array([0.299, 0.587, 0.114])
_AROUND = 2
"""Frequencies on each side that a peak is compared with."""


def checkerboard(images: npt.NDArray[np.uint8]) -> FloatArray:
    """Return how far the largest peak of the spectrum at a period of 2 or 4 pixels stands out, in dB.

    Generators that double the side with strides of 2 leave a grid of these periods (Odena et al. 2016,
    doi:10.23915/distill.00003): lines in the spectrum at multiples of a quarter of the sampling frequency. Each is
    compared with the median power of the 24 frequencies around it; a photo has peaks of some dB there, by chance.

    Args:
        images: uint8 n x S x S x 3, S a multiple of 4 and at least 16.

    Raises:
        InputError: images of another type or size.
    """
    size = images.shape[1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or size < 16 or size % 4 or images.shape[1:] != (size, size, 3):
        raise InputError(
            f"images are {images.dtype} {images.shape}; a grid is looked for in uint8 n x S x S x 3, 4 | S"
        )
    # Without a window the jump from one border to the other would draw a cross over the spectrum.
    window = np.hanning(size)[:, None] * np.hanning(size)
    return np.array([_peak(image @ _LUMINANCE, window) for image in images], dtype=np.float64)


def _peak(luminance: FloatArray, window: FloatArray) -> float:
    size = len(luminance)
    power = np.abs(np.fft.fft2((luminance - luminance.mean()) * window)) ** 2 + 1e-9
    around = np.pad(power, _AROUND, mode="wrap")
    width = 2 * _AROUND + 1
    places = [(y, x) for y in (0, size // 4, size // 2) for x in (0, size // 4, size // 2, 3 * size // 4) if y or x]
    rows, columns = np.array(places).T
    neighbourhoods = sliding_window_view(around, (width, width))[rows, columns].reshape(len(places), -1)
    usual = np.median(np.delete(neighbourhoods, width**2 // 2, axis=1), axis=1)
    return float((10 * np.log10(power[rows, columns] / usual)).max())
