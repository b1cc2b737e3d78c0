"""kill -9 of a running trial: no worker outlives it, and the same command finishes with the same verdict."""

from __future__ import annotations

import os
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

pytestmark = [
    pytest.mark.xdist_group("orphans"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

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


def wait_until(condition: object, process: subprocess.Popen[str], seconds: float = 60) -> bool:
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


def test_a_killed_trial_is_finished_by_the_same_command_with_the_same_verdict(
    orphans: dict[int, str], work: Path
) -> None:
    assert not (work / "trial" / "verdict.json").exists()
    dermsynth(*RUN, cwd=work)
    with ThreadPoolExecutor(1) as here:
        run_trial(load_protocol(work / "trial.yaml"), work / "whole", executor=here)
    killed, whole = ((work / name / "verdict.json").read_bytes() for name in ("trial", "whole"))
    assert killed == whole
    assert not list((work / "trial" / "jobs").glob("*.partial"))
