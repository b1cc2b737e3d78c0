from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.reports import numbers

shares = st.floats(-1, 1)


def test_points_carry_their_sign_and_one_decimal() -> None:
    assert numbers.points(0.0214, unit=False) == "+2.1"
    assert numbers.points(-0.0214, unit=False) == "−2.1"


@given(shares)
def test_no_number_has_a_hyphen_or_a_negative_zero(value: float) -> None:
    written = numbers.points(value, unit=False)
    assert "-" not in written
    assert written.lstrip("+−") != "0.0" or written == "0.0"


@given(st.floats(0.001, 1))
def test_a_p_value_has_two_significant_digits(p: float) -> None:
    assert float(numbers.p_value(p)) == pytest.approx(p, rel=0.051)
    assert len(numbers.p_value(p).replace(".", "").lstrip("0")) <= 3


@pytest.mark.parametrize(("p", "written"), [(0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (0.00995, "0.0100")])
def test_p_values_that_are_easily_written_wrong(p: float, written: str) -> None:
    assert math.isclose(float(numbers.p_value(p)), float(written), rel_tol=0.01)


def test_a_very_small_p_value_is_given_as_a_bound() -> None:
    assert numbers.p_value(1e-9) == f"<{numbers.GAP}0.001"


def test_durations_take_the_largest_unit() -> None:
    assert [numbers.seconds(s).replace(numbers.GAP, " ") for s in (4.2, 41, 200, 7500)] == [
        "4.2 s",
        "41 s",
        "3 min 20 s",
        "2 h 05 min",
    ]
