"""Stopping in the middle: kill -9 and Ctrl-C lose nothing and change no number."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.journeys.commands import TRIAL, dermsynth, start

TRAIN = ["train", "dcgan", "cohort", "--kimg", "2", "--threads", "1", "--set", "width=2", "--set", "batch_size=8"]
TRAIN += ["--set", "snapshots=2", "--set", "checkpoint_every_s=0.05"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split cohort and a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("stopping")
    dermsynth("ingest", "phantom", "--size", "32", "--set", "counts={mel: 30, nv: 60}", "--out", "cohort", cwd=folder)
    dermsynth("split", "cohort", "--val", "0.25", "--test", "0.25", cwd=folder)
    dermsynth(*TRAIN, "--out", "whole", cwd=folder)
    return folder


def wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + 240
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def networks_sha256(run: Path) -> str:
    return str(json.loads((run / "card.json").read_text())["files"]["networks.safetensors"]["sha256"])


def test_a_killed_training_continues_bit_for_bit(work: Path) -> None:
    """A run that continues may be killed again; `test_every_algorithm.py` continues those that remember more."""
    command = [*TRAIN, "--out", "killed"]
    checkpoint = work / "killed.partial" / "checkpoint.safetensors"
    moments = random.Random(0)
    for _ in range(2):
        process = start(*command, cwd=work)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        wait_for(
            lambda before=before: checkpoint.exists() and checkpoint.stat().st_mtime_ns > before,
            "no checkpoint was written",
        )
        time.sleep(moments.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (work / "killed").exists()
    dermsynth(*command, cwd=work)
    assert networks_sha256(work / "killed") == networks_sha256(work / "whole")


def test_ctrl_c_in_training_saves_the_state_and_says_how_to_continue(work: Path) -> None:
    process = start(*TRAIN, "--out", "stopped", cwd=work)
    wait_for((work / "stopped.partial" / "history.jsonl").exists, "training did not start")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "run the same command again to continue" in error.splitlines()[-1]
    dermsynth(*TRAIN, "--out", "stopped", cwd=work)
    assert networks_sha256(work / "stopped") == networks_sha256(work / "whole")


def test_ctrl_c_in_a_trial_keeps_what_is_done_and_changes_no_number(work: Path) -> None:
    (work / "trial.yaml").write_text(TRIAL)
    process = start("trial", "run", "trial.yaml", "--out", "stopped-trial", "--threads", "2", cwd=work)
    jobs = work / "stopped-trial" / "jobs"

    def finished() -> dict[str, int]:
        cards = [path for path in jobs.glob("[!.]*/card.json") if path.parent.suffix != ".partial"]
        return {path.parent.name: path.stat().st_mtime_ns for path in cards}

    wait_for(lambda: len(finished()) >= 1, "no job was finished")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "run the same command again to continue" in error.splitlines()[-1]
    assert not (work / "stopped-trial" / "verdict.json").exists()
    done = finished()
    dermsynth("trial", "run", "trial.yaml", "--out", "stopped-trial", "--threads", "1", cwd=work)
    dermsynth("trial", "run", "trial.yaml", "--out", "whole-trial", "--threads", "2", cwd=work)
    assert done.items() <= finished().items()
    stopped, whole = ((work / name / "verdict.json").read_bytes() for name in ("stopped-trial", "whole-trial"))
    assert stopped == whole
