"""Multi-scale structural similarity: how alike are two images to the eye, by brightness, contrast and structure?

As a measure of diversity (Odena et al. 2017, arXiv:1610.09585, section 4.2): pairs of images of one class are more
alike where a generator draws the same picture again and again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator

Pixels = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales (Wang et al. 2003), the finest first."""
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_PAIRS_AT_ONCE = 16


def scales(side_px: int) -> int:
    """Return how many scales an image has, 1 to 5: as many as leave room for the window of 11 px.

    5 from 176 px on, 4 from 88, 3 from 44, 2 from 22. Values of different numbers of scales do not compare.

    Raises:
        InputError: less than 11 px.
    """
    found = sum(side_px >> scale >= _WINDOW_PX for scale in range(len(WEIGHTS)))
    if not found:
        raise InputError(f"images of {side_px} px; structural similarity needs {_WINDOW_PX}")
    return found


def ms_ssim(a: Pixels, b: Pixels) -> FloatArray:
    """Return the similarity of n pairs of images, 0 to 1 (the same image), float64 (n,).

    Wang et al. 2003 (doi:10.1109/ACSSC.2003.1292216): Gaussian window of 11 px and deviation 1.5, no padding, every
    colour alone and their mean, scales by 2 x 2 means. Where the images have fewer than five scales, the weights of
    the finest ones are scaled to the sum 1. A negative contrast-structure term counts as 0, as its power is undefined.

    Args:
        a: uint8 n x H x W x 3; `b`: of the same shape.

    Raises:
        InputError: other types or shapes, or less than 11 px.
    """
    if a.shape != b.shape or a.ndim != 4 or a.shape[3] != 3 or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise InputError(f"images are {a.dtype} {a.shape} and {b.dtype} {b.shape}; expected twice uint8 N x H x W x 3")
    count = scales(min(a.shape[1:3]))
    weights = np.array(WEIGHTS[:count]) / sum(WEIGHTS[:count])
    starts = range(0, len(a), _PAIRS_AT_ONCE)
    found = [_of_pairs(a[i : i + _PAIRS_AT_ONCE], b[i : i + _PAIRS_AT_ONCE], weights) for i in starts]
    return np.concatenate([np.empty(0), *found])


def random_pairs(images: int, pairs: int, *, seed: int = 0) -> tuple[Rows, Rows]:
    """Return the rows of random pairs of different images, each pair at most once; all pairs if there are no more.

    Args:
        images: How many images there are, of one class.
        pairs: How many pairs are drawn.
        seed: Draws them.

    Raises:
        InputError: fewer than 2 images.
    """
    if images < 2:
        raise InputError(f"{images} images; a pair needs 2")
    first, second = np.triu_indices(images, 1)
    if len(first) > pairs:
        drawn = numpy_generator(seed, "pairs").choice(len(first), pairs, replace=False)
        first, second = first[drawn], second[drawn]
    return first.astype(np.int64), second.astype(np.int64)


def _of_pairs(a: Pixels, b: Pixels, weights: FloatArray) -> FloatArray:
    """Return the similarities of some pairs, all of them and all colours filtered at once."""
    # OpenCV filters an image of many channels: pairs and colours become its last axis.
    x, y = (np.moveaxis(each, 0, 2).reshape(*each.shape[1:3], -1).astype(np.float64) for each in (a, b))
    product: FloatArray = np.ones(x.shape[2])
    for scale, weight in enumerate(weights):
        if scale:
            x, y = _halved(x), _halved(y)
        luminance, contrast = _terms(x, y)
        term = luminance * contrast if scale == len(weights) - 1 else contrast
        product *= np.maximum(term.mean(axis=(0, 1)), 0) ** weight
    means: FloatArray = product.reshape(len(a), -1).mean(axis=1)
    return means


def _terms(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the luminance and the contrast-structure term at every place that the window fits into."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    spread_x, spread_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    together = _blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return luminance, (2 * together + _C2) / (spread_x + spread_y + _C2)


def _blurred(x: FloatArray) -> FloatArray:
    import cv2

    window = cv2.getGaussianKernel(_WINDOW_PX, _SIGMA_PX)
    edge = _WINDOW_PX // 2
    return np.asarray(cv2.sepFilter2D(x, cv2.CV_64F, window, window)[edge:-edge, edge:-edge], dtype=np.float64)


def _halved(x: FloatArray) -> FloatArray:
    height, width = x.shape[0] // 2, x.shape[1] // 2
    halved: FloatArray = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean(axis=(1, 3))
    return halved
