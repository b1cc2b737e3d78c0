"""Outcomes of comparisons that are looked at together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dermsynth.metrics.families import decide
from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.metrics.statistics import Contrast, contrast


def of(value: float, error: float = 0.01, freedom: float = 50) -> Contrast:
    return Contrast(value, error, freedom, (value,))


def said(low: float, high: float, margin: float) -> str:
    """Return what an interval says: inside the margin it is equivalent, whatever side of 0 it is on."""
    if -margin < low and high < margin:
        return "equivalent"
    if low > 0:
        return "helps"
    return "harms" if high < 0 else "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.001, 0.05, "helps"),
        (-0.05, -0.001, "harms"),
        (-0.019, 0.019, "equivalent"),
        (0.001, 0.019, "equivalent"),
        (-0.0201, 0.01, "inconclusive"),
        (-0.0001, 0.05, "inconclusive"),
        (-0.3, 0.3, "inconclusive"),
    ],
)
def test_outcomes_of_a_comparison_with_an_interval(low: float, high: float, outcome: str) -> None:
    found = of((low + high) / 2, (high - low) / 2 / stats.t.ppf(0.975, 50))
    assert decide([found], margin=0.02)[0].outcome == outcome == said(low, high, 0.02)


@given(st.floats(-0.1, 0.1), st.floats(1e-3, 0.1), st.floats(1, 200), st.floats(0.6, 0.99))
def test_a_comparison_alone_is_decided_as_its_interval_says(
    value: float, error: float, freedom: float, confidence: float
) -> None:
    found = of(value, error, freedom)
    low, high = found.interval(confidence)
    if min(abs(end - edge) for end in (low, high) for edge in (-0.02, 0.0, 0.02)) < 1e-9:  # there rounding decides
        return
    (decision,) = decide([found], margin=0.02, confidence=confidence)
    assert decision.outcome == said(low, high, 0.02)
    assert decision.adjusted_p == found.p_value


def test_what_helps_alone_may_be_inconclusive_among_many() -> None:
    gain = of(0.025)  # t = 2.5, p = 0.016
    assert decide([gain], margin=0.001)[0].outcome == "helps"
    assert [one.outcome for one in decide([gain, *[of(0.0)] * 6], margin=0.001)] == ["inconclusive"] * 7
    assert decide([gain, *[of(0.5)] * 6], margin=0.001)[0].outcome == "helps"  # rejected ones no longer count


def test_a_loss_is_a_harm() -> None:
    assert [one.outcome for one in decide([of(-0.1), of(0.1)], margin=0.02)] == ["harms", "helps"]


def test_equivalence_is_adjusted_too() -> None:
    small = of(0.0, error=0.0095)  # t = 2.1 to either margin, one-sided p = 0.02
    assert decide([small], margin=0.02)[0].outcome == "equivalent"
    many = decide([small] * 3, margin=0.02)
    assert [one.outcome for one in many] == ["inconclusive"] * 3
    assert [one.equivalence_p for one in many] == [stats.t.sf(0.02 / 0.0095, 50)] * 3


def test_any_false_difference_among_true_nulls_is_rare() -> None:
    generator, trials = np.random.default_rng(0), 3000
    z = generator.normal(size=(trials, 1)) * 0.6 + generator.normal(size=(trials, 7)) * 0.8  # they share a part
    false = sum(
        any(one.outcome in ("helps", "harms") for one in decide([of(0.01 * t, freedom=1e9) for t in row], margin=1e-6))
        for row in z
    )
    assert false <= stats.binom.ppf(0.995, trials, 0.05)


def test_trials_without_a_difference_help_in_no_more_than_the_nominal_share() -> None:
    """The whole way of a verdict, from lesions and seeds; `benchmarks/calibration.py` has more situations."""
    generator, trials, helps, any_class = np.random.default_rng(0), 1000, 0, 0
    labels = np.arange(75) % 3
    lesions = Lesions.of(labels, np.arange(75), 3)
    for trial in range(trials):
        latent = 0.4 + generator.normal(0, 0.7, (75, 1, 1)) + generator.normal(0, 0.5, (75, 2, 3))
        latent += generator.normal(0, 0.15, (3, 2, 3))[labels]
        recalls = bootstrap_recalls((latent > 0).reshape(75, 6), lesions, resamples=50, seed=trial)
        pair, weights = [[3, 4, 5], [0, 1, 2]], [1.0, -1.0]
        whole = decide([contrast(recalls.balanced_accuracy(), pair, weights)], margin=0.02)[0]
        classes = decide([contrast(recalls.of_class(c), pair, weights) for c in range(3)], margin=0.02)
        helps += whole.outcome == "helps"
        any_class += any(one.outcome in ("helps", "harms") for one in classes)
    # At the nominal rates these bounds would be exceeded once in 200 runs; the simulation is seeded.
    assert helps <= stats.binom.ppf(0.995, trials, 0.025)
    assert any_class <= stats.binom.ppf(0.995, trials, 0.05)
