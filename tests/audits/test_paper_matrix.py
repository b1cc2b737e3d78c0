"""Printed numbers and their spans; every confusion matrix that fits, against plain counting."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.audits.paper.matrix import RATIOS, Matrix, solve
from dermsynth.audits.paper.printed import Span, read_cells, read_number


@given(st.fractions(0, 1), st.integers(1, 5), st.sampled_from([ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN]))
def test_a_rounded_number_stands_for_the_value_it_came_from(value: Fraction, digits: int, how: str) -> None:
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    text = str(exact.quantize(Decimal(1).scaleb(-digits), how))
    assert value in read_number(text).span


def test_a_span_is_half_a_unit_below_and_one_above() -> None:
    assert read_number("0.863").span == Span(Fraction("0.8625"), Fraction("0.864"))
    assert read_number("0.8630").span == Span(Fraction("0.86295"), Fraction("0.8631"))
    assert read_number("86.3%").span == Span(Fraction("0.8625"), Fraction("0.864"))
    assert read_number("−0.5").span == Span(Fraction("-0.6"), Fraction("-0.45"))


def test_a_row_is_read_as_it_is_copied() -> None:
    texts = [cell and cell.text for cell in read_cells("0.823/ 0.721 | 86.3 % – 44.41±1.28 .9")]
    assert texts == ["0.823", "0.721", "86.3%", None, "44.41", ".9"]


def test_a_word_is_no_number() -> None:
    with pytest.raises(ValueError, match="'n0' is no number"):
        read_cells("0.5 n0")


@given(st.data())
def test_every_fitting_matrix_is_found_and_no_other(data: st.DataObject) -> None:
    positives, negatives = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    names = data.draw(st.lists(st.sampled_from(sorted(RATIOS)), min_size=1, unique=True))
    spans = {}
    for name in names:
        low = Fraction(data.draw(st.integers(0, 100)), 100)
        spans[name] = Span(low, min(low + Fraction(data.draw(st.integers(0, 30)), 100), Fraction(1)))
    transposed = data.draw(st.booleans())
    found = {matrix.cells for matrix in solve(positives, negatives, spans, transposed=transposed)}
    for tp in range(positives + 1):
        for tn in range(negatives + 1):
            matrix = Matrix(tp, positives - tp, negatives - tn, tn)
            read = Matrix(tp, matrix.fp, matrix.fn, tn) if transposed else matrix
            values = {name: read.metric(name) for name in names}
            fits = all(value is None or value in spans[name] for name, value in values.items())
            assert (matrix.cells in found) == fits


def test_large_test_sets_are_solved_exactly() -> None:
    truth = Matrix(tp=823_456, fn=176_544, fp=54_321, tn=945_679)
    spans = {}
    for name in RATIOS:
        value = truth.metric(name)
        assert value is not None
        spans[name] = Span(value, value)
    (found,) = solve(1_000_000, 1_000_000, spans)
    assert found == truth
