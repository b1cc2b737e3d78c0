"""Does more of it help more? The score against the share of synthetic images, with a test for a monotone trend.

The arms of a dose-response share their test lesions and, in each repeat, their seed, so neighbouring doses go up and
down together. Every contrast of doses is therefore taken within a seed and judged with the covariance of all fits over
lesions (`statistics.contrast`), as the difference of two arms is.

The slope is the contrast for a straight line. A curve need not be one: a gain may start at some dose, or be over after
the first. The monotone test asks for the best of all steps, mean of the doses above a cut minus mean of those up to
it, and holds it against the best of as many steps by chance, with their correlation (a multiple contrast test: Bretz,
Pinheiro & Branson 2005, doi:10.1111/j.1541-0420.2005.00344.x, with step contrasts as in Marcus 1976).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.metrics.lesions import Statistic
from dermsynth.metrics.statistics import Contrast, contrast

FloatArray = npt.NDArray[np.float64]

_DRAWS = 100_000


@dataclass(frozen=True)
class DoseResponse:
    """A score at every dose and its trend.

    Attributes:
        doses: Ascending; `means`: the mean score over seeds at each.
        monotone: The ascending or descending curve nearest to the means, whichever is nearer (least squares).
        slope: Change of the score per unit of dose, for a straight line.
        step: The step that fits the means best (least squares); `cut`: the last dose before it.
        p_value: Of no trend, two-sided: the best of all steps against the best by chance.
    """

    doses: tuple[float, ...]
    means: tuple[float, ...]
    monotone: tuple[float, ...]
    slope: Contrast
    step: Contrast
    cut: float
    p_value: float


def dose_response(
    statistic: Statistic, arms: Sequence[Sequence[int]], doses: Sequence[float], *, seed: int = 0
) -> DoseResponse:
    """Return the trend of a score over doses.

    Args:
        statistic: The score of all fits.
        arms: The indices of each dose's S fits, in the same order of seeds.
        doses: One for each arm, ascending: the share of synthetic images, or its logarithm.
        seed: Of the draws that give the p-value.

    Raises:
        InputError: fewer than three doses, doses that do not ascend, or arms with different numbers of fits.
    """
    x = np.asarray(doses, dtype=np.float64)
    if len(x) < 3 or len(x) != len(arms):
        raise InputError(f"{len(x)} doses for {len(arms)} arms; a trend needs at least 3, one for each arm")
    if (np.diff(x) <= 0).any():
        raise InputError(f"doses {', '.join(f'{dose:g}' for dose in doses)}; list them and their arms ascending")
    centred = x - x.mean()
    slope = contrast(statistic, arms, list(centred / (centred**2).sum()))
    steps = np.array([np.where(np.arange(len(x)) <= k, -1 / (k + 1), 1 / (len(x) - k - 1)) for k in range(len(x) - 1)])
    found = [contrast(statistic, arms, list(step)) for step in steps]
    below = np.arange(1, len(x))
    between = np.array([one.value for one in found]) ** 2 * below * (len(x) - below)  # squares that the step explains
    best = int(between.argmax())
    correlation = _correlation(statistic, np.array(arms), steps)
    means = statistic.values[np.array(arms)].mean(axis=1)
    return DoseResponse(
        doses=tuple(float(dose) for dose in x),
        means=tuple(float(mean) for mean in means),
        monotone=tuple(float(value) for value in _monotone(means)),
        slope=slope,
        step=found[best],
        cut=float(x[best]),
        p_value=_chance_of_best(min(one.p_value for one in found), correlation, seed),
    )


def _correlation(statistic: Statistic, arms: npt.NDArray[np.int64], steps: FloatArray) -> FloatArray:
    """Return the correlation of the steps: lesions by the bootstrap; seeds as if doses were independent within one.

    A few seeds tell the variance of a dose, but not how every pair of doses goes together.
    """
    seeds = arms.shape[1]
    of_fit = np.zeros((len(steps), len(statistic.values)))
    for dose, fits in enumerate(arms):
        of_fit[:, fits] = steps[:, dose, None] / seeds
    covariance = of_fit @ statistic.covariance.sum(axis=0) @ of_fit.T
    if seeds > 1:
        residual = statistic.values[arms] - statistic.values[arms].mean(axis=0)
        noise = (residual - residual.mean(axis=1, keepdims=True)).var() * seeds / (seeds - 1)
        covariance += noise / seeds * steps @ steps.T
    spread = np.sqrt(np.diag(covariance))
    if not spread.all():
        return np.eye(len(steps))
    return np.asarray(covariance / np.outer(spread, spread))


def _chance_of_best(p_value: float, correlation: FloatArray, seed: int) -> float:
    """Return the chance that the least two-sided p-value of the correlated steps is this or less.

    Steps have different degrees of freedom, so p-values are compared, each as the normal value that it stands for.
    """
    from scipy.special import ndtri

    values, vectors = np.linalg.eigh(correlation)
    drawn = numpy_generator(seed, "monotone trend").normal(size=(_DRAWS, len(values)))
    largest = np.abs(drawn @ (vectors * np.sqrt(np.maximum(values, 0))).T).max(axis=1)
    return float((1 + (largest >= -ndtri(p_value / 2)).sum()) / (1 + _DRAWS))


def _monotone(means: FloatArray) -> FloatArray:
    from scipy.optimize import isotonic_regression

    rising, falling = (isotonic_regression(means, increasing=up).x for up in (True, False))
    nearer = ((rising - means) ** 2).sum() <= ((falling - means) ** 2).sum()
    return np.asarray(rising if nearer else falling, dtype=np.float64)
