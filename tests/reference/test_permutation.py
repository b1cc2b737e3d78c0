"""Sign flips against SciPy's permutation test, by their laws, and under no difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dermsynth.core.errors import InputError
from dermsynth.metrics.permutation import EXACT_UP_TO, sign_flip


@pytest.mark.parametrize("units", [2, 3, 5, 10])
def test_few_units_are_counted_as_by_scipy(units: int) -> None:
    differences = np.random.default_rng(units).normal(0.5, 1, units)
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(differences) == pytest.approx(expected.pvalue)


def test_many_units_are_drawn_near_the_exact_tail() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, EXACT_UP_TO + 14)
    found = sign_flip(differences)
    assert found == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.02)
    assert found == sign_flip(differences)
    assert found != sign_flip(differences, seed=1)


def test_drawn_patterns_never_prove_with_certainty() -> None:
    assert sign_flip(np.ones(40), draws=1000) == pytest.approx(1 / 1001)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_neither_order_nor_sign_nor_unit_matters(values: list[float]) -> None:
    differences = np.array(values)
    found = sign_flip(differences)
    assert 2 / 2 ** len(values) <= found <= 1
    assert sign_flip(-differences[::-1]) == found
    assert sign_flip(64 * differences) == found


def test_equal_sums_are_counted_whatever_their_rounding() -> None:
    assert sign_flip(np.array([0.1, 0.2, 0.3])) == 0.25
    assert sign_flip(np.array([0.3, 0.1, -0.2])) == 0.75
    assert sign_flip(np.zeros(5)) == 1


def test_without_a_difference_few_p_values_are_small() -> None:
    generator = np.random.default_rng(1)
    found = np.array([sign_flip(generator.standard_cauchy(8)) for _ in range(2000)])
    assert (found <= 0.05).mean() <= stats.binom.ppf(0.999, 2000, 0.05) / 2000


def test_no_units_are_refused() -> None:
    with pytest.raises(InputError, match="no difference to turn round"):
        sign_flip(np.array([]))
