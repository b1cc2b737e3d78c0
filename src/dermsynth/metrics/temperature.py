"""One number that makes probabilities mean what they say (Guo et al. 2017, arXiv:1706.04599).

Labels are int64 (N,) class indices, probabilities float (N, C). It is chosen on images that taught the classifier
nothing; measured on those same images, the calibration looks better than it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the search. Where every image is right, ever lower temperatures are better."""
LEAST = 1e-30
"""In place of a probability that a float32 softmax has rounded to 0."""


def best_temperature(labels: IntArray, probabilities: FloatArray) -> float:
    """Return the temperature in [`LOWEST`, `HIGHEST`] with the smallest mean cross entropy; above 1: overconfident.

    The cross entropy is convex in 1 / T, so a search along one line finds it.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: mean_cross_entropy(labels, tempered(probabilities, float(np.exp(log_t)))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(np.exp(found.x))


def tempered(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Return float64 (N, C), the softmax of log p / T: that of scores / T, if p is the softmax of scores.

    The order of the classes of an image stays.
    """
    scores = np.log(np.maximum(probabilities, LEAST, dtype=np.float64)) / temperature
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def mean_cross_entropy(labels: IntArray, probabilities: FloatArray) -> float:
    """Return the mean of -log p of each image's own class, in nats."""
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, LEAST)).mean())
