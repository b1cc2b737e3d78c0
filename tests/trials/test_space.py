"""What tuning may change: what is understood, and that mistakes are one line with the nearest key."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dermsynth.core.errors import ConfigError
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.space import Choice, Range, laid_over, nested, parse_space

DECLARED: dict[str, Any] = {
    "name": "x",
    "fill_to": 300,
    "cohort": {"source": {"kind": "phantom"}},
    "generator": {"settings": {"width": 16}},
    "classifier": {"recipe": "fastai"},
}
PROTOCOL = Protocol.model_validate(DECLARED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "classifier.learning_rate=1e-4..1e-2:log",
            Range(key="classifier.learning_rate", low=1e-4, high=1e-2, log=True),
        ),
        ("classifier.label_smoothing=0..0.2", Range(key="classifier.label_smoothing", low=0, high=0.2)),
        ("generator.settings.width=8..32", Range(key="generator.settings.width", low=8, high=32, whole=True)),
        ("fill_to=200..400:log", Range(key="fill_to", low=200, high=400, log=True, whole=True)),
        ("classifier.optimiser=adam,sgd", Choice(key="classifier.optimiser", values=("adam", "sgd"))),
        ("classifier.width=null,8", Choice(key="classifier.width", values=(None, 8))),
        ("classifier.learning_rate=1e-3,0.01", Choice(key="classifier.learning_rate", values=(0.001, 0.01))),
        ("augmentation.flip=true,false", Choice(key="augmentation.flip", values=(True, False))),
        ("classifier.schedule=cosine,one-cycle", Choice(key="classifier.schedule", values=("cosine", "one-cycle"))),
    ],
)
def test_a_key_has_a_range_or_a_list_of_values(text: str, expected: Range | Choice) -> None:
    assert parse_space([text], PROTOCOL) == [expected]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "classifier.learnig_rate=1..2",
            "unknown key 'classifier.learnig_rate'; did you mean 'classifier.learning_rate'?",
        ),
        ("width=1..2", "unknown key 'width'; known: classifier.width, generator.settings.width"),
        ("generator.settings.widht=8..16", "did you mean 'generator.settings.width'?"),
        ("classifier=1,2", "'classifier' is a block; give one of its keys"),
        ("classifier.optimiser=1..2", "is no number; list its values: classifier.optimiser=adam,sgd"),
        ("classifier.width=1.5..3", "'classifier.width' takes whole numbers"),
        ("classifier.label_smoothing=0..2", "'classifier.label_smoothing' is 2.0: Input should be less than 1"),
        ("classifier.batch_size=1..8", "'classifier.batch_size' is 1: Input should be greater than or equal to 2"),
        ("generator.settings.width=0..8", "width' is 0: Input should be greater than or equal to 1"),
        ("classifier.optimiser=adam,sdg", "'classifier.optimiser' is 'sdg'"),
        ("classifier.learning_rate=2..1", "2 is not below 1"),
        ("classifier.label_smoothing=0..0.1:log", "a logarithmic range starts above 0"),
        ("generator.settings.beta1=.0.....9", "expected a range of numbers, LOW..HIGH or LOW..HIGH:log"),
        ("classifier.width=8..", "expected a range of numbers"),
        ("classifier.optimiser=adam", "give two different values or more"),
        ("classifier.width", "expected KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=A,B,C"),
        ("endpoint.smallest_difference=0.01..0.1", "decides what is measured and must stay"),
        ("cohort.split.val=0.1..0.3", "decides what is measured and must stay"),
        ("cohort.source.overlap=0..1", "decides what is measured and must stay"),
        ("seed=1..9", "decides what is measured and must stay"),
    ],
)
def test_a_mistake_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"--over {re.escape(text)}") as error:
        parse_space([text], PROTOCOL)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_stands_once_and_one_is_needed() -> None:
    with pytest.raises(ConfigError, match="'fill_to' stands twice; keep one"):
        parse_space(["fill_to=1..2", "fill_to=3..4"], PROTOCOL)
    with pytest.raises(ConfigError, match="--over: give at least one, for example"):
        parse_space([], PROTOCOL)


def test_values_are_laid_over_the_protocol_and_leave_the_rest() -> None:
    assert laid_over(PROTOCOL, {}, "x") == PROTOCOL
    values = {"classifier.learning_rate": 0.5, "generator.settings.width": 8, "fill_to": 7}
    assert nested(values) == {
        "classifier": {"learning_rate": 0.5},
        "generator": {"settings": {"width": 8}},
        "fill_to": 7,
    }
    found = laid_over(PROTOCOL, values, "x")
    block = {**DECLARED["classifier"], "learning_rate": 0.5}
    changed = {"classifier": block, "generator": {"settings": {"width": 8}}, "fill_to": 7}
    assert found == Protocol.model_validate({**DECLARED, **changed})


def test_another_recipe_brings_its_own_values() -> None:
    found = laid_over(PROTOCOL, {"classifier.recipe": "plain-sgd", "augmentation.policy": "papers"}, "x")
    changed = {"classifier": {"recipe": "plain-sgd"}, "augmentation": "papers"}
    assert found == Protocol.model_validate({**DECLARED, **changed})
