"""The offline default: colour layout, edge directions and spectrum, computed without weights.

It sees what a glance at a thumbnail sees (where which colour is, how sharp, how grainy) and no anatomy. Use it to
compare pools made at one size with each other and with real images; its distances are no Inception FIDs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.errors import InputError

NAME = "handmade-1"
"""Goes up with every change of what is computed: distances of different versions do not compare."""
_GRID = 8
_DIRECTIONS = 8
_RINGS = 12
_CHUNK = 256

Floats = NDArray[np.float64]


def encode(images: NDArray[np.uint8]) -> Floats:
    """Return features (N x 236, float64) of images (N x S x S x 3, uint8, S a multiple of 8 and at least 16).

    192 values: mean colour of 8 x 8 cells, in [0, 1]. 32: edge strength of 8 directions in 2 x 2 quarters, square
    root. 12: mean log power of the luminance in rings of equal width up to the Nyquist frequency, in units of 10 dB.

    Raises:
        InputError: images of another size or type.
    """
    size = images.shape[1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or not can_encode(size) or images.shape[1:] != (size, size, 3):
        raise InputError(
            f"images are {images.dtype} {images.shape}; this encoder needs uint8 N x S x S x 3 with S a multiple of 8"
        )
    chunks = [_encode(images[start : start + _CHUNK]) for start in range(0, len(images), _CHUNK)]
    return np.concatenate(chunks) if chunks else np.empty((0, 3 * _GRID**2 + 4 * _DIRECTIONS + _RINGS))


def can_encode(size_px: int) -> bool:
    """Return whether images of this size can be encoded: the side is a multiple of 8 and at least 16."""
    return size_px >= 16 and size_px % _GRID == 0


def _encode(images: NDArray[np.uint8]) -> Floats:
    scaled = images.astype(np.float32) / 255.0
    luminance = scaled @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    blocks = [_colour_layout(scaled), _edges(luminance), _spectrum(luminance)]
    return np.concatenate([block.astype(np.float64) for block in blocks], axis=1)


def _colour_layout(images: NDArray[np.float32]) -> NDArray[np.float32]:
    count, size = images.shape[:2]
    cell = size // _GRID
    means: NDArray[np.float32] = images.reshape(count, _GRID, cell, _GRID, cell, 3).mean(axis=(2, 4))
    return means.reshape(count, -1)


def _edges(luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    count, size = luminance.shape[:2]
    down, right = np.gradient(luminance, axis=(1, 2))
    strength = np.hypot(down, right)
    # A direction and its opposite are one edge.
    bins = ((np.arctan2(down, right) % np.pi) / np.pi * _DIRECTIONS).astype(np.int64) % _DIRECTIONS
    half = size // 2
    found = np.empty((count, 4, _DIRECTIONS), dtype=np.float32)
    for quarter, (top, left) in enumerate([(0, 0), (0, half), (half, 0), (half, half)]):
        window = (slice(None), slice(top, top + half), slice(left, left + half))
        for direction in range(_DIRECTIONS):
            found[:, quarter, direction] = (strength[window] * (bins[window] == direction)).mean(axis=(1, 2))
    return np.sqrt(found).reshape(count, -1)


def _spectrum(luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    size = luminance.shape[1]
    centred = luminance - luminance.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centred)) ** 2 / size**2
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    ring = np.minimum((radius / 0.5 * _RINGS).astype(np.int64), _RINGS - 1)
    rings = [power[:, ring == number].mean(axis=1) for number in range(_RINGS)]
    # The floor is the power of rounding to 8 bits, below which there is nothing to see.
    return np.log10(np.stack(rings, axis=1) + 1 / (12 * 255.0**2)).astype(np.float32)
