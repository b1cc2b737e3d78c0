"""Scores of an order: how well one number per image puts positives before negatives.

`positive` is bool (N,), `scores` float (N,), higher for what is more likely positive. Nothing here needs a threshold,
and no rescaling of the scores that keeps their order changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ranking:
    """One order of images, ready to be weighed many times.

    Only at positives do the areas grow, so images are summed into segments: for each of the K distinct scores that
    positives have, from the highest down, the positives that have it, and the negatives from it up to the score before.

    Attributes:
        segments: sparse (2K + 1 + T, G) counts of images: K of positives; K of negatives and those below every
            positive; and T of the negatives that are tied with positives.
        tied: int64 (T,), which of the K scores these are.
    """

    segments: csr_array
    tied: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, positive: BoolArray, scores: FloatArray, lesion_of_image: npt.NDArray[np.int64] | None = None
    ) -> Ranking:
        """Sort images. `lesion_of_image` int (N,): whose weight each one has, default its own.

        Raises:
            InputError: no image is positive, or every one.
        """
        from scipy.sparse import csr_array

        _need_both(positive)
        owner = np.arange(len(scores)) if lesion_of_image is None else lesion_of_image
        levels = np.unique(scores[positive])[::-1]
        k = len(levels)
        at_or_above = k - np.searchsorted(levels[::-1], scores, side="right")  # of a positive: its own level
        ties = ~positive & np.isin(scores, levels)
        tied, tie = np.unique(at_or_above[ties], return_inverse=True)
        row = np.concatenate([np.where(positive, at_or_above, k + at_or_above), 2 * k + 1 + tie])
        column = np.concatenate([owner, owner[ties]])
        shape = (2 * k + 1 + len(tied), int(owner.max()) + 1)
        return cls(csr_array((np.ones(len(row)), (row, column)), shape=shape), tied.astype(np.int64))

    def areas(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the areas under the ROC curve and under the precision-recall curve, float64 (R,) each.

        The first is the chance that a positive is ranked above a negative, ties one half. The second is the average
        precision: the mean over positives of the precision at their own score, without interpolation.

        Args:
            weights: float64 (G, R) of lesions; some positive and some negative one is above 0 in each of R.
        """
        summed = self.segments @ weights
        k = (len(summed) - 1 - len(self.tied)) // 2
        hits, missed, ties = summed[:k], summed[k : 2 * k], summed[2 * k + 1 :]
        found = hits.copy()
        for level in range(1, k):  # numpy's cumsum down the columns takes ten times as long
            found[level] += found[level - 1]
            missed[level] += missed[level - 1]
        positives, negatives = found[-1], missed[-1] + summed[2 * k]
        wrong = np.einsum("kr,kr->r", hits, missed) - np.einsum("tr,tr->r", hits[self.tied], ties) / 2
        # Where a redraw has no image at the highest scores yet, 0 of 0 called is weighed by 0.
        called = np.add(found, missed, out=missed)
        np.maximum(called, np.finfo(np.float64).tiny, out=called)
        precision = np.divide(found, called, out=called)
        return 1 - wrong / (positives * negatives), np.einsum("kr,kr->r", hits, precision) / positives


def average_precision(positive: BoolArray, scores: FloatArray) -> float:
    """Return the area under the precision-recall curve, in (0, 1]; the share of positives is chance.

    It depends on that share: of two test sets, the one with fewer positives gives less, for the same classifier.

    Raises:
        InputError: no image is positive, or every one.
    """
    return float(Ranking.of(positive, scores).areas(np.ones((len(scores), 1)))[1][0])


def precision_recall_curve(positive: BoolArray, scores: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return thresholds, descending, with precision and recall of calling scores at or above them, float64 (K,) each.

    One point for each distinct score at which the recall rises; no line between two points is attainable.

    Raises:
        InputError: no image is positive, or every one.
    """
    _need_both(positive)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    found, called = np.cumsum(positive[order])[last], np.flatnonzero(last) + 1
    rises = np.diff(found, prepend=0) > 0
    return scores[order][last][rises], (found / called)[rises], (found / found[-1])[rises]


def _need_both(positive: BoolArray) -> None:
    if positive.all() or not positive.any():
        raise InputError(
            f"{positive.sum()} of {len(positive)} images are positive: a ranking needs positives and negatives; "
            "score a part that holds both"
        )
