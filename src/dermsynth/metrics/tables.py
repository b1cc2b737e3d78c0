"""Scores that follow from a confusion matrix alone: one table or many at once.

`tables` are float or int (…, C, C): rows are the actual class, columns the predicted one, as `scores.confusion_matrix`
returns; the leading axes are fits, redraws or nothing. Every actual class needs a weight above 0. A class that is never
predicted has no precision; it counts as 0, as in scikit-learn, and `never_predicted` says which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Tables = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Counts:
    """Images by what they are and what they are called, float64 (…, B), for each of B questions of yes or no."""

    true_positive: FloatArray
    false_positive: FloatArray
    false_negative: FloatArray
    true_negative: FloatArray

    @property
    def sensitivity(self) -> FloatArray:
        """The share of positives that are called positive (recall), in [0, 1]."""
        return _share(self.true_positive, self.false_negative)

    @property
    def specificity(self) -> FloatArray:
        """The share of negatives that are called negative, in [0, 1]."""
        return _share(self.true_negative, self.false_positive)

    @property
    def precision(self) -> FloatArray:
        """The share of calls that are right (positive predictive value), in [0, 1]; 0 if nothing is called positive."""
        return _share(self.true_positive, self.false_positive)

    @property
    def f1(self) -> FloatArray:
        """The harmonic mean of precision and sensitivity, in [0, 1]."""
        return _share(self.true_positive, (self.false_positive + self.false_negative) / 2)

    @property
    def never_predicted(self) -> npt.NDArray[np.bool_]:
        """Whether nothing is called positive, so that the precision is a convention."""
        return np.asarray(self.true_positive + self.false_positive == 0)


def one_vs_rest(tables: Tables, positive: npt.NDArray[np.bool_] | None = None) -> Counts:
    """Return the counts of each class against all others, or of B groups of classes.

    Args:
        tables: (…, C, C).
        positive: bool (B, C), which classes are positive in each question; default: each class alone, B = C.
    """
    n_classes = tables.shape[-1]
    groups = (np.eye(n_classes) if positive is None else positive).astype(np.float64)
    actual, predicted = tables.sum(axis=-1) @ groups.T, tables.sum(axis=-2) @ groups.T
    both = ((tables @ groups.T) * groups.T).sum(axis=-2)
    return Counts(
        both, predicted - both, actual - both, tables.sum(axis=(-2, -1))[..., None] - actual - predicted + both
    )


def accuracy(tables: Tables) -> FloatArray:
    """Return the share of images given their own class, (…,). Micro-averaged recall, precision and F1 all equal it."""
    right = np.trace(tables, axis1=-2, axis2=-1)
    return np.asarray(right / tables.sum(axis=(-2, -1)), dtype=np.float64)


def averaged(values: FloatArray, tables: Tables, average: Literal["macro", "weighted"]) -> FloatArray:
    """Return one number of the classes' scores (…, C): their mean, or their mean weighted by the classes' images.

    Weighted sensitivity is the accuracy. The third way, micro, counts all classes' hits and misses together first; each
    image has one class and is given one, so micro-averaged sensitivity, precision and F1 are the accuracy as well.
    """
    if average == "macro":
        return np.asarray(values.mean(axis=-1), dtype=np.float64)
    actual = tables.sum(axis=-1)
    return np.asarray((values * actual).sum(axis=-1) / actual.sum(axis=-1), dtype=np.float64)


def matthews(tables: Tables) -> FloatArray:
    """Return the correlation of actual and predicted class, (…,) in [-1, 1]; 0 where one class only is predicted.

    For two classes Matthews' coefficient, for more Gorodkin's R_K (2004, doi:10.1016/j.compbiolchem.2004.09.006).
    """
    shares = tables / tables.sum(axis=(-2, -1), keepdims=True)
    actual, predicted = shares.sum(axis=-1), shares.sum(axis=-2)
    together = np.trace(shares, axis1=-2, axis2=-1) - (actual * predicted).sum(axis=-1)
    spread = (1 - (actual**2).sum(axis=-1)) * (1 - (predicted**2).sum(axis=-1))
    # Below rounding: all in one column.
    known = spread > 1e-12
    return np.asarray(np.where(known, together / np.sqrt(np.where(known, spread, 1)), 0), dtype=np.float64)


def kappa(tables: Tables) -> FloatArray:
    """Return Cohen's kappa, (…,) in [-1, 1]: agreement beyond that of two who call independently (Cohen 1960)."""
    shares = tables / tables.sum(axis=(-2, -1), keepdims=True)
    chance = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    return np.asarray((np.trace(shares, axis1=-2, axis2=-1) - chance) / (1 - chance), dtype=np.float64)


def _share(part: FloatArray, rest: FloatArray) -> FloatArray:
    whole = part + rest
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0), dtype=np.float64)
