"""`tune` as a command: a small search from end to end, and its errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.trials.test_tune import DECLARED
from typer.testing import CliRunner, Result

from dermsynth.cli import tune  # noqa: F401 - importing registers the command
from dermsynth.cli.app import app
from dermsynth.trials.loading import load_protocol

RATE = "classifier.learning_rate=1e-4..1e-1:log"


def run(folder: Path, *words: str, code: int = 0) -> Result:
    (folder / "trial.yaml").write_text(yaml.safe_dump({**DECLARED, "repeats": 1}))
    result = CliRunner().invoke(app, ["tune", str(folder / "trial.yaml"), "--out", str(folder / "out"), *words])
    assert result.exit_code == code, result.output
    return result


def test_a_search_prints_the_best_and_leaves_a_protocol_that_loads(tmp_path: Path) -> None:
    found = run(tmp_path, "--over", RATE, "--arm", "real", "--trials", "2", "--threads", "1")
    row = re.search(r"^ ?real +2 +([\d.]+) +([\d.]+) +classifier.learning_rate=(\S+)", found.stdout, flags=re.MULTILINE)
    assert row
    assert float(row[2]) >= float(row[1])
    tuned = load_protocol(tmp_path / "out" / "tuned-real.yaml")
    assert f"{tuned.classifier.learning_rate:.3g}" == row[3]
    assert (tmp_path / "out" / "slices.svg").read_text().startswith("<svg")
    again = run(tmp_path, "--over", RATE, "--arm", "real", "--trials", "2", "--threads", "1")
    assert again.stdout == found.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--over", "learning_rate=1..2"), "did you mean 'classifier.learning_rate'?"),
        (("--over", RATE, "--arm", "hybird"), "--arm hybird: no such arm; did you mean 'hybrid'?"),
        (("--over", RATE, "--storage", "sqlite:////nowhere/x.db"), "cannot be opened"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    error = run(tmp_path, *words, code=2).stderr
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
