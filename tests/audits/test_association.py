"""Cramér's V against its extremes, and what is worth reporting."""

from __future__ import annotations

import numpy as np
import pytest

from dermsynth.audits.association import association


def test_what_one_tells_the_other_has_strength_1() -> None:
    assert association(np.diag([40, 50, 60])).cramers_v == pytest.approx(1.0)


def test_what_is_independent_has_strength_0() -> None:
    found = association(np.outer([1, 2, 3], [10, 20]))
    assert (found.cramers_v, found.p, found.notable) == (pytest.approx(0.0), pytest.approx(1.0), False)


def test_a_table_by_hand() -> None:
    found = association(np.array([[30, 10], [10, 30]]))  # every expected count is 20
    assert found.chi_square == pytest.approx(20.0)
    assert found.cramers_v == pytest.approx(0.5)
    assert found.notable


def test_a_strong_association_of_few_images_may_be_chance() -> None:
    assert not association(np.array([[3, 1], [1, 3]])).notable


def test_a_weak_association_of_many_images_is_negligible() -> None:
    assert not association(np.array([[51_000, 49_000], [49_000, 51_000]])).notable


@pytest.mark.parametrize("counts", [[[5], [6]], [[0, 5], [0, 6]], [[0, 0], [5, 6]], [[0, 0], [0, 0]]])
def test_with_one_kind_alone_there_is_no_association(counts: list[list[int]]) -> None:
    assert association(np.array(counts)) == (0.0, 1.0, 0.0)
