"""`trial new`, `trial schema` and `trial compare` as commands: what they print, write and refuse."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
import yaml
from tests.trials.finished import finished_trial
from typer.testing import CliRunner, Result

from dermsynth.cli import trial_files  # noqa: F401 - importing registers the commands
from dermsynth.cli.app import app
from dermsynth.trials.loading import load_protocol
from dermsynth.trials.schemas import schema_of


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["trial", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def test_a_new_trial_can_be_planned_and_its_schema_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "then run 'dermsynth trial run trial.yaml --out FOLDER'" in run("new", "demo").stdout
    assert load_protocol(tmp_path / "trial.yaml") == load_protocol("demo")
    assert json.loads((tmp_path / "dermsynth-trial.schema.json").read_text()) == schema_of("trial")
    assert "trial.yaml: already exists" in run("new", code=2).stderr


def test_a_new_trial_starts_from_a_folder_of_images_or_from_a_file(tmp_path: Path) -> None:
    run("new", "--out", tmp_path / "own.yaml")
    assert yaml.safe_load((tmp_path / "own.yaml").read_text())["cohort"]["source"] == {
        "kind": "folder",
        "root": "images",
    }
    (tmp_path / "short.yaml").write_text("name: x\nfill_to: 7\ncohort: {source: {kind: phantom}}")
    run("new", tmp_path / "short.yaml", "--out", tmp_path / "long.yaml")
    assert load_protocol(tmp_path / "long.yaml") == load_protocol(tmp_path / "short.yaml")
    assert "no preset 'dmeo'; did you mean 'demo'" in run("new", "dmeo", code=2).stderr


@pytest.mark.parametrize("name", ["trial", "verdict"])
def test_a_schema_is_printed_as_json(name: str) -> None:
    assert json.loads(run("schema", "--of", name).stdout) == schema_of(name)


def test_two_trials_are_told_apart_in_words_tables_and_files(tmp_path: Path) -> None:
    one = finished_trial(tmp_path / "one", {"oversampled": 1.0, "hybrid": 1.0})
    two = finished_trial(tmp_path / "two", {"oversampled": 1.0, "hybrid": 2.0}, fill_to=80, draw=1)
    printed = run("compare", one, two, "--json", tmp_path / "out.json", "--html", tmp_path / "out.html").stdout
    assert "fill_to   40    80" in printed
    assert "Paired on the same 400 test images of 200 lesions and 3 seeds: the treatment of two (hybrid)" in printed
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["against"][0]["sentence"] in printed
    assert all(verdict["sentence"] in printed for verdict in found["trials"].values())
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert found["against"][0]["sentence"] in html.unescape(page)
    assert '<th scope="row">fill_to</th><td class="text">40</td>' in page
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page


def test_different_endpoints_are_one_line(tmp_path: Path) -> None:
    skills = {"oversampled": 1.0, "hybrid": 1.0}
    one = finished_trial(tmp_path / "one", skills)
    two = finished_trial(tmp_path / "two", skills, endpoint={"resamples": 300, "smallest_difference": 0.1})
    error = run("compare", one, two, code=2).stderr
    assert error.startswith("error: endpoint.smallest_difference is 0.02 in one and 0.1 in two")
    assert error.count("\n") == 1
