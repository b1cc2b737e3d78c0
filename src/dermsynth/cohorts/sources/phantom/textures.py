"""A bank of seamless textures that every phantom image samples: clouds and cells.

The bank is the same for every seed. What differs between lesions is where, how large and how strongly it is sampled, so
an image costs a few lookups instead of noise of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.core.randomness import numpy_generator

Field = NDArray[np.floating[Any]]
"""A map over the pixels of one photo: float32 throughout (NumPy's type hints widen products with Python numbers)."""

TILE_TEXELS = 256
CLOUD_CYCLES = 6
"""Lowest frequency of the clouds, in cycles a tile."""
CELLS = 16
"""Cells along one side of a tile."""
_LEVELS = 4


@dataclass(frozen=True)
class Points:
    """Where the pixels of one photo lie on the skin: `u` and `v` (H x W, in half widths) and the size of a pixel."""

    u: Field
    v: Field
    pixel: float

    @cached_property
    def coarse(self) -> Points:
        """Every other pixel, for what varies slowly."""
        import cv2

        half = (self.u.shape[1] // 2, self.u.shape[0] // 2)
        u, v = (np.asarray(cv2.resize(p, half, interpolation=cv2.INTER_AREA), np.float32) for p in (self.u, self.v))
        return Points(u, v, 2.0 * self.pixel)


def clouds(points: Points, wavelength: float, offset: NDArray[np.float64]) -> tuple[Field, ...]:
    """Return four independent fractal noises (mean 0, standard deviation 1) with blobs of at most `wavelength`."""
    return _sample(_clouds(), points, 1.0 / (CLOUD_CYCLES * wavelength), offset)


def swells(points: Points, wavelength: float, offset: NDArray[np.float64]) -> tuple[Field, ...]:
    """Return four independent smooth noises (mean 0, standard deviation 1): clouds without their fine detail."""
    import cv2

    size = points.u.shape[::-1]
    fields = _sample(_swells(), points.coarse, 1.0 / (CLOUD_CYCLES * wavelength), offset)
    return tuple(np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_LINEAR), np.float32) for field in fields)


def cells(points: Points, width: float, offset: NDArray[np.float64]) -> tuple[Field, ...]:
    """Return an irregular honeycomb with cells of about `width`.

    Four maps: the web between the cells in [0, 1], the distance to the cell's centre in cell widths, and two numbers
    in [0, 1] that are constant in each cell.
    """
    return _sample(_cells(), points, 1.0 / (CELLS * width), offset)


def clip(values: Field, low: float, high: float) -> Field:
    """Return the values limited to [low, high], as float32."""
    limited: Field = np.clip(values, np.float32(low), np.float32(high))
    return limited


def spots(distance: Field, number: Field, share: float, radius: Field | float, softness: float = 0.12) -> Field:
    """Return soft discs in [0, 1] around the centres of a `share` of the cells."""
    chosen = clip((share - number) * 8.0 + 0.5, 0.0, 1.0)
    disc: Field = clip((radius - distance) / softness + 0.5, 0.0, 1.0) * chosen
    return disc


def _sample(
    levels: tuple[Field, ...], points: Points, frequency: float, offset: NDArray[np.float64]
) -> tuple[Field, ...]:
    import cv2

    texels_per_pixel = points.pixel * frequency * TILE_TEXELS
    # A coarser copy for small images: details below a pixel fade instead of turning into noise.
    level = min(_LEVELS - 1, max(0, round(float(np.log2(max(texels_per_pixel, 1.0))))))
    side = TILE_TEXELS >> level
    scale = frequency * side
    x = _wrapped(points.u * scale + float(offset[0] * side), side)
    y = _wrapped(points.v * scale + float(offset[1] * side), side)
    found = cv2.remap(levels[level], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return tuple(np.asarray(channel, np.float32) for channel in cv2.split(found))


def _wrapped(position: Field, side: int) -> Field:
    wrapped: Field = position - np.floor(position * (1.0 / side)) * side
    return wrapped


@cache
def _clouds() -> tuple[Field, ...]:
    return _noise("phantom clouds", 1.9)


@cache
def _swells() -> tuple[Field, ...]:
    return _noise("phantom swells", 3.6)


def _noise(purpose: str, steepness: float) -> tuple[Field, ...]:
    frequency = np.fft.fftfreq(TILE_TEXELS, 1 / TILE_TEXELS)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    amplitude = np.where(radius >= CLOUD_CYCLES, np.maximum(radius, 1.0) ** -steepness, 0.0)
    noise = numpy_generator(0, purpose).standard_normal((4, TILE_TEXELS, TILE_TEXELS))
    fields = np.fft.ifft2(np.fft.fft2(noise) * amplitude).real
    fields /= fields.std(axis=(1, 2), keepdims=True)
    return _pyramid(np.moveaxis(fields, 0, -1).astype(np.float32))


@cache
def _cells() -> tuple[Field, ...]:
    rng = numpy_generator(0, "phantom cells")
    centres = rng.uniform(0.0, 1.0, (CELLS, CELLS, 2))
    numbers = rng.random((CELLS, CELLS, 2)).astype(np.float32)
    position = (np.arange(TILE_TEXELS) + 0.5) * CELLS / TILE_TEXELS
    y, x = np.meshgrid(position, position, indexing="ij")
    row, column = y.astype(int), x.astype(int)
    nearest = np.full(x.shape, np.inf)
    second = np.full(x.shape, np.inf)
    number = np.zeros((*x.shape, 2), np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = (row + down) % CELLS, (column + right) % CELLS
            centre_y = row + down + centres[r, c, 0]
            centre_x = column + right + centres[r, c, 1]
            distance = np.hypot(y - centre_y, x - centre_x)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            nearest = np.where(closer, distance, nearest)
            number[closer] = numbers[r, c][closer]
    web = np.exp(-(((second - nearest) / 0.22) ** 2))
    return _pyramid(np.dstack([web, nearest, number]).astype(np.float32))


def _pyramid(finest: Field) -> tuple[Field, ...]:
    levels = [finest]
    for _ in range(_LEVELS - 1):
        last = levels[-1]
        side = last.shape[0] // 2
        levels.append(last.reshape(side, 2, side, 2, -1).mean(axis=(1, 3), dtype=np.float32))
    # The first row and column once more at the end, so that the last texel blends into the first of the next tile.
    return tuple(np.pad(level, ((0, 1), (0, 1), (0, 0)), mode="wrap") for level in levels)
