"""How long jobs take together: against arithmetic by hand, and laws that any schedule keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.trials.schedule import critical_path, makespan

SECONDS = {"cohort": 2.0, "run": 10.0, "pool": 1.0, "fit a": 3.0, "fit b": 4.0}
NEEDS = {"run": ["cohort"], "pool": ["run"], "fit a": ["cohort"], "fit b": ["pool", "cohort"]}


@pytest.mark.parametrize(("workers", "expected"), [(1, 20.0), (2, 17.0), (9, 17.0)])
def test_the_time_of_a_trial_by_hand(workers: int, expected: float) -> None:
    assert makespan(SECONDS, NEEDS, workers) == expected


def test_what_is_done_is_waited_for_no_more() -> None:
    assert makespan({"fit b": 4.0}, NEEDS, 1) == 4.0
    assert makespan({}, NEEDS, 3) == 0.0


def test_the_critical_path_is_the_longest_chain() -> None:
    assert critical_path(SECONDS, NEEDS) == ["cohort", "run", "pool", "fit b"]
    assert critical_path({}, NEEDS) == []


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, float], dict[str, list[str]]]:
    number = draw(st.integers(1, 9))
    seconds = {str(n): float(draw(st.integers(0, 20))) for n in range(number)}
    return seconds, {str(n): [str(m) for m in range(n) if draw(st.booleans())] for n in range(number)}


@given(graphs(), st.integers(1, 5))
def test_no_schedule_beats_its_longest_chain_or_its_work(
    graph: tuple[dict[str, float], dict[str, list[str]]], workers: int
) -> None:
    seconds, needs = graph
    total = sum(seconds.values())
    chain = sum(seconds[name] for name in critical_path(seconds, needs))
    found = makespan(seconds, needs, workers)
    assert max(chain, total / workers) <= found <= total
    assert found <= total / workers + chain  # Graham's bound for list scheduling
    assert makespan(seconds, needs, len(seconds)) == chain
