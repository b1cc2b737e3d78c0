"""How far a trial is: from the runner's file, the jobs' folders and what others of a kind took."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.trials.pieces import add_up, job

from dermsynth.core.artefacts import write_json
from dermsynth.core.errors import ArtefactError
from dermsynth.trials.costs import Cost, write_cost
from dermsynth.trials.jobs import Job
from dermsynth.trials.status import STATUS, Recorder, Status, read_status

COHORT = Job("cohort", add_up, {}, {}, "cohort")
RUN = Job("run", add_up, {"training": {"budget_kimg": 2.0}}, {"cohort": COHORT}, "dcgan, replica 0")
FITS = [Job("fit", add_up, {"seed": seed}, {"cohort": COHORT}, f"real, seed {seed}") for seed in range(4)]
JOBS = [COHORT, RUN, *FITS]


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    (tmp_path / "jobs" / "costs").mkdir(parents=True)
    return tmp_path


def recorded(trial: Path, states: dict[Job, Any], workers: int | None = 2) -> Recorder:
    recorder = Recorder(trial, JOBS, trial / "jobs", "local", workers)
    recorder(states)
    recorder.end("running")  # written at once
    return recorder


def took(trial: Path, one: Job, wall_s: float) -> None:
    cost = Cost(
        job=one.folder,
        kind=one.kind,
        title=one.title,
        wall_s=wall_s,
        processor_s=wall_s,
        peak_bytes=1,
        energy_wh=0,
        host="here",
        threads=1,
    )
    write_cost(trial / "jobs", cost)


def changed(trial: Path, **values: Any) -> Status:
    record = json.loads((trial / STATUS).read_text())
    write_json(trial / STATUS, {**record, **values})
    return read_status(trial)


def test_a_trial_that_runs_says_so(trial: Path) -> None:
    recorded(trial, {COHORT: "done", RUN: "running"})
    found = read_status(trial)
    assert found.said == f"running: process {os.getpid()} on {platform.node()}"
    assert found.counts == {"done": 1, "running": 1, "waiting": 4, "failed": 0, "dropped": 0}
    assert found.left_s is None  # no fit was ever finished


def test_the_time_left_follows_from_what_others_took(trial: Path) -> None:
    recorded(trial, {COHORT: "done", FITS[0]: "done", RUN: "done"})
    took(trial, FITS[0], 30.0)
    assert read_status(trial).left_s == pytest.approx(60.0)  # three fits of 30 s on two workers


def test_a_training_tells_how_far_it_is(trial: Path) -> None:
    recorded(trial, {COHORT: "done", RUN: "running"})
    took(trial, FITS[0], 1.0)
    partial = trial / "jobs" / f"{RUN.folder}.partial"
    partial.mkdir()
    lines = [{"images_seen": 500, "wall_s": 10.0}, {"images_seen": 1500, "wall_s": 30.0}]
    (partial / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"images_se')
    found = next(one for one in read_status(trial).jobs if one.kind == "run")
    assert found.share == pytest.approx(0.75)
    assert found.left_s == pytest.approx(10.0)
    assert read_status(trial).left_s == pytest.approx(10.0)  # four fits of 1 s run beside it


def test_a_runner_that_was_killed_is_noticed(trial: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    recorded(trial, {RUN: "running"})
    found = changed(trial, process=ended.pid, born="12345")
    assert found.state == "gone"
    assert found.said.endswith("is gone; the same command continues it")
    assert found.left_s is None


def test_another_process_with_its_number_is_not_taken_for_the_runner(trial: Path) -> None:
    recorded(trial, {RUN: "running"})
    assert changed(trial, born="1").state == "gone"


def test_a_runner_elsewhere_is_believed_until_it_is_silent(trial: Path) -> None:
    recorded(trial, {RUN: "running"})
    assert changed(trial, host="elsewhere").state == "running"
    found = changed(trial, updated=time.time() - 300)
    assert found.state == "gone"
    assert "on elsewhere) gave no sign of life for 30" in found.said


def test_failures_are_kept_with_their_logs(trial: Path) -> None:
    recorder = recorded(trial, {RUN: "failed", FITS[0]: "dropped"})
    recorder.end("failed", "dcgan, replica 0: row 7 is bad")
    found = read_status(trial)
    assert (found.state, found.error) == ("failed", "dcgan, replica 0: row 7 is bad")
    assert found.said == "failed; the same command tries again"
    assert next(one.log for one in found.jobs if one.state == "failed").endswith(f"logs/{RUN.folder}.log")


def test_a_folder_without_a_trial_and_a_damaged_file_are_named(trial: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no status\.json, so no trial was started here"):
        read_status(trial)
    (trial / STATUS).write_text('{"state": "run')
    with pytest.raises(ArtefactError, match=r"status\.json: cannot be read \(.*\); run the trial again"):
        read_status(trial)


def test_a_shared_folder_is_found_from_the_trial(tmp_path: Path) -> None:
    (tmp_path / "trial").mkdir()
    Recorder(tmp_path / "trial", [job(add_up, "a")], tmp_path / "shared", "local", 1)
    (found,) = read_status(tmp_path / "trial").jobs
    assert Path(found.log).resolve().parent == tmp_path / "shared" / "logs"
