"""Many comparisons: Holm against statsmodels, the best of k against its integral and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests

from dermsynth.core.errors import InputError
from dermsynth.metrics.multiplicity import chance_of_best, expected_best, holm


@pytest.mark.parametrize("seed", range(8))
def test_holm_is_that_of_statsmodels_in_the_given_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    p_values = (generator.random(1 + seed % 12) ** 3).round(2).tolist()  # some are equal, some are 0
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_one_comparison_is_not_changed_and_none_is_nothing() -> None:
    assert holm([0.03]) == (0.03,)
    assert holm([]) == ()


@pytest.mark.parametrize("p", [-0.1, 1.01, float("nan")])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(InputError, match=f"p-value {p}; expected a number from 0 to 1"):
        holm([0.5, p])


@pytest.mark.parametrize("draws", [1, 2, 3, 12, 1000])
def test_the_expected_best_is_the_integral_over_its_density(draws: int) -> None:
    def part(x: float) -> float:
        return float(x * draws * stats.norm.pdf(x) * stats.norm.cdf(x) ** (draws - 1))

    assert expected_best(draws) == pytest.approx(integrate.quad(part, -12, 12, limit=200)[0], abs=1e-6)
    assert expected_best(2) == pytest.approx(1 / np.sqrt(np.pi))


def test_arms_that_share_a_control_have_a_smaller_best() -> None:
    generator = np.random.default_rng(0)
    shared, own = generator.normal(size=(200_000, 1)), generator.normal(size=(200_000, 5))
    found = ((own - shared) / np.sqrt(2)).max(axis=1)
    assert found.mean() == pytest.approx(np.sqrt(1 - 0.5) * expected_best(5), abs=0.01)


def test_the_chance_of_a_best_is_that_of_all_draws_below() -> None:
    assert chance_of_best(1.2, 4) == pytest.approx(1 - stats.norm.cdf(1.2) ** 4)
    assert chance_of_best(9.0, 3) == pytest.approx(3 * stats.norm.sf(9.0))


def test_the_best_of_none_is_refused() -> None:
    for function in (expected_best, lambda k: chance_of_best(0.0, k)):
        with pytest.raises(InputError, match="the best of 0 draws"):
            function(0)
