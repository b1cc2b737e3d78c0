"""McNemar's test against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference

from dermsynth.core.errors import InputError
from dermsynth.metrics.mcnemar import mcnemar


def judged(b: int, c: int, both: int = 7, neither: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return the correctness of two classifiers with b and c discordant cases."""
    first = np.repeat([True, False, True, False], [b, c, both, neither])
    second = np.repeat([False, True, True, False], [b, c, both, neither])
    return first, second


@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 9), (9, 3), (12, 12), (0, 24), (11, 13)])
def test_few_discordant_cases_are_tested_exactly(b: int, c: int) -> None:
    found = mcnemar(*judged(b, c))
    assert (found.only_first, found.only_second) == (b, c)
    assert found.p_value == pytest.approx(reference([[7, b], [c, 5]], exact=True).pvalue)


@pytest.mark.parametrize(("b", "c"), [(0, 25), (12, 13), (20, 40), (300, 250)])
def test_many_discordant_cases_are_tested_by_chi_square_with_continuity(b: int, c: int) -> None:
    expected = reference([[7, b], [c, 5]], exact=False, correction=True).pvalue
    assert mcnemar(*judged(b, c)).p_value == pytest.approx(expected)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 5), (40, 40)])
def test_classifiers_that_are_right_equally_often_have_p_one(b: int, c: int) -> None:
    assert mcnemar(*judged(b, c)).p_value == 1


def test_different_cases_are_refused() -> None:
    with pytest.raises(InputError, match="3 cases cannot be paired with 2"):
        mcnemar(np.ones(3, bool), np.ones(2, bool))
