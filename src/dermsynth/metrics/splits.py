"""Repeated splits: their training sets overlap, so their differences spread less than those of new data would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.statistics import student_quantile, student_tail


@dataclass(frozen=True)
class Corrected:
    """The mean difference over splits with its corrected interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def corrected_t(
    differences: npt.NDArray[np.float64], *, train: float, test: float, confidence: float = 0.95
) -> Corrected:
    """Return Nadeau and Bengio's corrected resampled t-test (2003, Machine Learning 52:239, section 3.3).

    The variance of the mean of J differences is s² (1/J + test/train) instead of s²/J, with J - 1 degrees of freedom:
    two splits of one data set share most of their training images. For one difference per fold of a k-fold split,
    test/train is 1/(k - 1).

    Args:
        differences: float (J,), treatment minus control on each split; several seeds on a split are averaged first.
        train: Lesions in a training set; `test`: in a test set.
        confidence: Of the interval.

    Raises:
        InputError: fewer than two differences, or a set without lesions.
    """
    if len(differences) < 2:
        raise InputError(f"{len(differences)} split; a variance over splits needs at least 2")
    if train <= 0 or test <= 0:
        raise InputError(f"{train:g} lesions to train and {test:g} to test; expected more than 0 of each")
    mean, freedom = float(differences.mean()), len(differences) - 1
    error = float(np.sqrt(differences.var(ddof=1) * (1 / len(differences) + test / train)))
    half = student_quantile(confidence, freedom) * error
    if error == 0:
        return Corrected(mean, mean, mean, float(mean == 0))
    return Corrected(mean, mean - half, mean + half, 2 * student_tail(abs(mean) / error, freedom))
