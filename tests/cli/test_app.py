"""What the commands share: texts of options to values, and help that a newcomer can read."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer

from dermsynth.classifiers.config import FitConfig
from dermsynth.cli import fit, generate
from dermsynth.cli.app import parse_counts, parse_settings, register
from dermsynth.core.errors import ConfigError
from dermsynth.training.config import TrainConfig
from dermsynth.trials.loading import PRESETS

NO_OTHER: dict[str, str] = {}
SHORTEST_HELP = 60


def group() -> Any:
    return typer.main.get_command(register())


def test_settings_are_read_as_yaml() -> None:
    found = parse_settings(["width=32", "name=word", "counts={mel: 1}", "on=true", "empty="], NO_OTHER)
    assert found == {"width": 32, "name": "word", "counts": {"mel": 1}, "on": True, "empty": None}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["width"], "--set width: expected KEY=VALUE"),
        (["=3"], "--set =3: expected KEY=VALUE"),
        (["width=[1"], "--set width=[1: not valid YAML: "),
        (["width=1", "width=2"], "--set width=2: 'width' is set twice; keep one"),
        (["counts={mel: 1, mel: 2}"], "key 'mel' stands twice; keep one"),
        (["seed=3"], "--set seed=3: use --seed"),
    ],
)
def test_a_wrong_setting_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(pairs, {"seed": "--seed"})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_counts_are_classes_and_numbers() -> None:
    assert parse_counts("mel=500, df = 20", "--per-class") == {"mel": 500, "df": 20}


@pytest.mark.parametrize("text", ["mel", "mel=", "mel=x", "mel=-1", "mel=²", "mel=1.5", "mel=" + "9" * 5000, ""])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"should be CLASS=NUMBER, for example mel=500,df=500"):
        parse_counts(text, "--per-class")


def test_a_class_is_counted_once() -> None:
    with pytest.raises(ConfigError, match="--per-class mel=1,mel=2: class 'mel' stands twice; keep one"):
        parse_counts("mel=1,mel=2", "--per-class")


def test_commands_stand_in_the_order_of_use() -> None:
    listed = group().list_commands(None)
    first = ["demo", "doctor", "ingest", "join", "split", "audit", "preview", "export"]
    pools = ["train", "sample", "translate", "screen", "measure", "pool"]
    assert listed == [*first, *pools, "find-rate", "fit", "score", "predict", "explain", "export-onnx", "trial", "tune"]


def test_short_helps_are_whole_sentences() -> None:
    helps = {name: command.get_short_help_str(SHORTEST_HELP) for name, command in group().commands.items()}
    assert {name: text for name, text in helps.items() if not text.endswith(".") or text.endswith("...")} == {}


def test_defaults_of_budgets_are_those_of_the_library() -> None:
    for command, config in ((fit.fit, FitConfig()), (generate.train, TrainConfig())):
        assert inspect.signature(command).parameters["kimg"].default == config.budget_kimg  # type: ignore[attr-defined]


def test_the_help_of_trial_run_names_every_preset() -> None:
    (protocol,) = (p for p in group().commands["trial"].commands["run"].params if p.name == "protocol")
    assert all(path.stem in protocol.help for path in PRESETS.glob("*.yaml"))
