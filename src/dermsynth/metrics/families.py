"""Outcomes of several comparisons that are looked at together: each is decided on evidence adjusted for all of them.

Of twenty comparisons without any difference, one is expected below p = 0.05. A family of comparisons is therefore
decided on Holm's adjusted p-values, of no difference and of equivalence: the chance of calling any true null a
difference is at most 1 - confidence, and that of calling any difference that matters equivalent at most half of that.
A family of one is decided as its interval says: equivalent inside the margin, else by the side of 0 on which it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dermsynth.metrics.equivalence import equivalence_p
from dermsynth.metrics.multiplicity import holm
from dermsynth.metrics.statistics import Contrast, Outcome


@dataclass(frozen=True)
class Decision:
    """What a comparison comes to within its family.

    Attributes:
        adjusted_p: Two-sided, of no difference, adjusted for the family.
        equivalence_p: Of a difference of the margin or more, for this comparison alone.
        outcome: By the adjusted p-values of both.
    """

    adjusted_p: float
    equivalence_p: float
    outcome: Outcome


def decide(family: Sequence[Contrast], *, margin: float, confidence: float = 0.95) -> list[Decision]:
    """Return the decision on each comparison of a family, in the given order.

    Args:
        family: The differences, whatever they share.
        margin: The smallest difference that matters.
        confidence: 1 - the chance of any false difference.
    """
    adjusted = holm([found.p_value for found in family])
    alone = [equivalence_p(found, margin) for found in family]
    decisions = []
    for found, p_value, equal_alone, equal in zip(family, adjusted, alone, holm(alone), strict=True):
        outcome: Outcome = "inconclusive"
        if equal < (1 - confidence) / 2:
            outcome = "equivalent"
        elif p_value < 1 - confidence:
            outcome = "helps" if found.value > 0 else "harms"
        decisions.append(Decision(p_value, equal_alone, outcome))
    return decisions
