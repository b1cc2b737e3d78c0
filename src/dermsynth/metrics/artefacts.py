"""What lies between the lesion and the viewer: dark corners, hair and ruler marks, measured per image.

An artefact that is more frequent in one class than in the others can be learnt in place of the lesion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray

MIN_SIZE_PX = 48
"""Below this side a hair and the gap of a ruler are thinner than a pixel."""

Grey = NDArray[np.uint8]

_SIDE_PX = 128  # larger images are reduced: the scores then mean the same at all sizes
_DARK = 0.4  # of the image's median brightness
_HAIR_CONTRAST, _HAIR_DIRECTIONS = 12, 12
_TICK_CONTRAST = 3.0


def dark_corners(grey: Grey) -> float:
    """Return how much of the corners is dark, 0 to 1: of the second darkest, since a lesion may lie in one."""
    import cv2

    dark = (grey < _DARK * np.median(grey)).astype(np.uint8)
    dark = cv2.erode(dark, np.ones((3, 3), np.uint8)).astype(np.bool_)  # hair and ruler marks are thin
    return float(sorted(dark[corner].mean() for corner in _corners(len(grey)))[-2])


def hair(grey: Grey) -> float:
    """Return the share of the image that is covered by dark lines at least a quarter of its side long.

    Lines are what the black-hat transform leaves (Lee et al. 1997, DullRazor, doi:10.1016/S0010-4825(97)00020-6) and
    an opening by a straight segment in one of 12 directions keeps.
    """
    import cv2

    width = _odd(0.07 * len(grey))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    thin = (cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, disc) > _HAIR_CONTRAST).astype(np.uint8)
    lines = np.zeros_like(thin)
    for segment in _segments(_odd(0.25 * len(grey))):
        lines |= cv2.dilate(cv2.erode(thin, segment, borderValue=0), segment).astype(np.uint8)
    return float(lines.mean())


def ruler_marks(grey: Grey) -> float:
    """Return how strictly thin dark lines repeat along a border, 0 to 1.

    It is the least autocorrelation at one, two and three gaps. Rows and columns in the outer 30 % of the image are
    searched, for gaps of 2.5 to 12 % of its side.
    """
    import cv2

    side = len(grey)
    depth = max(3, round(0.05 * side))
    step, gaps = depth // 2, range(max(3, round(0.025 * side)), round(0.12 * side))
    best = 0.0
    for along in (grey, np.ascontiguousarray(grey.T)):
        lines = cv2.morphologyEx(along, cv2.MORPH_BLACKHAT, np.ones((1, _odd(0.05 * side)), np.uint8))
        strips = np.asarray(cv2.blur(lines.astype(np.float32), (1, depth)), np.float32)[step::step]
        outer = int(0.3 * side) // step
        strips = np.concatenate([strips[:outer], strips[-outer:]])
        profiles = strips - cv2.blur(strips, (gaps.stop | 1, 1))
        profiles = profiles[profiles.std(axis=1) > _TICK_CONTRAST]
        if len(profiles):
            repeated = _autocorrelation(profiles)
            for gap in gaps:
                several = [repeated[:, n * gap - (n > 1) : n * gap + 1 + (n > 1)].max(axis=1) for n in (1, 2, 3)]
                best = max(best, float(np.min(several, axis=0).max()))
    return min(best, 1.0)


ARTEFACTS: dict[str, tuple[Callable[[Grey], float], float]] = {
    "dark corners": (dark_corners, 0.1),
    "hair": (hair, 0.005),
    "ruler marks": (ruler_marks, 0.6),
}
"""Every artefact's score and the least score at which an image is said to have it."""


def artefact_scores(
    images: NDArray[np.uint8], threads: int, names: Collection[str] = tuple(ARTEFACTS)
) -> dict[str, NDArray[np.float64]]:
    """Return artefacts' scores for n x H x W x 3 images of at least `MIN_SIZE_PX`."""
    with ThreadPoolExecutor(threads) as pool:
        scores = list(pool.map(lambda image: _scores(image, names), images))
    return dict(zip(names, np.array(scores).T, strict=True))


def ink(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return, for n x H x W x 3 images, the share of the margin that is blue, violet or green, as ink and rulers are.

    The margin is the outer 22 % on every side. A pixel counts if its green or blue exceeds its red by more than 35
    levels, by 45 more than that of the image's median pixel, and it is not much darker than that. A blue lesion that
    reaches the margin counts as well: of 7,496 ISIC 2018 images 35 have more than 0.003, and 16 of these show ink, a
    ruler or another foreign thing. So it is a measure for comparing sets, and no detector.
    """
    margin = _margin(images.shape[1])
    found = np.empty(len(images))
    for number, image in enumerate(images):
        red, green, blue = np.moveaxis(image.astype(np.float32), 2, 0)
        cool, light = np.maximum(green, blue) - red, red + green + blue
        marked = (cool > 35) & (cool - np.median(cool) > 45) & (light > 0.4 * np.median(light))
        found[number] = marked[margin].mean()
    return found


def _scores(image: NDArray[np.uint8], names: Collection[str]) -> list[float]:
    grey = _grey(image)
    return [ARTEFACTS[name][0](grey) for name in names]


def _grey(image: NDArray[np.uint8]) -> Grey:
    import cv2

    if len(image) > _SIDE_PX:
        image = np.asarray(cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.transform(image, np.full((1, 3), 1 / 3)), np.uint8)


def _autocorrelation(profiles: NDArray[np.float32]) -> NDArray[np.float64]:
    length = profiles.shape[1]
    power = np.abs(np.fft.rfft(profiles, 2 * length, axis=1)) ** 2
    sums = np.fft.irfft(power, axis=1)[:, :length]
    return np.asarray(sums / sums[:, :1] * length / (length - np.arange(length)))


@cache
def _corners(side: int) -> list[NDArray[np.bool_]]:
    """Return what lies outside a circle of 1.2 times the half side, a corner each."""
    y, x = (np.indices((side, side)) + 0.5) / side * 2 - 1
    outside = np.hypot(x, y) > 1.2
    return [outside & (up * y > 0) & (left * x > 0) for up in (-1, 1) for left in (-1, 1)]


@cache
def _margin(side: int) -> NDArray[np.bool_]:
    y, x = np.abs((np.indices((side, side)) + 0.5) / side * 2 - 1)
    return np.asarray(np.maximum(y, x) > 0.56)


@cache
def _segments(length: int) -> list[NDArray[np.uint8]]:
    import cv2

    middle = length // 2
    found = []
    for angle in np.pi * np.arange(_HAIR_DIRECTIONS) / _HAIR_DIRECTIONS:
        x, y = round(middle * np.cos(angle)), round(middle * np.sin(angle))
        segment = np.zeros((length, length), np.uint8)
        cv2.line(segment, (middle - x, middle - y), (middle + x, middle + y), 1)
        found.append(segment)
    return found


def _odd(size: float) -> int:
    return max(3, round(size)) | 1
