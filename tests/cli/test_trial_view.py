"""What a person sees of a trial: while it runs, when a job failed, before it runs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from tests.trials.pieces import add_up, job

from dermsynth.cli import progress
from dermsynth.cli.trial_view import live_view, overview_view, status_view
from dermsynth.trials.overview import Kind, Overview, PlannedJob
from dermsynth.trials.status import JobStatus, Status


def text_of(view: RenderableType, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(view)
    return file.getvalue()


def one(title: str, state: Any, **values: Any) -> JobStatus:
    return JobStatus(
        folder=title, title=title, kind="fit", needs=(), state=state, log=f"jobs/logs/{title}.log", **values
    )


def status(*jobs: JobStatus, **values: Any) -> Status:
    counts = {
        name: sum(job.state == name for job in jobs) for name in ("done", "running", "waiting", "failed", "dropped")
    }
    usual = {"state": "running", "said": "running: process 7 on here", "left_s": 240.0, "error": None}
    known = {"trial": "first", "counts": counts, "wall_s": 60.0, "host": "here", "executor": "local", "workers": 2}
    return Status(**{**known, **usual, **values}, jobs=jobs)


def test_what_runs_is_shown_with_its_share_and_the_time_left() -> None:
    shown = text_of(status_view(status(one("a", "done"), one("dcgan", "running", share=0.63, wall_s=50, left_s=30))))
    assert shown.splitlines()[:2] == [
        "first: running: process 7 on here",
        "1 of 2 jobs done; 1 running; about 4 min left",
    ]
    assert "63 %" in shown
    assert "50 s, 30 s left" in shown


def test_a_time_that_nobody_knows_is_not_made_up() -> None:
    assert "time left not known yet" in text_of(status_view(status(one("a", "running", wall_s=5), left_s=None)))


def test_a_failure_is_shown_with_its_log() -> None:
    jobs = (one("bad", "failed"), one("after", "dropped"))
    failed = status(*jobs, state="failed", said="failed; the same command tries again", error="bad: row 7 is bad")
    shown = text_of(status_view(failed))
    assert "0 of 2 jobs done; 1 failed; 1 dropped" in shown
    assert "failed: bad; log: jobs/logs/bad.log" in shown
    assert "bad: row 7 is bad" in shown


def test_a_hundred_running_jobs_do_not_fill_the_screen() -> None:
    shown = text_of(status_view(status(*(one(f"job {n}", "running", wall_s=1) for n in range(100)))))
    assert "and 88 more" in shown
    assert len(shown.splitlines()) < 20


def test_without_a_terminal_every_end_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=file, width=100))
    a, b, c = (job(add_up, name) for name in "abc")
    with live_view(Path("nowhere")) as watch:
        watch({a: "running", b: "waiting", c: "waiting"})
        watch({a: "done", b: "failed", c: "dropped"})
        watch({a: "done", b: "failed", c: "dropped"})
    lines = [line.split("of 3  ")[1] for line in file.getvalue().splitlines()]
    assert lines == ["a", "FAILED: b", "left out: c"]


def plan(**values: Any) -> Overview:
    counts = {"akiec": 67, "nv": 1330}
    planned = PlannedJob(folder="f", title="cohort", kind="cohort", needs=(), done=False, seconds=60.0, kept_bytes=10)
    known: dict[str, Any] = {
        "name": "first",
        "counts": {"train": counts, "val": counts, "test": counts},
        "arms": {"real": counts, "hybrid": {"akiec": 300, "nv": 1330}},
        "kinds": {"cohort": Kind(jobs=1, done=0, seconds=60.0, kept_bytes=22_000_000)},
        "workers": 2,
        "work_s": 20_000.0,
        "wall_s": 12_000.0,
        "critical": ("cohort", "dcgan"),
        "critical_s": 600.0,
        "untimed": 0,
        "kept_bytes": 138_000_000,
        "working_bytes": 26_000_000,
        "free_bytes": 80_000_000_000,
        "jobs": (planned,),
    }
    return Overview(**{**known, **values})


def test_a_plan_says_counts_hours_and_disk() -> None:
    shown = text_of(overview_view(plan()), width=200)
    assert "hybrid    300  1,330" in shown
    assert (
        "time: about 3.3 h with 2 workers; 5.6 h of work; no number of workers is quicker than 10 min (cohort → dcgan)"
        in shown
    )
    assert "disk: 138 MB, and 26 MB more while it runs; 80.0 GB free" in shown
    assert "too small" not in shown


def test_a_plan_that_does_not_fit_on_the_disk_says_so() -> None:
    assert "the disk is too small for this trial" in text_of(overview_view(plan(free_bytes=150_000_000)))


def test_a_plan_says_what_it_could_not_time() -> None:
    assert "3 jobs cannot be timed beforehand" in text_of(overview_view(plan(untimed=3)))
