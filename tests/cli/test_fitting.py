"""`find-rate` and `fit` as commands: what they print and leave, and that kill -9 costs a fit nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from tests.helpers import saved_cohort
from tests.journeys.commands import dermsynth, one_line, start

from dermsynth.core.artefacts import read_card

QUICK = ["small-cnn", "cohort", "--threads", "1", "--set", "width=2", "--set", "batch_size=8"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split cohort."""
    folder = tmp_path_factory.mktemp("fits")
    saved_cohort(folder / "cohort")
    return folder


def test_a_rate_is_suggested_with_its_curve_as_data_and_as_a_figure(work: Path) -> None:
    printed = dermsynth("find-rate", *QUICK, "--arm", "weighted", "--out", "rate", cwd=work)
    card = read_card(work / "rate", "rate")
    assert f"--set learning_rate={card['suggested']:.1e}" in printed.stdout
    assert card["arm"] == "weighted"
    lines = [json.loads(line) for line in (work / "rate" / "curve.jsonl").read_text().splitlines()]
    assert card["suggested"] in [line["learning_rate"] for line in lines]
    assert {"learning_rate", "loss", "smoothed"} == set(lines[0])
    assert (work / "rate" / "curve.svg").read_text().startswith("<svg")


def test_a_rate_is_not_sought_where_there_is_one(work: Path) -> None:
    (work / "taken").mkdir()
    (work / "taken" / "file").touch()
    assert "already exists" in one_line(dermsynth("find-rate", *QUICK, "--out", "taken", cwd=work, code=2).stderr)


def test_a_fit_killed_at_any_moment_continues_bit_for_bit(work: Path) -> None:
    fit = ["fit", *QUICK, "--kimg", "2", "--set", "recipe=fastai"]
    often = ["--set", "checkpoint_every_s=0.1"]
    state = work / "killed.partial" / "checkpoint.safetensors"
    process = start(*fit, *often, "--out", "killed", cwd=work)
    deadline = time.monotonic() + 240
    while not state.exists():
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (work / "killed").exists()
    dermsynth(*fit, *often, "--out", "killed", cwd=work)
    dermsynth(*fit, "--out", "whole", cwd=work)
    for name in ("predictions.parquet", "classifier.safetensors", "history.jsonl"):
        assert (work / "killed" / name).read_bytes() == (work / "whole" / name).read_bytes()
