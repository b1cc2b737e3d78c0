"""Calling images positive from a threshold on: how to choose it, what it does elsewhere, and what calling is worth.

`positive` is bool (N,), `scores` float (N,). An image is called positive if its score is at or above the threshold.

A threshold belongs to other images than those it is judged on. Chosen on the test set, "sensitivity at 90 %
specificity" has looked at the answer: with few images of a class it is several points too good, and no clinic could
have known the threshold. So the functions that choose take validation images and those that judge take a threshold.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def threshold_for_specificity(positive: BoolArray, scores: FloatArray, specificity: float) -> float:
    """Return the lowest threshold that calls at least this share of the negatives negative.

    It is one of the scores, or just above the highest if none is high enough: then nothing is called.

    Raises:
        InputError: no negative, or a share that is not between 0 and 1.
    """
    _check_share(specificity, "specificity")
    negatives = scores[~positive]
    if not len(negatives):
        raise InputError(
            "no image is negative, so no threshold has a specificity; choose it on images of other classes"
        )
    candidates = np.append(np.unique(scores), np.nextafter(scores.max(), np.inf))
    below = np.searchsorted(np.sort(negatives), candidates, side="left")
    return float(candidates[np.argmax(below >= _at_least(specificity, len(negatives)))])


def threshold_for_sensitivity(positive: BoolArray, scores: FloatArray, sensitivity: float) -> float:
    """Return the highest threshold that calls at least this share of the positives positive; it is one of their scores.

    Raises:
        InputError: no positive, or a share that is not between 0 and 1.
    """
    _check_share(sensitivity, "sensitivity")
    hits = np.sort(scores[positive])[::-1]
    if not len(hits):
        raise InputError("no image is positive, so no threshold has a sensitivity; choose it on images of the class")
    return float(hits[_at_least(sensitivity, len(hits)) - 1])


def at_threshold(positive: BoolArray, scores: FloatArray, threshold: float) -> tuple[float, float]:
    """Return sensitivity and specificity of calling scores at or above a threshold; both kinds of images are needed."""
    called = scores >= threshold
    if positive.all() or not positive.any():
        raise InputError(f"{positive.sum()} of {len(positive)} images are positive; score a part that holds both kinds")
    return float(called[positive].mean()), float((~called[~positive]).mean())


def net_benefit(positive: BoolArray, scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Return float64 (T,), the net benefit of calling probabilities at or above each threshold.

    True positives per image minus false positives per image times t / (1 - t): somebody who acts from a probability of
    t on holds one missed positive for as bad as (1 - t) / t needless actions (Vickers & Elkin 2006,
    doi:10.1177/0272989X06295361). It is at most the share of positives. Doing nothing has 0.

    Raises:
        InputError: a threshold outside 0 to 1, or 1 itself.
    """
    thresholds = np.asarray(thresholds, dtype=np.float64)
    _check_thresholds(thresholds)
    called = scores[:, None] >= thresholds
    true, false = (called & positive[:, None]).mean(axis=0), (called & ~positive[:, None]).mean(axis=0)
    return np.asarray(true - false * odds(thresholds), dtype=np.float64)


def net_benefit_of_all(share: float, thresholds: FloatArray) -> FloatArray:
    """Return float64 (T,), the net benefit of calling every image positive where `share` of them are."""
    _check_thresholds(thresholds)
    return np.asarray(share - (1 - share) * odds(thresholds), dtype=np.float64)


def odds(thresholds: FloatArray) -> FloatArray:
    """Return t / (1 - t)."""
    return np.asarray(thresholds / (1 - thresholds), dtype=np.float64)


def _at_least(share: float, count: int) -> int:
    """Return the smallest number of `count` images that makes up this share; 0.9 of 10 are 9, whatever 0.9 * 10 is."""
    return max(1, int(np.ceil(share * count - 1e-9)))


def _check_share(share: float, what: str) -> None:
    if not 0 < share < 1:
        raise InputError(f"{what} is {share:g}; expected a share between 0 and 1, such as 0.9")


def _check_thresholds(thresholds: FloatArray) -> None:
    wrong = thresholds[~((thresholds >= 0) & (thresholds < 1))]
    if len(wrong):
        raise InputError(f"threshold is {wrong[0]:g}; expected a probability from 0 to below 1")
