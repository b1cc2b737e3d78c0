"""Two one-sided tests against statsmodels, and how they go with the interval and the posterior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from dermsynth.metrics.equivalence import equivalence_p, shares
from dermsynth.metrics.statistics import Contrast


def of(differences: np.ndarray) -> Contrast:
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    return Contrast(float(differences.mean()), error, len(differences) - 1, tuple(differences))


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_statsmodels(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.01, 0.03, 12)
    expected = DescrStatsW(differences).ttost_mean(-0.02, 0.02)[0]
    assert equivalence_p(of(differences), 0.02) == pytest.approx(expected)


@given(st.floats(-0.1, 0.1), st.floats(1e-4, 0.1), st.floats(1, 200), st.floats(0.001, 0.1), st.floats(0.6, 0.99))
def test_it_is_below_half_of_alpha_exactly_when_the_interval_lies_within_the_margin(
    value: float, error: float, freedom: float, margin: float, confidence: float
) -> None:
    found = Contrast(value, error, freedom, ())
    low, high = found.interval(confidence)
    if min(abs(low + margin), abs(high - margin)) < 1e-9:  # on the edge rounding decides
        return
    assert (equivalence_p(found, margin) < (1 - confidence) / 2) == (-margin < low and high < margin)


def test_the_posterior_is_students_t_around_the_difference() -> None:
    found = shares(Contrast(0.01, 0.02, 6.5, ()), 0.02)
    posterior = stats.t(6.5, 0.01, 0.02)
    assert (found.below, found.above) == pytest.approx((posterior.cdf(-0.02), posterior.sf(0.02)))
    assert found.below + found.within + found.above == pytest.approx(1)
    assert max(found.below, found.above) == pytest.approx(equivalence_p(Contrast(0.01, 0.02, 6.5, ()), 0.02))
