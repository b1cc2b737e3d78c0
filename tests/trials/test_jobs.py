"""Jobs: named by what they depend on, run once, in the order of their inputs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.trials.pieces import break_down

from dermsynth.core.artefacts import creating
from dermsynth.core.errors import ConfigError, DermsynthError, InputError
from dermsynth.trials.jobs import Job, run_jobs
from dermsynth.trials.task import Task, execute, log_of

calls: list[str] = []
lock = threading.Lock()


def note(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Write the sum of the inputs' numbers and one's own."""
    with lock:
        calls.append(config["name"])
    total = config["number"] + sum(int((path / "number").read_text()) for path in inputs.values())
    with creating(out, "note") as draft:
        (draft.path / "number").write_text(str(total))


def fail(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Fail as a job does that was given a bad file."""
    raise InputError("row 7 is bad")


def fail_unless(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Fail until somebody has put it right."""
    if not Path(config["sign"]).exists():
        raise InputError("no sign")
    note({"name": "put right", "number": 7}, inputs, out)


def warn(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Log a warning in the middle of the work."""
    logging.getLogger("dermsynth.test").warning("of %s", config["name"])
    note({**config, "number": 1}, inputs, out)


def job(name: str, number: int = 1, **inputs: Job) -> Job:
    return Job("note", note, {"name": name, "number": number}, inputs, name)


@pytest.fixture
def executor() -> Any:
    calls.clear()
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_inputs_run_first_and_their_folders_are_passed_on(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    first = job("first", 10)
    left, right = job("left", 1, a=first), job("right", 2, a=first)
    last = job("last", 100, a=left, b=right)
    run_jobs([last], tmp_path, executor)
    assert (tmp_path / last.folder / "number").read_text() == str(100 + 11 + 12)
    assert calls[0] == "first"
    assert calls[-1] == "last"
    assert len(calls) == 4


def test_what_is_done_is_not_done_again(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    first = job("first")
    run_jobs([first], tmp_path, executor)
    run_jobs([job("first"), job("second", a=first)], tmp_path, executor)
    assert calls == ["first", "second"]


def test_a_half_written_folder_is_made_again(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    first = job("first")
    (tmp_path / first.folder).mkdir(parents=True)
    run_jobs([first], tmp_path, executor)
    assert (tmp_path / first.folder / "card.json").exists()


def test_a_damaged_folder_is_made_again_and_a_whole_one_is_not(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    first, second = job("first", 10), job("second", 20)
    run_jobs([first, second], tmp_path, executor)
    (tmp_path / first.folder / "number").write_text("")
    run_jobs([first, second], tmp_path, executor)
    assert (tmp_path / first.folder / "number").read_text() == "10"
    assert sorted(calls) == ["first", "first", "second"]


def test_the_name_depends_on_configuration_inputs_and_work() -> None:
    base = job("a")
    names = {base.folder, job("b").folder, job("a", 2).folder, job("a", x=base).folder, job("a", y=base).folder}
    names.add(Job("note", fail, {"name": "a", "number": 1}).folder)
    assert len(names) == 6
    assert job("a").folder == base.folder


def test_what_needs_a_failed_job_is_left_out_and_the_rest_is_done(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    bad = Job("note", fail, {}, {}, "hybrid, seed 1")
    after = job("never", a=bad)
    last = job("never either", a=after)
    free = [job(f"free {number}") for number in range(3)]
    seen: list[dict[Job, str]] = []
    with pytest.raises(InputError) as error:
        run_jobs([bad, last, *free], tmp_path, executor, watch=lambda states: seen.append(dict(states)))
    assert str(error.value) == (
        f"hybrid, seed 1: row 7 is bad; its log is {log_of(tmp_path / bad.folder)}; 2 that need what failed were left "
        "out; all others are done and kept: put it right and run the same command again"
    )
    assert sorted(calls) == ["free 0", "free 1", "free 2"]
    assert (seen[-1][bad], seen[-1][after], seen[-1][last]) == ("failed", "dropped", "dropped")


def test_all_failures_are_told_at_once(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    bad = [Job("note", fail, {"number": number}, {}, f"job {number}") for number in range(3)]
    with pytest.raises(InputError, match=r"job \d: row 7 is bad; its log is .*; 2 more failed \(job \d, job \d\)"):
        run_jobs(bad, tmp_path, executor)


def test_a_failed_job_is_tried_again_by_the_next_run(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    bad = Job("note", fail_unless, {"sign": str(tmp_path / "sign")}, {}, "bad")
    last = job("last", a=bad)
    with pytest.raises(InputError):
        run_jobs([last], tmp_path / "jobs", executor)
    (tmp_path / "sign").touch()
    run_jobs([last], tmp_path / "jobs", executor)
    assert (tmp_path / "jobs" / last.folder / "number").read_text() == "8"


def test_an_error_that_nobody_expected_is_named_and_its_traceback_kept(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    bad = Job("note", break_down, {}, {}, "bad")
    with pytest.raises(DermsynthError, match="bad: ZeroDivisionError: division by zero; its log is "):
        run_jobs([bad], tmp_path, executor)
    log = log_of(tmp_path / bad.folder).read_text()
    assert "Traceback" in log
    assert "pieces.py" in log


def test_two_runs_that_share_a_folder_do_each_job_once(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    jobs = [job(f"shared {number}") for number in range(6)]
    with ThreadPoolExecutor(2) as both:
        for run in [both.submit(run_jobs, jobs, tmp_path, executor) for _ in range(2)]:
            run.result()
    assert sorted(calls) == [f"shared {number}" for number in range(6)]


def test_a_worker_that_does_not_see_the_folder_is_told_so(tmp_path: Path) -> None:
    task = Task(note, {"name": "a", "number": 1}, {}, tmp_path / "elsewhere" / "note-1", "note", "a", "another-1")
    with pytest.raises(ConfigError, match=r"does not see .*note-1\.log; put the trial on a disc that"):
        execute(task)


def test_a_worker_with_another_version_is_refused(tmp_path: Path) -> None:
    task = Task(note, {}, {}, tmp_path / "note-1", "note", "a", "another-1", version="0.0.1")
    with pytest.raises(ConfigError, match=r"has dermsynth .*, the trial runs with 0\.0\.1; install the same version"):
        execute(task)


def test_a_logged_warning_is_in_the_log_of_its_job_alone(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    jobs = [Job("note", warn, {"name": f"job {number}"}, {}, f"job {number}") for number in range(4)]
    run_jobs(jobs, tmp_path, executor)
    for one in jobs:
        log = log_of(tmp_path / one.folder).read_text()
        assert [line for line in log.splitlines() if "WARNING" in line] == [f"WARNING dermsynth.test: of {one.title}"]


def test_the_watcher_sees_every_job_end(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    seen: list[dict[Job, str]] = []
    run_jobs([job("a"), job("b")], tmp_path, executor, watch=lambda states: seen.append(dict(states)))
    assert set(seen[-1].values()) == {"done"}
    assert "running" in seen[0].values()
