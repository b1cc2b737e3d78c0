"""What an image looks like as a whole, so that one that is no dermoscopy image stands out."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

UNIFORM, CLIPPED, COLOURLESS = 3.0, 0.3, 2.0
"""Of the 10,015 images of HAM10000 the flattest has a spread of 5.4 grey levels, the most clipped 12 % of its pixels at
the end of the scale, and the greyest a mean difference of 6.8 levels between its channels."""
FAR = 8.0
"""Robust standard deviations from the median of the cohort; the farthest image of HAM10000 lies at 5.8."""
_FEWEST, _LEAST_DEVIATION = 20, 3.0  # of few images no rule can be read, and equal ones deviate by noise alone
_SIDE_PX = 64  # so many pixels of a row and a column tell it as well
_MIDDLE, _MIDDLE_WIDTH = (0.05, 0.95), 3.29  # the middle 90 % of a normal distribution is 3.29 standard deviations wide


def appearance(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return per image (n x H x W x 3) its spread of grey levels, its shares of clipped pixels, and its colour."""
    step = max(1, images.shape[1] // _SIDE_PX)
    pixels = images[:, ::step, ::step].reshape(len(images), -1, 3)
    clipped = ((pixels.min(axis=2) >= 250) | (pixels.max(axis=2) <= 5)).mean(axis=1)
    red, green, blue = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32)
    grey = (red + green + blue) / 3
    found = {
        "spread": grey.std(axis=1),
        "clipped": clipped,
        "colour": (np.abs(red - green) + np.abs(green - blue)).mean(axis=1),
        "brightness": np.median(grey, axis=1),
        "redness": np.median(red - green, axis=1) / 2,
        "yellowness": np.median(red + green - 2 * blue, axis=1) / 4,
    }
    return {name: values.astype(np.float64) for name, values in found.items()}


def oddities(looks: pl.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return, for the columns of `appearance`, which images are odd in which way; an image is odd in one way only.

    Nearly empty, clipped and colourless images are told by fixed limits. The colour is compared with the cohort's own:
    an image is unlike the others if its median brightness, redness or yellowness lies `FAR` robust standard deviations
    from the median of all images: the width of the middle 90 % divided by 3.29, at least 3 levels. Up to one image in
    twenty cannot widen it, and a kind of images that is more frequent is no outlier.
    """
    found = {
        "nearly empty images": (looks["spread"] < UNIFORM).to_numpy(),
        "images that are mostly black or white": (looks["clipped"] > CLIPPED).to_numpy(),
        "images without colour": (looks["colour"] < COLOURLESS).to_numpy(),
        "images of a colour unlike the others": np.zeros(looks.height, np.bool_),
    }
    if looks.height >= _FEWEST:
        values = looks.select("brightness", "redness", "yellowness").to_numpy()
        low, high = np.quantile(values, _MIDDLE, axis=0)
        deviation = np.maximum((high - low) / _MIDDLE_WIDTH, _LEAST_DEVIATION)
        away = np.abs(values - np.median(values, axis=0)) / deviation
        found["images of a colour unlike the others"] = (away > FAR).any(axis=1)
    told = np.zeros(looks.height, np.bool_)
    for name, odd in found.items():
        found[name] = odd & ~told
        told |= odd
    return found
