"""kill -9 of a running trial or of its workers: nothing outlives it, and it ends with the verdict of a quiet run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.journeys.commands import TRIAL, dermsynth, start

from dermsynth.trials.loading import load_protocol
from dermsynth.trials.run import run_trial

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

SLOW = TRIAL.replace("budget_kimg: 0.4, snapshots: 2", "budget_kimg: 3, snapshots: 2, checkpoint_every_s: 0.1").replace(
    "real, classical, oversampled, hybrid, placebo, oracle", "oversampled, hybrid"
)
"""Its generator trains for some seconds, in which the trial is killed."""
RUN = ["trial", "run", "trial.yaml", "--out", "trial", "--threads", "2"]


def alive_in(session: int) -> dict[int, str]:
    """Return the living processes of a session, by number: a worker stays in it when its parent is gone."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything; then come state, parent, group and session.
            name, _, rest = path.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, _, its_session = rest.split()[:4]
        if int(its_session) == session and state not in "ZX":
            found[int(path.parent.name)] = name
    return found


def wait_until(condition: object, process: subprocess.Popen[str], seconds: float = 120) -> bool:
    """Return whether the condition came true in time and before the process ended."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if process.poll() not in (None, -signal.SIGKILL) or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the trial."""
    folder = tmp_path_factory.mktemp("orphans")
    (folder / "trial.yaml").write_text(SLOW)
    return folder


@pytest.fixture(scope="module")
def orphans(work: Path) -> Iterator[dict[int, str]]:
    """Kill the main process of a trial in which a generator is trained; return what is alive some seconds later."""
    process = start(*RUN, cwd=work)
    jobs = work / "trial" / "jobs"
    try:
        trains = wait_until(lambda: any(jobs.glob("run-*.partial/checkpoint.safetensors")), process)
        assert trains, "no generator was in training"
        assert len(alive_in(process.pid)) >= 3, "a trial on two threads is a process with two workers"
        process.kill()
        wait_until(lambda: not alive_in(process.pid), process, seconds=15)
        yield alive_in(process.pid)
    finally:
        for orphan in alive_in(process.pid):
            os.kill(orphan, signal.SIGKILL)
        process.communicate()


def test_no_worker_outlives_a_killed_trial(orphans: dict[int, str]) -> None:
    assert not orphans


def test_the_status_of_a_killed_trial_says_that_its_runner_is_gone(orphans: dict[int, str], work: Path) -> None:
    told = dermsynth("trial", "status", "trial", cwd=work).stdout
    assert "is gone; the same command continues it" in " ".join(told.split())
    assert "1 of " in told  # the cohort is done


@pytest.fixture(scope="module")
def whole(work: Path) -> bytes:
    """Return the verdict of a trial that nobody disturbed."""
    with ThreadPoolExecutor(1) as here:
        run_trial(load_protocol(work / "trial.yaml"), work / "whole", executor=here)
    return (work / "whole" / "verdict.json").read_bytes()


def test_a_killed_trial_is_finished_by_the_same_command_with_the_same_verdict(
    orphans: dict[int, str], work: Path, whole: bytes
) -> None:
    assert not (work / "trial" / "verdict.json").exists()
    dermsynth(*RUN, cwd=work)
    assert (work / "trial" / "verdict.json").read_bytes() == whole
    assert not list((work / "trial" / "jobs").glob("*.partial"))


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a trial: those that were spawned, but for the one that tracks resources."""
    found = []
    for number in alive_in(process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes():
                found.append(number)
    return found


def test_kills_at_random_moments_change_no_number(work: Path, whole: bytes) -> None:
    moments = random.Random(1)
    run = [*RUN[:4], "often", *RUN[5:]]
    for _ in range(2):
        process = start(*run, cwd=work)
        try:
            for _ in range(2):  # a job whose worker dies three times is given up
                wait_until(lambda process=process: workers_of(process), process)
                time.sleep(moments.uniform(0.3, 2.0))
                for number in moments.sample(workers_of(process) or [process.pid], k=1):
                    os.kill(number, signal.SIGKILL)
            time.sleep(moments.uniform(0.2, 1.0))
            assert process.poll() in (None, 0), process.communicate()[1]  # it did not give up
        finally:
            process.kill()
            wait_until(lambda process=process: not alive_in(process.pid), process, seconds=15)
            process.communicate()
    dermsynth(*run, cwd=work)
    assert (work / "often" / "verdict.json").read_bytes() == whole
    assert not list((work / "often" / "jobs").glob("*.partial"))
