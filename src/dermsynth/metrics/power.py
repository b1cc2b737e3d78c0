"""How small a difference would a trial see? The power of the very comparison that judges it, before it is run.

In the terms of `dermsynth.metrics.statistics`, a lesion of class c differs between two arms by a part that stays over
seeds (variance `lesion`), a part that is new in every training (`churn`), and a part that all lesions of the class
share in one seed (`seed`). With n lesions a class, S seeds and weights w, the mean difference has

    variance    Σ w² (lesion + churn/S)/n + seed/S
    judged by   A + B,  A = Σ w² (lesion + churn/S)/n,  B = (seed + Σ w² churn/n)/S x chi²(S-1)/(S-1)

and is judged with the quantile of Student's t that A and B give. A is known well from many lesions; B is as uncertain
as few seeds are. So power is the chance that a normal variable exceeds the bound, averaged over B. Nothing is
simulated; `benchmarks/calibration.py` holds the numbers against simulated trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.lesions import Lesions
from dermsynth.metrics.statistics import pooled_variance, student_quantile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_STRATA = 200  # of the distribution of B


@dataclass(frozen=True, eq=False)
class Noise:
    """What makes the recalls of two arms differ by chance; variances of shares.

    Attributes:
        lesion: float64 (C,), of a lesion's difference, the part that stays over seeds; `churn`: the part that is new.
        seed: float64 (C,), of a class's difference over seeds, beyond what churn of its lesions makes.
        together: Of the mean difference of the classes over seeds, beyond churn.
    """

    lesion: FloatArray
    churn: FloatArray
    seed: FloatArray
    together: float

    @classmethod
    def assumed(cls, n_classes: int, *, discordance: float, seed_sd: float) -> Noise:
        """Return the noise of arms that disagree on a share of all lesions, the same in every seed.

        That it is the same is the cautious assumption: more seeds then average out nothing of it. The classes' seed
        parts are taken as independent, so each is as large as gives the mean this standard deviation.

        Args:
            n_classes: C.
            discordance: Share of lesions that exactly one of the two arms judges right.
            seed_sd: Standard deviation over seeds of the difference in balanced accuracy, a share.
        """
        each = np.ones(n_classes)
        return cls(discordance * each, 0 * each, n_classes * seed_sd**2 * each, seed_sd**2)

    @classmethod
    def measured(
        cls, correct: npt.NDArray[np.bool_], lesions: Lesions, treatment: Sequence[int], control: Sequence[int]
    ) -> Noise:
        """Return the noise of two arms of an earlier trial, by the analysis of variance of lesions x seeds.

        Args:
            correct: bool (N, F): did fit f give image n its class?
            lesions: The grouping of the same N images.
            treatment: Indices of the treatment's S fits; `control`: of the control's, in the same order of seeds.

        Raises:
            InputError: fewer than two seeds.
        """
        seeds = len(treatment)
        if seeds < 2:
            raise InputError(f"{seeds} seed; how seeds differ is known from 2 or more")
        difference = lesions.sums(correct[:, list(treatment)].astype(np.float64) - correct[:, list(control)])
        photos = lesions.sums(np.ones((len(correct), 1)))
        lesion, churn, seed = (np.zeros(lesions.n_classes) for _ in range(3))
        means = np.zeros((lesions.n_classes, seeds))
        for c, n in enumerate(lesions.counts):
            rows = lesions.stratum == c
            means[c] = difference[rows].sum(axis=0) / photos[rows].sum()
            left = (difference[rows] - photos[rows] * means[c]) / photos[rows].mean()
            if n > 1:
                new = left - left.mean(axis=1, keepdims=True)
                churn[c] = (new**2).sum() / ((n - 1) * (seeds - 1))
                lesion[c] = max(left.mean(axis=1).var(ddof=1) - churn[c] / seeds, 0)
            seed[c] = max(means[c].var(ddof=1) - churn[c] / n, 0)
        shared = means.mean(axis=0).var(ddof=1) - (churn / lesions.counts).sum() / lesions.n_classes**2
        return cls(lesion, churn, seed, max(float(shared), 0.0))


@dataclass(frozen=True, eq=False)
class Design:
    """One comparison of a planned trial.

    Attributes:
        deviation: Standard deviation of the measured mean difference.
        halves: float64 (K,), equally likely half widths of its interval.
        margin: The smallest difference that matters.
    """

    deviation: float
    halves: FloatArray
    margin: float

    @classmethod
    def of_endpoint(cls, noise: Noise, lesions: IntArray, seeds: int, *, margin: float, confidence: float) -> Design:
        """Return the comparison of balanced accuracy, with int64 (C,) lesions per class in the test set."""
        weights = np.full(len(lesions), 1 / len(lesions))
        return cls._of(noise, weights, noise.together, lesions, seeds, margin, confidence)

    @classmethod
    def of_class(
        cls, noise: Noise, index: int, lesions: IntArray, seeds: int, *, margin: float, confidence: float
    ) -> Design:
        """Return the comparison of one class's recall, as the first of C that Holm's adjustment lets pass."""
        weights = np.eye(len(lesions))[index]
        strict = 1 - (1 - confidence) / len(lesions)
        return cls._of(noise, weights, float(noise.seed[index]), lesions, seeds, margin, strict)

    @classmethod
    def _of(
        cls,
        noise: Noise,
        weights: FloatArray,
        seed: float,
        lesions: IntArray,
        seeds: int,
        margin: float,
        confidence: float,
    ) -> Design:
        from scipy.special import gammaincinv

        if seeds < 1 or (lesions < 1).any():
            raise InputError(f"{seeds} seeds and {lesions.min()} lesions in a class; expected 1 or more of both")
        parts = weights**2 * (noise.lesion + noise.churn / seeds) / lesions
        floor = float(((weights / lesions) ** 2).sum())
        seed_part = (seed + float((weights**2 * noise.churn / lesions).sum())) / seeds
        ranks = (np.arange(_STRATA) + 0.5) / _STRATA
        spare = seeds - 1
        factors = 2 * gammaincinv(spare / 2, ranks) / spare if spare else np.zeros(1)
        found = [pooled_variance(parts, seed_part * factor, seeds, lesions, floor) for factor in factors]
        halves = [student_quantile(confidence, freedom) * variance**0.5 for variance, freedom in found]
        # What is judged never varies by less than the floor; neither should what is expected.
        return cls(max(float(parts.sum()) + seed / seeds, floor) ** 0.5, np.array(halves), margin)

    def chance_of_helps(self, difference: float) -> float:
        """Return the chance of the outcome 'helps' if this is the true difference."""
        from scipy.special import ndtr

        bounds = np.maximum(self.halves, self.margin - self.halves)
        return float(ndtr((difference - bounds) / self.deviation).mean())

    def chance_of_equivalent(self, difference: float = 0.0) -> float:
        """Return the chance of the outcome 'equivalent' if this is the true difference."""
        from scipy.special import ndtr

        bounds = np.maximum(self.margin - self.halves, 0)
        inside = ndtr((bounds - difference) / self.deviation) - ndtr((-bounds - difference) / self.deviation)
        return float(inside.mean())

    def smallest_difference(self, power: float) -> float:
        """Return the smallest true difference whose chance of 'helps' is at least `power`.

        It may exceed 1, which no difference can: then no difference is seen with that power.
        """
        from scipy.optimize import brentq

        high = float(self.halves.max() + self.margin + 10 * self.deviation)
        return float(brentq(lambda difference: self.chance_of_helps(difference) - power, 0.0, high, xtol=1e-6))
