"""The comparisons of a trial's arms: differences with intervals, and outcomes decided in families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dermsynth.core.config import Config
from dermsynth.metrics.equivalence import Shares, shares
from dermsynth.metrics.families import Decision, decide
from dermsynth.metrics.heterogeneity import heterogeneity
from dermsynth.metrics.lesions import Recalls, Statistic
from dermsynth.metrics.permutation import sign_flip
from dermsynth.metrics.statistics import Contrast, Difference, Estimate, Outcome, contrast
from dermsynth.trials.evidence import Evidence

_ALSO_AGAINST = ("placebo", "classical", "real")


class Band(Config):
    """A score's mean over seeds with its interval and the score of each seed; shares in [0, 1]."""

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]


class Change(Config):
    """A paired difference (share, not points), its interval, its tests and its outcome.

    Attributes:
        p_value: Two-sided, of no difference, for this comparison alone; `adjusted_p`: adjusted for its family.
        equivalence_p: Of a difference of the declared margin or more, for this comparison alone.
        outcome: Decided on the p-values adjusted for the family.
    """

    difference: float
    low: float
    high: float
    p_value: float
    adjusted_p: float
    equivalence_p: float
    outcome: Outcome
    by_seed: tuple[float, ...]


class Margin(Config):
    """Posterior probabilities that the difference lies below the margin, within it, and above it."""

    below: float
    within: float
    above: float


class Spread(Config):
    """Whether the classes' recalls change by different amounts: Cochran's Q, its p-value, and I² in [0, 1]."""

    q: float
    p_value: float
    i_squared: float


class Pair(Config):
    """Which arms are compared, on what."""

    arm: str
    against: str
    metric: str


class Comparison(Change, Pair):
    """`arm` minus `against` on the endpoint's metric, and on each class's recall.

    Attributes:
        sign_flip_p: Of no difference, from the signs of `by_seed` alone.
    """

    sign_flip_p: float
    margin: Margin
    classes: Spread
    recall: dict[str, Change]


def compared(
    evidence: Evidence,
    recalls: Recalls,
    recipes: Mapping[str, str],
    *,
    control: str,
    treatment: str,
    metric: str,
    margin: float,
    confidence: float,
    seed: int,
) -> tuple[Comparison, ...]:
    """Return every arm against the control, then the treatment against what else could explain its result.

    Treatment against control was declared and is a family of its own; all other comparisons of arms are another, and
    so are the classes within each comparison.

    Args:
        evidence: Whose fits `recalls` are of.
        recalls: The recall of every class in every fit.
        recipes: Of every arm.
        control: The arm that every other one is compared with.
        treatment: The arm the verdict is about.
        metric: The endpoint's name; balanced accuracy.
        margin: The smallest difference that matters.
        confidence: Of intervals and families.
        seed: Of the patterns of signs, where there are too many to count.
    """

    def difference(statistic: Statistic, pair: tuple[str, str]) -> Contrast:
        return contrast(statistic, [evidence.fits_of(arm) for arm in pair], [1.0, -1.0])

    def decisions(family: Sequence[Contrast]) -> list[Decision]:
        return decide(family, margin=margin, confidence=confidence)

    pairs = _pairs(recipes, control, treatment)
    balanced = recalls.balanced_accuracy()
    found = {pair: difference(balanced, pair) for pair in pairs}
    declared = next(pair for pair in pairs if pair[0] == treatment)
    others = [pair for pair in pairs if pair != declared]
    decided = dict(zip(others, decisions([found[pair] for pair in others]), strict=True))
    decided[declared] = decisions([found[declared]])[0]
    comparisons = []
    for pair in pairs:
        of_class = [difference(recalls.of_class(index), pair) for index in range(len(evidence.classes))]
        spread = heterogeneity(of_class)
        changes = [
            change_of(change, decision, confidence)
            for change, decision in zip(of_class, decisions(of_class), strict=True)
        ]
        comparisons.append(
            Comparison(
                **vars(change_of(found[pair], decided[pair], confidence)),
                arm=pair[0],
                against=pair[1],
                metric=metric,
                sign_flip_p=sign_flip(np.array(found[pair].by_seed), seed=seed),
                margin=Margin(**plain(shares(found[pair], margin))),
                classes=Spread(q=spread.q, p_value=spread.p_value, i_squared=spread.i_squared),
                recall=dict(zip(evidence.classes, changes, strict=True)),
            )
        )
    return tuple(comparisons)


def _pairs(recipes: Mapping[str, str], control: str, treatment: str) -> list[tuple[str, str]]:
    pairs = [(arm, control) for arm in recipes if arm != control]
    others = [
        (treatment, arm)
        for recipe in _ALSO_AGAINST
        for arm, found in recipes.items()
        if found == recipe and arm != treatment
    ]
    return pairs + [pair for pair in others if pair not in pairs]


def change_of(found: Contrast, decision: Decision, confidence: float) -> Change:
    """Return a difference with what its family says of it."""
    low, high = found.interval(confidence)
    ends = Difference(found.value, low, high, found.p_value, decision.outcome, found.by_seed)
    return Change(**plain(ends), adjusted_p=decision.adjusted_p, equivalence_p=decision.equivalence_p)


def plain(result: Difference | Estimate | Shares) -> dict[str, Any]:
    """Return the fields with -0.0 as 0.0, so that equal results have equal bytes."""

    def unsigned(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(unsigned(v) for v in value)
        return value + 0.0 if isinstance(value, float) else value

    return {key: unsigned(value) for key, value in vars(result).items()}
