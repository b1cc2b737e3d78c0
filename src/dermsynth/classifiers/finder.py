"""A learning rate from one short sweep (Smith 2017, arXiv:1506.01186, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dermsynth.classifiers import find
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.schedule import Turn
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from dermsynth.classifiers.balance import Balance

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 140
"""The rates of a sweep: twenty steps for a tenfold."""
_DIVERGED = 4.0
"""A sweep ends where the loss is that many times the smallest so far."""
_MEMORY = 0.9
"""Of the running mean that notices it; one unlucky batch is no divergence."""
_WINDOW_SHARE = 0.1
"""Of the steps, for the centred mean that smooths the curve. A mean of the past would move it to higher rates."""
_DEVIATIONS = 6.0
"""By how many standard deviations of the smoothed curve the loss must fall for a rate to be suggested."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RateCurve:
    """What a sweep found.

    Attributes:
        rates: float64 (K,), ascending in equal ratios: the rate of each step.
        losses: float64 (K,), the loss of each step's batch, before the step.
        smoothed: float64 (K,), their centred running mean.
        suggested: The rate at which the smoothed loss falls steepest against the logarithm of the rate, among those
            below its minimum. None: it does not fall by more than chance would have it.
    """

    rates: FloatArray
    losses: FloatArray
    smoothed: FloatArray
    suggested: float | None

    @classmethod
    def of(cls, rates: FloatArray, losses: FloatArray) -> RateCurve:
        """Smooth the losses and apply the rule."""
        window = max(3, round(_WINDOW_SHARE * len(losses)))
        smoothed = _centred_mean(losses, window)
        lowest, suggested = int(np.argmin(smoothed)), None
        if lowest:
            # Neighbours differ by chance, hardly by the course of the curve; the median does not see its steepest part.
            deviation = 1.4826 / np.sqrt(2) * np.median(np.abs(np.diff(losses[: lowest + 1])))
            if smoothed[0] - smoothed[lowest] > _DEVIATIONS * deviation / np.sqrt(window):
                slopes = np.diff(smoothed[: lowest + 1]) / np.diff(np.log(rates[: lowest + 1]))
                suggested = float(rates[int(np.argmin(slopes))])
        return cls(rates, losses, smoothed, suggested)


def find_rate(
    train: Cohort,
    config: FitConfig,
    *,
    rows: NDArray[np.int64] | None = None,
    augmentation: ClassicalAugmentation | None = None,
    balance: Balance = "none",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RateCurve:
    """Train from the start while the learning rate climbs, and return the curve of the loss; no image of val is read.

    All parts learn, each at its share of the rate. The weights are thrown away.

    Args:
        train: Training images.
        config: Network and training; its schedule and budget play no part.
        rows: As in `fit`, like the next two.
        augmentation: See `fit`.
        balance: See `fit`.
        progress: Called with images seen and images in all.

    Raises:
        ConfigError: the model is not trained in steps.
        InputError: `train` has no image, or the loss is not finite at the lowest rates.
    """
    from dermsynth.classifiers.run import Run

    if not find(config.model).learns_in_steps:
        raise ConfigError(f"'{config.model}' is solved for, not trained in steps: it has no learning rate; fit it")
    if not len(train):
        raise InputError("train has no image; split the cohort again")
    rows = np.arange(len(train), dtype=np.int64) if rows is None else rows
    run = Run(train, train, config, rows, augmentation, balance)
    taken = 0

    def learn(rate: float) -> float:
        nonlocal taken
        loss = float(run.learn(taken, Turn(rate, config.momentum, head_only=False)))
        taken += 1
        progress(taken * config.batch_size, STEPS * config.batch_size)
        return loss

    return RateCurve.of(*sweep(learn, np.geomspace(LOWEST, HIGHEST, STEPS)))


def sweep(learn: Callable[[float], float], rates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Take a step at each rate until the loss explodes; return the rates used and the losses.

    Args:
        learn: Takes a step at a rate and returns the loss before it.
        rates: Ascending.

    Raises:
        InputError: fewer than ten losses are finite.
    """
    losses: list[float] = []
    mean, weight, smallest = 0.0, 0.0, np.inf
    for rate in rates:
        loss = learn(float(rate))
        if not np.isfinite(loss):
            break
        losses.append(loss)
        mean, weight = _MEMORY * mean + (1 - _MEMORY) * loss, _MEMORY * weight + 1 - _MEMORY
        smallest = min(smallest, mean / weight)
        if mean / weight > _DIVERGED * smallest:
            break
    if len(losses) < 10:
        raise InputError(
            f"the loss is not finite after {len(losses)} steps at rates up to {rates[len(losses)]:.2g}; "
            "set --set precision=fp32, or look for pixels that are no image"
        )
    return rates[: len(losses)], np.array(losses)


def _centred_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the mean of each value's neighbours, half a window to either side as far as there are any."""
    ones = np.ones(2 * (window // 2) + 1)
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")
