"""`dermsynth audit paper`: findings with their arithmetic, as text, JSON and HTML; the exit code says the worst."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dermsynth.audits.paper import TEMPLATE, example_text
from dermsynth.cli.audit import audit_app


def audit(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(audit_app, ["paper", *map(str, arguments)], env={"COLUMNS": "300"})
    return result.exit_code, result.output


def test_impossible_numbers_are_shown_with_their_arithmetic_and_exit_code_1() -> None:
    code, output = audit("--example", "003")
    assert code == 1
    assert "2 × 0.94 × 0.77 / (0.94 + 0.77) = 0.8465" in output
    assert "Would resolve it: " in output
    assert output.rstrip().endswith("003: 10 impossible, 5 doubtful, 2 notes")


def test_doubts_alone_leave_the_exit_code_0(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    assert audit(path, "--new") == (
        0,
        f"{path}: fill in what the paper prints, then run 'dermsynth audit paper {path}'\n",
    )
    assert path.read_text(encoding="utf-8") == example_text(TEMPLATE)
    code, output = audit(path)
    assert code == 0
    assert output.rstrip().endswith(f"{path}: 0 impossible, 1 doubtful, 3 notes")


def test_an_example_can_be_copied_but_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    assert audit(path, "--new", "--example", "001")[0] == 0
    assert "Tables 6 to 8" in path.read_text(encoding="utf-8")
    assert audit(path, "--new") == (2, f"error: {path}: already exists; give the path of a file to make\n")


def test_json_and_html_hold_the_same_findings(tmp_path: Path) -> None:
    audit("--example", "skingenbench", "--json", tmp_path / "found.json", "--html", tmp_path / "found.html")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["source"] == "arxiv.org/abs/2512.17585"
    page = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert [finding["severity"] for finding in found["findings"]] == ["impossible", "doubtful"]
    assert all(step in page for finding in found["findings"] for step in finding["steps"] if "'" not in step)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            [],
            "error: give a YAML file (--new writes a template), or --example with one of 001, 002, 003, skingenbench\n",
        ),
        (["--example", "004"], "error: no example '004': did you mean '00"),
        (["missing.yaml"], "error: missing.yaml: no such file; give the path of a YAML file\n"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], told: str) -> None:
    code, output = audit(*arguments)
    assert code == 2
    assert output.startswith(told)
    assert output.count("\n") == 1
