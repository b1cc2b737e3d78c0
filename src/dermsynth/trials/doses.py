"""Dose-response: arms that differ in nothing but how many images they add, in the order of their amounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dermsynth.core.config import Config
from dermsynth.metrics.dose import dose_response
from dermsynth.metrics.lesions import Recalls, Statistic
from dermsynth.metrics.statistics import estimate
from dermsynth.trials.evidence import Evidence

_FEWEST = 3
BALANCED = "balanced_accuracy"


class Varied(Protocol):
    """What is asked of an arm's facts."""

    @property
    def recipe(self) -> str:
        """Return its recipe."""

    @property
    def settings(self) -> Mapping[str, float | str]:
        """Return what a grid set."""


class Dose(Config):
    """A score over amounts, and its trend.

    Attributes:
        metric: `balanced_accuracy`, or a class, whose recall it is.
        key: The setting that is the dose; `others`: what else the grid set, the same in all these arms.
        arms: In the order of `doses`, which ascend; `means`, `lows`, `highs`: the score of each with its interval.
        monotone: The rising or falling curve that is nearest to the means.
        slope: Change of the score per image, for a straight line, from `slope_low` to `slope_high`.
        p_value: Of no trend, for this curve alone.
    """

    metric: str
    key: str
    others: dict[str, float | str]
    arms: tuple[str, ...]
    doses: tuple[float, ...]
    means: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    monotone: tuple[float, ...]
    slope: float
    slope_low: float
    slope_high: float
    p_value: float


def doses_of(
    evidence: Evidence, recalls: Recalls, facts: Mapping[str, Varied], *, confidence: float, seed: int
) -> tuple[Dose, ...]:
    """Return the curves of all sets of three or more arms that differ in one amount alone."""
    curves = []
    for (key, others), arms in _ladders(facts).items():
        scores = {BALANCED: recalls.balanced_accuracy()}
        scores |= {name: recalls.of_class(index) for index, name in enumerate(evidence.classes)}
        for metric, statistic in scores.items():
            curves.append(_curve(metric, key, dict(others), arms, statistic, evidence, confidence, seed))
    return tuple(curves)


def _ladders(
    facts: Mapping[str, Varied],
) -> dict[tuple[str, tuple[tuple[str, float | str], ...]], dict[str, float]]:
    """Return the arms of each ladder and their amounts, ascending, by (key, other settings)."""
    found: dict[tuple[str, tuple[tuple[str, float | str], ...]], dict[str, float]] = {}
    for arm, one in facts.items():
        for key, value in one.settings.items():
            if (key == "fill_to" or key.startswith("add.")) and not isinstance(value, str):
                others = {"recipe": one.recipe, **{k: v for k, v in one.settings.items() if k != key}}
                found.setdefault((key, tuple(sorted(others.items()))), {})[arm] = float(value)
    long_enough = {of: arms for of, arms in found.items() if len(set(arms.values())) >= _FEWEST}
    return {of: dict(sorted(arms.items(), key=lambda item: item[1])) for of, arms in long_enough.items()}


def _curve(
    metric: str,
    key: str,
    others: dict[str, float | str],
    arms: Mapping[str, float],
    statistic: Statistic,
    evidence: Evidence,
    confidence: float,
    seed: int,
) -> Dose:
    fits = [evidence.fits_of(arm) for arm in arms]
    bands = [estimate(statistic, one, confidence=confidence) for one in fits]
    trend = dose_response(statistic, fits, list(arms.values()), seed=seed)
    low, high = trend.slope.interval(confidence)
    return Dose(
        metric=metric,
        key=key,
        others=others,
        arms=tuple(arms),
        doses=trend.doses,
        means=trend.means,
        lows=tuple(band.low for band in bands),
        highs=tuple(band.high for band in bands),
        monotone=trend.monotone,
        slope=trend.slope.value,
        slope_low=low,
        slope_high=high,
        p_value=trend.p_value,
    )
