"""Is a difference too small to matter? Two one-sided tests, and the shares of a posterior.

The rule of a verdict asks whether the interval of confidence c lies within the margin. That is the same as two
one-sided tests at (1 - c) / 2: `equivalence_p` is below 0.025 exactly when the 95 % interval lies within the margin.
The customary TOST at 0.05 uses the 90 % interval, so the rule of a verdict is the stricter one.

`shares` says the same in other words. With a flat prior, the true difference has Student's t around the measured one
as its posterior; its probability below the margin, within and above it add up to 1, and the two outer ones are the two
one-sided p-values. No threshold belongs to them: they are for reading, the outcome is decided by the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from dermsynth.metrics.statistics import Contrast, student_tail


def equivalence_p(found: Contrast, margin: float) -> float:
    """Return the p-value of two one-sided tests: of a difference of `margin` or more, whichever its sign.

    Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657.
    """
    return student_tail((margin - abs(found.value)) / found.standard_error, found.freedom)


@dataclass(frozen=True)
class Shares:
    """Posterior probabilities that the true difference is a loss that matters, too small to matter, or a gain."""

    below: float
    within: float
    above: float


def shares(found: Contrast, margin: float) -> Shares:
    """Return how much of the posterior lies below -margin, within the margin (ROPE; Kruschke 2018), and above it."""
    above = student_tail((margin - found.value) / found.standard_error, found.freedom)
    below = student_tail((margin + found.value) / found.standard_error, found.freedom)
    return Shares(below, 1 - below - above, above)
