"""Error bars over lesions and seeds: is the difference between two arms more than chance?

A trial evaluates every arm with S training seeds on one test set. Two things would change if it were run again: the
lesions in the test set, and the seeds. The interval has to cover both, for the *mean over seeds*. With d_s the
difference of two arms in seed s (or one arm's score), write lesion i's part in it as

    x_is = mean + lesion_i + seed_s + churn_is          (churn: lesion i is judged differently by another training)

so that, with n lesions, Var(mean over s) = var(lesion)/n + var(seed)/S + var(churn)/(nS). What can be measured:

* `lesion part`: a bootstrap of lesions with all seeds held. Lesions are the unit (photos of one lesion stand or fall
  together), are redrawn within their class (no class ever vanishes, and class shares are those of the test set), and
  one redraw serves all arms and seeds, which is what makes comparisons paired. The variance of redraws of k lesions
  is too small by (k-1)/k and is corrected in each class. It estimates var(lesion)/n + var(churn)/(nS).
* `seed part`: the sample variance of d_1…d_S over S, that is a bootstrap of seeds corrected by S/(S-1). The seeds
  share the test lesions, so it estimates var(seed)/S + var(churn)/(nS).

The variance used is their sum. It counts churn/(nS) twice. This is deliberate: the subtraction that would remove it
(Obuchowski & Rockette 1995, where readers are what seeds are here) is as noisy as few seeds are, and lets false
findings rise to 6-8 % of comparisons instead of the declared 5. The percentile interval of a bootstrap nested in seeds
is worse: 3 values redrawn with replacement hold 2/3 of their variance, and nothing accounts for how poorly 3 values
tell it. Therefore Student's t, with the degrees of freedom of Welch and Satterthwaite from the two parts: S-1 for the
seed part; for the lesion part the classes' lesions less one each, pooled by the same rule. Seeds that happen to agree
would narrow the interval twice, by their variance and by degrees of freedom that then lean on the many lesions; so the
seed part enters the degrees of freedom (S+1)/(S-1) times, the factor by which E[s⁴] exceeds σ⁴.

Simulated with known truths (`benchmarks/calibration.py` prints the table), the 95 % interval misses the truth in
1-4 % of trials with 3 or 5 seeds if one arm's balanced accuracy spreads by up to 3 points over seeds, and in about 5 %
(5 seeds) or 6 % (3 seeds) if by 5 points; the uncorrected nested bootstrap misses it in 2-18 %. The price is width: up
to half again what would do where seeds hardly matter and there are 3. Two seeds are too few for any such method that
is not uselessly wide: up to 10 % where seeds matter.

The p-value is that of the same t, so p < 0.05 exactly when the 95 % interval excludes 0. p-values and intervals are
for one comparison each: of many classes and arms some will stand out by chance (`dermsynth.metrics.families`).

With one seed there is no seed part, and the interval holds for that training alone: the caller has to say so.

Two arms that agree on every lesion, or a class always recognised, would give an interval without width, although a
few dozen lesions cannot prove that. So the variance is never taken as smaller than if one lesion in each class had
been judged differently (1/n² for a class of n lesions). One arm's interval is Wilson's, with the effective number of
images that this variance implies and Student's quantile, so that it stays within [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.lesions import Statistic

FloatArray = npt.NDArray[np.float64]
Outcome = Literal["helps", "harms", "equivalent", "inconclusive"]


@dataclass(frozen=True)
class Estimate:
    """One arm's score: mean over seeds, interval, and the score of each seed."""

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms: its mean over seeds, what it is known by, and its value in each seed.

    Attributes:
        value: Mean over seeds.
        standard_error: Of that mean, over lesions and seeds; `freedom`: its degrees of freedom.
        by_seed: The weighted sum in each seed.
    """

    value: float
    standard_error: float
    freedom: float
    by_seed: tuple[float, ...]

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference."""
        return 2 * student_tail(abs(self.value) / self.standard_error, self.freedom)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the ends of Student's interval."""
        half = student_quantile(confidence, self.freedom) * self.standard_error
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Difference:
    """Treatment minus control: mean over seeds, interval, p-value, outcome, and the difference in each seed."""

    difference: float
    low: float
    high: float
    p_value: float
    outcome: Outcome
    by_seed: tuple[float, ...]


