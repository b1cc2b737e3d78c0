"""`ingest` on the command line: what it fetches, and what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cohorts.sources.layouts import make_dermamnist, make_isic2019
from typer.testing import CliRunner

from dermsynth.cli import data  # noqa: F401 - importing registers the commands
from dermsynth.cli.app import app


def test_the_command_fetches_nothing_where_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("asked"))
    make_dermamnist(tmp_path / "dermamnist.npz")
    out = ["--root", str(tmp_path), "--size", "28", "--out", str(tmp_path / "out"), "--threads", "1"]
    result = CliRunner().invoke(app, ["ingest", "dermamnist", "--download", *out])
    assert result.exit_code == 0, result.output
    assert "dermamnist: CC BY-NC 4.0" in result.output
    assert "28 images" in result.output


def test_the_command_says_what_to_do_by_hand(tmp_path: Path) -> None:
    out = ["--root", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["ingest", "ham10000", "--download", *out])
    assert result.exit_code == 2
    assert "accept the terms at https://doi.org/10.7910/DVN/DBW86T, fetch HAM10000_metadata," in result.output


def test_the_command_says_what_was_left_out_and_takes_labels(tmp_path: Path) -> None:
    make_isic2019(tmp_path / "raw", test=18)
    out = ["--root", str(tmp_path / "raw"), "--size", "8", "--out", str(tmp_path / "out"), "--threads", "1"]
    result = CliRunner().invoke(app, ["ingest", "isic2019", "--labels", "benign-malignant", *out])
    assert result.exit_code == 0, result.output
    assert "left out: 2 images: class UNK: none of the eight" in result.output
    assert re.search(r"benign +\d+\n +malignant +\d+\n", result.output)
