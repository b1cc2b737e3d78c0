"""The lesion bootstrap of any score: from weights of lesions to the spread of many scores of many fits at once.

A redraw gives every lesion a weight. A score that can be computed from weighted images (`Score.of`) is evaluated on a
few hundred redraws in one piece, so that 10,000 redraws of ten fits take seconds, and only the covariance between fits
is kept. One redraw serves all fits and all scores, which is what makes comparisons paired.

Lesions are redrawn within their class. Of a class's n lesions n - 1 are drawn, and each counts n / (n - 1) times: the
variance of a mean over redraws is then s²/n exactly, where drawing n of n makes it too small by (n - 1) / n (McCarthy &
Snowden 1985; Rao & Wu 1988, doi:10.1080/01621459.1988.10478591). In a class of 5 lesions that is a fifth.

An interval takes its width from that variance and Student's t, and is Wilson's on the range of the score, so that it
stays inside it; several seeds add their own variance. `dermsynth.metrics.statistics` says how and how well that works.
A score needs to say two things for it. First its range. Second how the classes weigh in it, from which follow the
degrees of freedom (Welch-Satterthwaite, were all classes' lesions equally variable) and the variance that is never gone
below: as if one lesion of every class had been judged differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.metrics.lesions import Lesions, Statistic
from dermsynth.metrics.statistics import Contrast, Estimate, contrast, estimate

FloatArray = npt.NDArray[np.float64]

_CELLS_AT_ONCE = 500_000
"""Weights held at a time (4 MB): what is computed from them should stay in the processor's cache."""
_LEAST_AT_ONCE = 128
"""Redraws in a piece, however many lesions: each piece costs a Python loop over the levels of a ranking."""


@dataclass(frozen=True, eq=False)
class Scale:
    """What an interval needs to know of M scores of F fits beside their redraws; arrays broadcast to (M, F).

    Attributes:
        low: The least value that a score can have; `high`: the greatest.
        floor: The least variance, on the score's scale.
        freedom: Degrees of freedom of the variance, 1 or more.
    """

    low: FloatArray
    high: FloatArray
    floor: FloatArray
    freedom: FloatArray

    @classmethod
    def of_lesions(
        cls, lesions: Lesions, weights: FloatArray, *, low: float = 0.0, high: float = 1.0, step: float = 1.0
    ) -> Scale:
        """Return the scale of scores in which class c weighs `weights[m, c]`, float (M, C).

        `step` is how far a class's part moves, times its lesions, when one lesion is judged differently.
        """
        parts = weights**2 / lesions.counts
        freedom = parts.sum(axis=1) ** 2 / (parts**2 / np.maximum(lesions.counts - 1, 1)).sum(axis=1)
        floor = ((step * weights / lesions.counts) ** 2).sum(axis=1)
        return cls(np.array(low), np.array(high), floor[:, None], np.maximum(freedom, 1)[:, None])

    @classmethod
    def of_count(cls, lesions: npt.NDArray[np.int64]) -> Scale:
        """Return the scale of shares in [0, 1] of so many lesions, int (M, F); none at all count as one."""
        counts = np.maximum(lesions, 1).astype(np.float64)
        return cls(np.array(0.0), np.array(1.0), counts**-2.0, np.maximum(counts - 1, 1))


