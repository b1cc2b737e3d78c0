"""`score`: what is printed, what the file holds, and how mistakes end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.classifiers.predicted import fit_folder, predictions_file
from typer.testing import CliRunner

from dermsynth.cli import score as module  # noqa: F401 - registers the command
from dermsynth.cli.app import app

FEW = ["--resamples", "100"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["score", *map(str, arguments)])
    return result.exit_code, result.output


def test_one_fit_shows_every_table_with_its_orientation(tmp_path: Path) -> None:
    code, output = run(predictions_file(tmp_path / "mine.parquet"), *FEW, "--positive", "mel")
    assert code == 0
    assert "images of 105 lesions; 95% intervals, 100 redraws of lesions" in output
    for told in (
        "balanced accuracy",
        "accuracy (= micro F1)",
        "if confidences were true",
        "mine: decisions, a class against all others",
        "mine: ranking, a class against all others",
        "mine: thresholds chosen on val for 0.9, judged on test",
        "mine: rows actual, columns predicted",
        "mine: net benefit of acting on mel from a probability on",
        "note: a single fit has an interval over lesions only",
    ):
        assert told in output, told


def test_no_positive_class_no_net_benefit_and_no_comparison_unless_asked(tmp_path: Path) -> None:
    _, output = run(predictions_file(tmp_path / "mine.parquet"), *FEW)
    assert "net benefit" not in output
    assert "minus" not in output


def test_seeds_stand_in_one_column_beside_another_arm(tmp_path: Path) -> None:
    fits = [fit_folder(tmp_path / f"{arm}{seed}", arm=arm, seed=seed) for arm in ("real", "hybrid") for seed in (0, 1)]
    _, output = run(*fits, *FEW)
    assert "real, mean of 2 seeds" in output
    assert "hybrid, mean of 2 seeds" in output
    assert "hybrid: rows actual, columns predicted, summed over 2 fits" in output


def test_differences_are_printed_with_delong_and_mcnemar(tmp_path: Path) -> None:
    one, other = (predictions_file(tmp_path / f"{name}.parquet", skill=skill) for name, skill in (("a", 3), ("b", 1)))
    code, output = run(one, "--against", other, *FEW)
    assert code == 0
    assert "a minus b" in output
    assert "a minus b, by DeLong over lesions" in output
    (line,) = [
        line for line in output.splitlines() if line.lstrip().startswith("balanced accuracy") and "<0.001" in line
    ]
    assert "+" in line
    assert "McNemar, by image" in output


def test_the_file_holds_what_was_printed_and_the_curves(tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    code, output = run(predictions_file(tmp_path / "mine.parquet"), *FEW, "--json", out)
    assert code == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    (column,) = found["columns"]
    assert f"{column['overall']['balanced_accuracy']['value']:.3f}" in output
    assert set(column["curves"][0]) == {"fit", "roc", "precision_recall", "reliability"}
    assert len(column["net_benefit"]["mel"]) == 22
    assert sum(part["images"] for part in column["curves"][0]["reliability"]) == found["images"]
    assert found["schema"] == 1


def test_mistakes_are_one_line_and_exit_2(tmp_path: Path) -> None:
    file = predictions_file(tmp_path / "mine.parquet")
    for arguments, told in (
        ((tmp_path / "none",), "none: no such file; fit the classifier first"),
        ((file, "--positive", "mell"), "did you mean 'mel'?"),
        ((file, "--part", "train"), "part is 'train'; expected test or val"),
        ((file, "--json", tmp_path / "mine.parquet" / "x.json", *FEW), "cannot be written there"),
    ):
        code, output = run(*arguments)
        assert code == 2, arguments
        assert told in output, output
        assert output.startswith("error: ")
        assert len(output.splitlines()) == 1
