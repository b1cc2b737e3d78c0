"""Kernel distance between two sets of features (KID where the features are Inception's)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.features import FloatArray, checked_pair

_ROWS_AT_ONCE = 1024

Names = npt.NDArray[np.str_]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance with the interval of 95 % that drawing other lesions leaves.

    Attributes:
        value: Around 0 for equal distributions.
        low: Lower end, which is below 0 where nothing is proven; `high`: upper end.
    """

    value: float
    low: float
    high: float


def kernel_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the unbiased squared maximum mean discrepancy with k(x, y) = (x·y / d + 1)³.

    Binkowski et al. 2018 (arXiv:1801.01401), in one block over all rows instead of an average over random subsets:
    the same expectation with less noise, and nothing to seed. Unbiased, so it is around 0 and may be negative for equal
    distributions. Often printed times 1000.

    Args:
        a: float (n, d); `b`: float (m, d).

    Raises:
        InputError: fewer than 2 rows, a value that is not finite, or different dimensions.
    """
    first, second = checked_pair(a, b, at_least=2)
    return _Sums((first, second), (np.arange(len(first)), np.arange(len(second)))).distance()


def kernel_interval(a: npt.ArrayLike, b: npt.ArrayLike, lesions: tuple[Names, Names]) -> KernelDistance:
    """Return the kernel distance of images of many lesions, some with several photos, and a 95 % interval.

    Two photos of one lesion are no two draws: such pairs are left out, or a set with many of them would look far from
    every other one. The standard error is that of the jackknife over lesions, on both sides (Efron & Stein 1981: on
    average not too small), with Student's quantile for the smaller number of lesions. The usual average over random
    subsets has no such error: its spread shrinks with their overlap, to none where a subset is the whole.

    Args:
        a: float (n, d); `b`: float (m, d).
        lesions: Of the n and of the m images.

    Raises:
        InputError: fewer than 3 lesions on a side, a value that is not finite, or different dimensions.
    """
    from scipy.special import stdtrit

    first, second = checked_pair(a, b, at_least=3)
    codes = tuple(np.unique(names, return_inverse=True)[1] for names in lesions)
    counts = [int(code.max()) + 1 for code in codes]
    if min(counts) < 3:
        raise InputError(f"{counts[0]} and {counts[1]} lesions; the interval of a kernel distance needs 3 on each side")
    sums = _Sums((first, second), (codes[0], codes[1]))
    variance = 0.0
    for side, count in enumerate(counts):
        without = sums.without_each_group(side)
        variance += (count - 1) / count * float(((without - without.mean()) ** 2).sum())
    value, half = sums.distance(), float(stdtrit(min(counts) - 1, 0.975)) * float(np.sqrt(variance))
    return KernelDistance(value, value - half, value + half)


class _Sums:
    """Sums of the kernel over pairs, by rows; within a set only over pairs of different groups."""

    def __init__(self, sets: tuple[FloatArray, FloatArray], groups: tuple[Codes, Codes]) -> None:
        self.groups, self.lengths = groups, [len(x) for x in sets]
        self.within = [_row_sums(x, x) - _sums_in_group(x, code) for x, code in zip(sets, groups, strict=True)]
        self.across = [_row_sums(sets[0], sets[1]), _row_sums(sets[1], sets[0])]
        self.pairs = [len(code) ** 2 - int((np.bincount(code) ** 2).sum()) for code in groups]

    def distance(self) -> float:
        mean_across = float(self.across[0].sum()) / (self.lengths[0] * self.lengths[1])
        return self._mean_within(0) + self._mean_within(1) - 2 * mean_across

    def without_each_group(self, side: int) -> FloatArray:
        """Return the distances that are left when one group of a side is left out, (groups,)."""
        code, n, m = self.groups[side], self.lengths[side], self.lengths[1 - side]
        out = np.bincount(code)
        within = self.within[side].sum() - 2 * np.bincount(code, self.within[side])
        across = self.across[side].sum() - np.bincount(code, self.across[side])
        left = within / (self.pairs[side] - 2 * out * (n - out)) - 2 * across / ((n - out) * m)
        return np.asarray(left + self._mean_within(1 - side), dtype=np.float64)

    def _mean_within(self, side: int) -> float:
        return float(self.within[side].sum()) / self.pairs[side]


def _sums_in_group(x: FloatArray, code: Codes) -> FloatArray:
    """Return for each row the sum of k with itself and the other rows of its group."""
    found = _kernel((x**2).sum(axis=1), x.shape[1])
    for group in np.flatnonzero(np.bincount(code) > 1):
        rows = np.flatnonzero(code == group)
        found[rows] = _kernel(x[rows] @ x[rows].T, x.shape[1]).sum(axis=1)
    return found


def _row_sums(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return for each row of x the sum of k with all rows of y; memory stays at `_ROWS_AT_ONCE` x m."""
    starts = range(0, len(x), _ROWS_AT_ONCE)
    return np.concatenate([_kernel(x[i : i + _ROWS_AT_ONCE] @ y.T, x.shape[1]).sum(axis=1) for i in starts])


def _kernel(products: FloatArray, dimensions: int) -> FloatArray:
    base = products / dimensions + 1
    return np.asarray(base * base * base, dtype=np.float64)
