"""Jobs: named by what they depend on, run once, in the order of their inputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dermsynth.core.artefacts import creating
from dermsynth.core.errors import InputError
from dermsynth.trials.jobs import Job, run_jobs

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


def test_the_error_of_a_job_names_it_and_keeps_what_is_done(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    first = job("first")
    bad = Job("note", fail, {}, {"a": first}, "hybrid, seed 1")
    with pytest.raises(InputError, match="hybrid, seed 1: row 7 is bad"):
        run_jobs([bad, job("never", a=bad)], tmp_path, executor)
    assert (tmp_path / first.folder / "card.json").exists()
    assert "never" not in calls


def test_the_watcher_sees_every_job_end(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    seen: list[dict[Job, str]] = []
    run_jobs([job("a"), job("b")], tmp_path, executor, watch=lambda states: seen.append(dict(states)))
    assert set(seen[-1].values()) == {"done"}
    assert "running" in seen[0].values()