class Score(Protocol):
    """Scores of the same F fits, each known by a name."""

    @property
    def scales(self) -> Mapping[str, Scale]:
        """The scale of each."""

    def of(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return float64 (M, F, R) for each name, of weights float64 (G, R) of lesions."""


@dataclass(frozen=True, eq=False)
class Spread:
    """M scores of F fits with their covariance over redraws of lesions.

    Attributes:
        values: float64 (M, F).
        covariance: float64 (M, F, F).
        scale: See there.
    """

    values: FloatArray
    covariance: FloatArray
    scale: Scale

    def estimate(self, fits: Sequence[int], m: int, *, confidence: float) -> Estimate:
        """Return the mean of score m over fits that differ in their seed, with an interval inside the score's range."""
        statistic, low, width = self._unit(fits, m)
        found = estimate(statistic, list(range(len(fits))), confidence=confidence)
        mean, start, end = (low + width * value for value in (found.mean, found.low, found.high))
        return Estimate(mean, start, end, tuple(float(self.values[m, f]) for f in fits))

    def compare(self, treatment: Sequence[int], control: Sequence[int], m: int) -> Contrast:
        """Return treatment minus control of score m, paired by lesion and, in their order, by seed."""
        statistic, _, width = self._unit([*treatment, *control], m)
        s = len(treatment)
        found = contrast(statistic, [range(s), range(s, s + len(control))], [1.0, -1.0])
        by_seed = tuple(width * value for value in found.by_seed)
        return Contrast(width * found.value, width * found.standard_error, found.freedom, by_seed)

    def _unit(self, fits: Sequence[int], m: int) -> tuple[Statistic, float, float]:
        """Return one score of some fits with its range moved to 0…1, and where the range starts and how wide it is."""
        chosen = list(fits)
        low, high, floor, freedom = (
            np.broadcast_to(part, self.values.shape)[m, chosen]
            for part in (self.scale.low, self.scale.high, self.scale.floor, self.scale.freedom)
        )
        start, width = float(low[0]), float(high[0] - low[0])
        statistic = Statistic(
            values=(self.values[m, chosen] - start) / width,
            covariance=self.covariance[m][np.ix_(chosen, chosen)][None] / width**2,
            lesions=np.array([int(freedom.min()) + 1]),
            floor=float(floor.mean()) / width**2,
        )
        return statistic, start, width


def redraws(lesions: Lesions, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield weights of lesions, float64 (G, R'), in pieces of R' redraws that make up `resamples`.

    The weights of a class sum to its number of lesions. A class of one lesion keeps it. Lesions are in the order of
    `lesions`, so the same seed gives the same weights, in any order of images.
    """
    generators = [numpy_generator(seed, "lesion redraws", c) for c in range(lesions.n_classes)]
    at_once = max(_LEAST_AT_ONCE, _CELLS_AT_ONCE // len(lesions.stratum))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        yield np.vstack([_of_class(int(n), count, generators[c]) for c, n in enumerate(lesions.counts)])


def spreads(scores: Sequence[Score], lesions: Lesions, *, resamples: int, seed: int) -> dict[str, Spread]:
    """Return every score with its covariance over redraws of lesions.

    Raises:
        InputError: fewer than 2 resamples.
    """
    if resamples < 2:
        raise InputError(f"resamples is {resamples}; a variance needs at least 2")
    values = {name: found[..., 0] for name, found in _evaluated(scores, np.ones((len(lesions.stratum), 1)))}
    sums = {name: np.zeros_like(observed) for name, observed in values.items()}
    products = {name: np.zeros((*observed.shape, observed.shape[1])) for name, observed in values.items()}
    for weights in redraws(lesions, resamples, seed):
        for name, redrawn in _evaluated(scores, weights):
            moved = np.ascontiguousarray(redrawn) - values[name][..., None]
            sums[name] += moved.sum(axis=-1)
            products[name] += moved @ moved.swapaxes(1, 2)
    scales = {name: scale for score in scores for name, scale in score.scales.items()}
    found = {}
    for name, total in sums.items():
        mean = total / resamples
        centred = products[name] - resamples * mean[:, :, None] * mean[:, None, :]
        found[name] = Spread(values[name], centred / (resamples - 1), scales[name])
    return found


def _of_class(n: int, count: int, generator: np.random.Generator) -> FloatArray:
    """Return float64 (n, count): how often each of n lesions counts in each redraw."""
    if n == 1:
        return np.ones((1, count))
    drawn = generator.integers(0, n, size=(count, n - 1))
    times = np.bincount((drawn * count + np.arange(count)[:, None]).ravel(), minlength=n * count)
    return np.asarray(times.reshape(n, count) * (n / (n - 1)), dtype=np.float64)


def _evaluated(scores: Sequence[Score], weights: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    for score in scores:
        yield from score.of(weights).items()
