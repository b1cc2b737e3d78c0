"""The figure of a search: what it draws and says."""

from __future__ import annotations

import re

from dermsynth.reports.slices import slices
from dermsynth.trials.space import Choice, Range
from dermsynth.trials.tries import Try, Tuning

SPACE = (
    Range(key="classifier.learning_rate", low=1e-4, high=1e-1, log=True),
    Choice(key="classifier.optimiser", values=("adam", "sgd")),
    Choice(key="augmentation.flip", values=(True, False)),
)


def tuning(*scores: float | None) -> Tuning:
    tries = [
        Try(
            arm=arm,
            number=number,
            state="done" if score is not None else "failed",
            score=score,
            values={
                "classifier.learning_rate": 10.0 ** -(number + 1),
                "classifier.optimiser": "sgd",
                "augmentation.flip": True,
            },
        )
        for arm in ("real", "hybrid")
        for number, score in enumerate(scores)
    ]
    return Tuning(
        metric="balanced_accuracy", wanted=3, arms=("real", "hybrid"), space=SPACE, own={}, tries=tuple(tries)
    )


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(?:<[^>]*>)?([^<]+)", svg)


def test_every_key_arm_and_value_is_named_in_plain_numbers() -> None:
    found = words(slices(tuning(0.5, 0.7, 0.6)))
    assert {"real", "hybrid", "classifier.learning_rate", "classifier.optimiser", "augmentation.flip"} <= set(found)
    assert {"adam", "sgd", "true", "false", "0.0001", "0.001", "0.1"} <= set(found)
    assert not [word for word in found if "$" in word or "mathdefault" in word]


def test_the_best_of_each_arm_is_said_and_failures_are_left_out() -> None:
    svg = slices(tuning(0.5, None, 0.75))
    assert "real: best 75.0 %; hybrid: best 75.0 %." in svg
    assert slices(tuning(0.5, None, 0.75)) == svg


def test_a_search_without_a_score_is_an_empty_figure() -> None:
    assert "<svg" in slices(tuning(None))
