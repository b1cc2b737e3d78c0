"""Every 2x2 confusion matrix that fits printed metrics, found in whole numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsynth.audits.paper.printed import Span

Coefficients = tuple[int, int, int, int]

RATIOS: dict[str, tuple[Coefficients, Coefficients]] = {
    "accuracy": ((1, 0, 0, 1), (1, 1, 1, 1)),
    "precision": ((1, 0, 0, 0), (1, 0, 1, 0)),
    "recall": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "specificity": ((0, 0, 0, 1), (0, 0, 1, 1)),
    "npv": ((0, 0, 0, 1), (0, 1, 0, 1)),
    "f1": ((2, 0, 0, 0), (2, 1, 1, 0)),
}
"""Metrics as ratios of two sums over (TP, FN, FP, TN)."""


@dataclass(frozen=True)
class Matrix:
    """A binary confusion matrix of one positive class."""

    tp: int
    fn: int
    fp: int
    tn: int

    def metric(self, name: str) -> Fraction | None:
        """Return a metric of `RATIOS`, None where its denominator is 0."""
        above, below = (_dot(coefficients, self.cells) for coefficients in RATIOS[name])
        return Fraction(above, below) if below else None

    @property
    def cells(self) -> Coefficients:
        """TP, FN, FP, TN."""
        return self.tp, self.fn, self.fp, self.tn

    def __str__(self) -> str:
        return f"TP {self.tp:,}, FN {self.fn:,}, FP {self.fp:,}, TN {self.tn:,}"


@dataclass(frozen=True)
class Solutions:
    """All matrices that fit: for each `tp`, every TN from `tn_low` to `tn_high`.

    Attributes:
        positives, negatives: Images of the positive class, and of the others.
        tp, tn_low, tn_high: Integer arrays of equal length.
    """

    positives: int
    negatives: int
    tp: npt.NDArray[np.int64]
    tn_low: npt.NDArray[np.int64]
    tn_high: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return int((self.tn_high - self.tn_low + 1).sum())

    def __iter__(self) -> Iterator[Matrix]:
        for tp, low, high in zip(self.tp.tolist(), self.tn_low.tolist(), self.tn_high.tolist(), strict=True):
            for tn in range(low, high + 1):
                yield Matrix(tp, self.positives - tp, self.negatives - tn, tn)


def solve(positives: int, negatives: int, metrics: Mapping[str, Span], *, transposed: bool = False) -> Solutions:
    """Return every matrix of so many images whose metrics lie in their spans.

    Each bound on a ratio is a linear inequality in TP and TN once its denominator is multiplied out, so for every TP
    the fitting TN are one range of whole numbers. That is exact, and linear in the number of positive images.

    Args:
        positives: Images of the positive class.
        negatives: Images of the other classes.
        metrics: Span of each printed metric, by its name in `RATIOS`.
        transposed: Read the metrics as if computed with actual and predicted exchanged: FN for FP.
    """
    tp = np.arange(positives + 1)
    low, high = np.zeros_like(tp), np.full_like(tp, negatives)
    for name, span in metrics.items():
        above, below = (_transposed(c) if transposed else c for c in RATIOS[name])
        for bound, sign in ((span.low, 1), (span.high, -1)):
            weights = [sign * (bound.denominator * a - bound.numerator * b) for a, b in zip(above, below, strict=True)]
            _narrow(tp, low, high, weights, positives, negatives)
    fits = low <= high
    return Solutions(positives, negatives, tp[fits], low[fits], high[fits])


def _narrow(
    tp: npt.NDArray[np.int64],
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    weights: list[int],
    positives: int,
    negatives: int,
) -> None:
    """Keep, in place, the TN where weights · (TP, FN, FP, TN) >= 0; FN = positives - TP, FP = negatives - TN."""
    small = 2 * max(map(abs, weights)) * (positives + negatives) < 2**63
    values: npt.NDArray[Any] = tp.astype(np.int64 if small else np.object_)
    constant = weights[0] * values + weights[1] * (positives - values) + weights[2] * negatives
    slope = weights[3] - weights[2]
    if slope > 0:
        np.maximum(low, np.clip(-(constant // slope), 0, negatives + 1).astype(np.int64), out=low)
    elif slope < 0:
        np.minimum(high, np.clip(constant // -slope, -1, negatives).astype(np.int64), out=high)
    else:
        high[(constant < 0).astype(bool)] = -1


def _transposed(coefficients: Coefficients) -> Coefficients:
    tp, fn, fp, tn = coefficients
    return tp, fp, fn, tn


def _dot(coefficients: Coefficients, cells: Coefficients) -> int:
    return sum(a * b for a, b in zip(coefficients, cells, strict=True))
