"""McNemar's test: do two classifiers judge the same cases right equally often?

The test conditions on one trained pair and takes every case as independent. Photos of one lesion are not, and another
training seed would give other counts: the verdict of a trial rests on `dermsynth.metrics.statistics` instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

EXACT_BELOW = 25
"""Discordant cases below which the exact binomial replaces the chi-square (McNemar 1947; Edwards 1948)."""


@dataclass(frozen=True)
class McNemar:
    """Cases that only the first or only the second classifier judged right, and the two-sided p-value."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> McNemar:
    """Return the test of two classifiers' correctness on the same cases.

    With b and c discordant cases: the exact binomial of min(b, c) in b + c throws if b + c < 25, else
    (|b - c| - 1)² / (b + c) against chi-square with one degree of freedom (Edwards' continuity correction).

    Args:
        first: bool (N,), was the case judged right by the first classifier? `second`: by the other, in the same order.

    Raises:
        InputError: the two are about different numbers of cases.
    """
    from scipy.special import bdtr, chdtrc

    if first.shape != second.shape:
        raise InputError(f"{len(first)} cases cannot be paired with {len(second)}; judge both on the same cases")
    b, c = int((first & ~second).sum()), int((~first & second).sum())
    if b + c < EXACT_BELOW:
        p_value = min(2 * float(bdtr(min(b, c), b + c, 0.5)), 1.0)
    else:
        p_value = float(chdtrc(1, max(abs(b - c) - 1, 0) ** 2 / (b + c)))
    return McNemar(b, c, p_value)
