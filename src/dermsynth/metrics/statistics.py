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
for one comparison each: of many classes and arms some will stand out by chance.

With one seed there is no seed part, and the interval holds for that training alone: the caller has to say so.

Two arms that agree on every lesion, or a class always recognised, would give an interval without width, although a
few dozen lesions cannot prove that. So the variance is never taken as smaller than if one lesion in each class had
been judged differently (1/n² for a class of n lesions). One arm's interval is Wilson's, with the effective number of
images that this variance implies and Student's quantile, so that it stays within [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.metrics.scores import macro_auc_influences

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Outcome = Literal["helps", "harms", "equivalent", "inconclusive"]

_CELLS_AT_ONCE = 2_000_000  # bootstrap draws held in memory at a time (16 MB)


@dataclass(frozen=True, eq=False)
class Lesions:
    """Which lesion every image shows. A lesion labelled with two classes counts as one lesion in each.

    Attributes:
        of_image: int64 (N,), index of the image's lesion; lesions are sorted by class.
        stratum: int64 (G,), class index of each lesion.
        n_classes: C.
    """

    of_image: IntArray
    stratum: IntArray
    n_classes: int

    @classmethod
    def of(cls, labels: IntArray, lesion_ids: npt.NDArray[np.str_] | IntArray, n_classes: int) -> Lesions:
        """Group images by (label, lesion). Raises InputError if a class has no image."""
        _, codes = np.unique(lesion_ids, return_inverse=True)
        width = int(codes.max()) + 1 if len(codes) else 1
        keys, of_image = np.unique(labels * width + codes, return_inverse=True)
        lesions = cls(of_image.astype(np.int64), (keys // width).astype(np.int64), n_classes)
        if (lesions.counts == 0).any():
            missing = int(np.flatnonzero(lesions.counts == 0)[0])
            raise InputError(f"class {missing} has no lesion; intervals over {n_classes} classes need each")
        return lesions

    @property
    def counts(self) -> IntArray:
        """int64 (C,): lesions per class."""
        return np.bincount(self.stratum, minlength=self.n_classes).astype(np.int64)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum (N, F) values of images over each lesion: (G, F)."""
        total = np.zeros((len(self.stratum), values.shape[1]))
        np.add.at(total, self.of_image, values)
        return total


@dataclass(frozen=True, eq=False)
class Statistic:
    """One score of F fits on the same lesions, with what the lesions contribute to its uncertainty.

    Attributes:
        values: float64 (F,), the score of each fit.
        covariance: float64 (C, F, F), covariance of the scores over redraws of each class's lesions.
        lesions: int64 (C,), lesions per class.
        floor: The least variance of a mean over seeds; see the module.
    """

    values: FloatArray
    covariance: FloatArray
    lesions: IntArray
    floor: float


@dataclass(frozen=True, eq=False)
class Recalls:
    """The recall of every class in F fits: values float64 (C, F), covariance float64 (C, F, F), lesions int64 (C,)."""

    values: FloatArray
    covariance: FloatArray
    lesions: IntArray

    def of_class(self, index: int) -> Statistic:
        """Return one class's recall."""
        return self.combined(np.eye(len(self.lesions))[index])

    def balanced_accuracy(self) -> Statistic:
        """Return the mean of the recalls."""
        return self.combined(np.full(len(self.lesions), 1 / len(self.lesions)))

    def combined(self, weights: FloatArray) -> Statistic:
        """Return the weighted sum of recalls, (C,) weights; weights = shares of images give the accuracy."""
        return Statistic(
            values=(weights[:, None] * self.values).sum(axis=0),
            covariance=weights[:, None, None] ** 2 * self.covariance,
            lesions=self.lesions,
            floor=float(((weights / self.lesions) ** 2).sum()),
        )


@dataclass(frozen=True)
class Estimate:
    """One arm's score: mean over seeds, interval, and the score of each seed."""

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """Treatment minus control: mean over seeds, interval, p-value, outcome, and the difference in each seed."""

    difference: float
    low: float
    high: float
    p_value: float
    outcome: Outcome
    by_seed: tuple[float, ...]


def bootstrap_recalls(
    correct: npt.NDArray[np.bool_], lesions: Lesions, *, resamples: int = 2000, seed: int = 0
) -> Recalls:
    """Return all recalls of F fits and their covariance over redraws of lesions within classes.

    Args:
        correct: bool (N, F): did fit f give image n its class?
        lesions: The grouping of the same N images.
        resamples: Redraws, at least 2.
        seed: Of the redraws; the same seed and images give the same numbers bit for bit, in any order of images.
    """
    if resamples < 2:
        raise InputError(f"resamples is {resamples}; a variance needs at least 2")
    right = lesions.sums(correct.astype(np.float64))
    photos = lesions.sums(np.ones((len(correct), 1)))
    values = np.empty((lesions.n_classes, correct.shape[1]))
    covariance = np.zeros((lesions.n_classes, correct.shape[1], correct.shape[1]))
    for c, n in enumerate(lesions.counts):
        of_class = lesions.stratum == c
        values[c] = right[of_class].sum(axis=0) / photos[of_class].sum()
        if n > 1:
            # Sums of counts are exact in float64, so no order of summation can change a bit of `redrawn`.
            totals = _redrawn_sums(np.hstack([right[of_class], photos[of_class]]), resamples, seed, c)
            redrawn = totals[:, :-1] / totals[:, -1:]
            redrawn -= redrawn.mean(axis=0)
            covariance[c] = np.einsum("rf,rg->fg", redrawn, redrawn) / (resamples - 1) * (n / (n - 1))
    return Recalls(values, covariance, lesions.counts)


def auc_statistic(labels: IntArray, probabilities: FloatArray, lesions: Lesions) -> Statistic:
    """Return the macro one-vs-rest AUC of F fits, its variance from placement values summed within lesions.

    This is the limit of the lesion bootstrap for many redraws, without redrawing (DeLong et al. 1988, clustered as in
    Obuchowski 1997, Biometrics 53:567). The floor is that of recalls for half a lesion per class, since a changed rank
    moves an area less than a changed decision moves a recall.

    Args:
        labels: int64 (N,).
        probabilities: float (F, N, C).
        lesions: The grouping of the same N images.
    """
    found = [macro_auc_influences(labels, one) for one in probabilities]
    moved = lesions.sums(np.stack([influences for _, influences in found], axis=1))
    covariance = np.zeros((lesions.n_classes, len(found), len(found)))
    for c, n in enumerate(lesions.counts):
        if n > 1:
            part = moved[lesions.stratum == c]
            covariance[c] = np.einsum("gf,gh->fh", part, part) * (n / (n - 1))
    floor = float(((0.5 / (lesions.counts * lesions.n_classes)) ** 2).sum())
    return Statistic(np.array([auc for auc, _ in found]), covariance, lesions.counts, floor)


def estimate(statistic: Statistic, fits: list[int], *, confidence: float = 0.95) -> Estimate:
    """Return one arm's mean over its S fits (their indices, one per seed) with an interval inside [0, 1]."""
    by_seed = statistic.values[fits]
    mean = float(by_seed.mean())
    variance, freedom = _variance(by_seed, statistic.covariance[:, fits][:, :, fits], statistic)
    low, high = _wilson(mean, variance, statistic.floor, _quantile(confidence, freedom))
    return Estimate(mean, min(low, mean), max(high, mean), tuple(float(value) for value in by_seed))


def compare(
    statistic: Statistic, treatment: list[int], control: list[int], *, margin: float, confidence: float = 0.95
) -> Difference:
    """Return treatment minus control, paired by seed and by lesion.

    Args:
        statistic: The score of all fits.
        treatment: Indices of the treatment's S fits; `control`: of the control's, in the same order of seeds.
        margin: The smallest difference that matters, on the score's scale.
        confidence: Of the interval, between 0 and 1.

    Raises:
        InputError: the arms have different numbers of fits.
    """
    if len(treatment) != len(control) or not treatment:
        raise InputError(f"{len(treatment)} fits cannot be paired with {len(control)}; fit both arms with every seed")
    by_seed = statistic.values[treatment] - statistic.values[control]
    whole = statistic.covariance
    covariance = (
        whole[:, treatment][:, :, treatment]
        - whole[:, treatment][:, :, control]
        - whole[:, control][:, :, treatment]
        + whole[:, control][:, :, control]
    )
    mean = float(by_seed.mean())
    variance, freedom = _variance(by_seed, covariance, statistic)
    half = _quantile(confidence, freedom) * float(np.sqrt(variance))
    low, high = mean - half, mean + half
    p_value = _p_value(mean / float(np.sqrt(variance)), freedom)
    return Difference(mean, low, high, p_value, outcome_of(low, high, margin), tuple(float(d) for d in by_seed))


def outcome_of(low: float, high: float, margin: float) -> Outcome:
    """Return what an interval says: inside the margin it is equivalent, whatever side of 0 it is on."""
    if -margin < low and high < margin:
        return "equivalent"
    if low > 0:
        return "helps"
    return "harms" if high < 0 else "inconclusive"


def _variance(by_seed: FloatArray, covariance: FloatArray, statistic: Statistic) -> tuple[float, float]:
    """Return the variance of the mean over seeds and its degrees of freedom; covariance is float64 (C, S, S)."""
    seeds = len(by_seed)
    of_class = np.maximum(covariance.mean(axis=(1, 2)), 0)
    lesion_part = float(of_class.sum())
    spare = np.maximum(statistic.lesions - 1, 1)
    lesion_freedom = float(lesion_part**2 / (of_class**2 / spare).sum()) if lesion_part > 0 else float(spare.sum())
    seed_part = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    total = lesion_part + seed_part
    if total <= statistic.floor:
        return statistic.floor, lesion_freedom
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


def _quantile(confidence: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def _p_value(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(t)))


def _redrawn_sums(values: FloatArray, resamples: int, seed: int, stratum: int) -> FloatArray:
    """Return (R, F) column sums of `values` (n, F) over R redraws of its n rows with replacement."""
    n = len(values)
    generator = numpy_generator(seed, "lesion bootstrap", stratum)
    at_once = max(1, _CELLS_AT_ONCE // n)
    sums = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        sums.append(times.astype(np.float64) @ values)
    return np.vstack(sums)
