"""What is chosen on validation once the training is over: a temperature, and thresholds for single classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.metrics.operating import at_threshold, threshold_for_sensitivity, threshold_for_specificity
from dermsynth.metrics.temperature import best_temperature, mean_cross_entropy, tempered

SHARE = 0.9
"""The sensitivity or specificity that an operating point is to have."""


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Return the `temperature` of a card: its `value`, and the cross entropy on the images that it was fitted on.

    Args:
        labels: int64 (N,), of validation.
        probabilities: float64 (N, C).
    """
    value = best_temperature(labels, probabilities)
    return {
        "value": value,
        "fitted_on": "val",
        "images": len(labels),
        "cross_entropy_before": mean_cross_entropy(labels, probabilities),
        "cross_entropy_after": mean_cross_entropy(labels, tempered(probabilities, value)),
    }


def operating_points(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the `operating_points` of a card: for every class the thresholds with 90 % specificity and sensitivity.

    An image is called the class if its probability of it is the threshold or more. Beside a threshold stands what it
    reaches on the very images that chose it: on others it will be less.

    Args:
        labels: int64 (N,), of validation; every class is among them.
        probabilities: float64 (N, C), as written.
    """
    found: dict[str, Any] = {}
    for number, name in enumerate(classes):
        positive, scores = labels == number, probabilities[:, number]
        found[name] = {
            "specificity": _point(positive, scores, threshold_for_specificity(positive, scores, SHARE)),
            "sensitivity": _point(positive, scores, threshold_for_sensitivity(positive, scores, SHARE)),
        }
    return {"chosen_on": "val", "images": len(labels), "share": SHARE, "classes": found}


def _point(positive: NDArray[np.bool_], scores: NDArray[np.float64], threshold: float) -> dict[str, float]:
    sensitivity, specificity = at_threshold(positive, scores, threshold)
    return {"threshold": threshold, "sensitivity": sensitivity, "specificity": specificity}