def estimate(statistic: Statistic, fits: list[int], *, confidence: float = 0.95) -> Estimate:
    """Return one arm's mean over its S fits (their indices, one per seed) with an interval inside [0, 1]."""
    found = contrast(statistic, [fits], [1.0])
    quantile = student_quantile(confidence, found.freedom)
    low, high = _wilson(found.value, found.standard_error**2, statistic.floor, quantile)
    return Estimate(found.value, min(low, found.value), max(high, found.value), found.by_seed)


def contrast(statistic: Statistic, arms: Sequence[Sequence[int]], weights: Sequence[float]) -> Contrast:
    """Return a weighted sum of arms, paired by seed and by lesion.

    Args:
        statistic: The score of all fits.
        arms: The indices of each arm's S fits, in the same order of seeds.
        weights: One for each arm.

    Raises:
        InputError: arms with different numbers of fits, or without any.
    """
    seeds = len(arms[0])
    for arm in arms:
        if len(arm) != seeds or not seeds:
            raise InputError(f"{seeds} fits cannot be paired with {len(arm)}; fit both arms with every seed")
    of_arm = np.asarray(weights)
    by_seed = of_arm @ statistic.values[np.array(arms)]
    of_fit = np.zeros(len(statistic.values))
    np.add.at(of_fit, np.array(arms), of_arm[:, None] / seeds)
    lesion_parts = np.maximum(np.einsum("f,cfg,g->c", of_fit, statistic.covariance, of_fit), 0)
    floor = statistic.floor * float((of_arm**2).max())
    seed_part = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    variance, freedom = pooled_variance(lesion_parts, seed_part, seeds, statistic.lesions, floor)
    return Contrast(float(by_seed.mean()), float(np.sqrt(variance)), freedom, tuple(float(d) for d in by_seed))


def student_quantile(confidence: float, freedom: float) -> float:
    """Return the quantile of Student's t that a two-sided interval reaches to."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def student_tail(t: float, freedom: float) -> float:
    """Return the probability of a value above t."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))


def pooled_variance(
    lesion_parts: FloatArray, seed_part: float, seeds: int, lesions: npt.NDArray[np.int64], floor: float
) -> tuple[float, float]:
    """Return the variance of a mean over seeds and its degrees of freedom.

    Args:
        lesion_parts: float64 (C,), what the lesions of each class contribute.
        seed_part: The sample variance over seeds divided by their number; 0 for one seed.
        seeds: S, 1 or more.
        lesions: int64 (C,), lesions per class.
        floor: The least variance.
    """
    lesion_part = float(lesion_parts.sum())
    spare = np.maximum(lesions - 1, 1)
    lesion_freedom = float(lesion_part**2 / (lesion_parts**2 / spare).sum()) if lesion_part > 0 else float(spare.sum())
    total = lesion_part + seed_part
    if total <= floor:
        return floor, lesion_freedom
    if seeds == 1:
        return total, lesion_freedom
    guarded = seed_part * (seeds + 1) / (seeds - 1)
    doubt = lesion_part**2 / lesion_freedom + guarded**2 / (seeds - 1)
    return total, (lesion_part + guarded) ** 2 / doubt


def _wilson(mean: float, variance: float, floor: float, quantile: float) -> tuple[float, float]:
    """Return Wilson's interval of a share whose variance is known from elsewhere."""
    alike = 1 / float(np.sqrt(floor))  # at a share of 0 or 1: the number of lesions that the floor stands for
    spread = max(mean * (1 - mean), (alike + 1) / (alike + 2) ** 2)
    effective = spread / variance
    shrink = 1 + quantile**2 / effective
    centre = (mean + quantile**2 / (2 * effective)) / shrink
    half = quantile / shrink * float(np.sqrt(mean * (1 - mean) / effective + quantile**2 / (4 * effective**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
