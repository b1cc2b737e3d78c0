"""Scores of confusion matrices: their orientation, groups of classes, and what they do without an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dermsynth.metrics import tables

TABLE = np.array([[8, 2, 0], [1, 6, 3], [0, 0, 5]])


def test_rows_are_the_actual_class() -> None:
    each = tables.one_vs_rest(TABLE)
    assert each.sensitivity == pytest.approx([8 / 10, 6 / 10, 5 / 5])
    assert each.precision == pytest.approx([8 / 9, 6 / 8, 5 / 8])
    assert each.specificity == pytest.approx([14 / 15, 13 / 15, 17 / 20])


def test_a_group_of_classes_forgives_mistakes_within_it() -> None:
    first_two = tables.one_vs_rest(TABLE, np.array([[True, True, False]]))
    assert first_two.sensitivity == pytest.approx([17 / 20])
    assert first_two.specificity == pytest.approx([1])
    assert first_two.precision == pytest.approx([1])


def test_the_other_class_of_two_has_sensitivity_and_specificity_swapped() -> None:
    each = tables.one_vs_rest(np.array([[30, 10], [5, 15]]))
    assert each.sensitivity[0] == each.specificity[1] == 0.75
    assert each.sensitivity[1] == each.specificity[0] == 0.75
    assert each.precision[0] != each.precision[1]


def test_a_class_that_is_never_predicted_has_precision_0_and_says_so() -> None:
    each = tables.one_vs_rest(np.array([[4, 0], [3, 0]]))
    assert each.precision.tolist() == [4 / 7, 0]
    assert each.f1[1] == 0
    assert each.never_predicted.tolist() == [False, True]


def test_constant_calls_know_nothing() -> None:
    constant = np.array([[4.0, 0], [3, 0]])
    assert tables.matthews(constant) == 0
    assert tables.kappa(constant) == 0
    assert tables.accuracy(constant) == pytest.approx(4 / 7)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.int64, (2, 3, 4, 4), elements=st.integers(0, 9)))
def test_many_tables_at_once_are_each_alone(many: np.ndarray) -> None:
    many = many + np.eye(4, dtype=np.int64)
    each = tables.one_vs_rest(many)
    for place in np.ndindex(2, 3):
        alone = tables.one_vs_rest(many[place])
        for name in ("sensitivity", "specificity", "precision", "f1"):
            assert getattr(each, name)[place] == pytest.approx(getattr(alone, name))
        for score in (tables.accuracy, tables.matthews, tables.kappa):
            assert score(many)[place] == pytest.approx(score(many[place]))
        assert -1 <= tables.matthews(many[place]) <= 1


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.int64, (4, 4), elements=st.integers(0, 9)), st.permutations(range(4)))
def test_the_numbering_of_classes_does_not_matter(table: np.ndarray, order: list[int]) -> None:
    table = table + np.eye(4, dtype=np.int64)
    moved = table[np.ix_(order, order)]
    for score in (tables.accuracy, tables.matthews, tables.kappa):
        assert score(moved) == pytest.approx(score(table))
    assert tables.one_vs_rest(moved).f1 == pytest.approx(tables.one_vs_rest(table).f1[order])
