"""Where jobs run: killed workers, memory, Dask with separate processes, submitit; the same results everywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.trials.pieces import add_up, die, fail, job, number, wait

from dermsynth.core import memory
from dermsynth.core.errors import ConfigError, DermsynthError, InputError
from dermsynth.trials import jobs as jobs_module
from dermsynth.trials.costs import Cost, read_costs, write_cost
from dermsynth.trials.executors import LocalProcesses, workers_of
from dermsynth.trials.jobs import Job, run_jobs
from dermsynth.trials.task import log_of

REPOSITORY = Path(__file__).parents[2]


def wait_for(condition: object, what: str, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def tries_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="module")
def after_deaths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Job], str]:
    """Run jobs on two processes: one dies once, one dies always, one fails; return folder, jobs and the error."""
    root = tmp_path_factory.mktemp("deaths")
    once = job(die, "dies once", 10, deaths=1, tries=str(root / "once"))
    always = job(die, "dies always", 20, deaths=99, tries=str(root / "always"))
    bad = job(fail, "fails", tries=str(root / "bad"))
    jobs = {
        "once": once,
        "after once": job(add_up, "after once", 1, (once,)),
        "always": always,
        "after always": job(add_up, "after always", 1, (always,)),
        "bad": bad,
        "free": job(add_up, "free", 5),
    }
    with workers_of("local", 2, root / "jobs") as workers, pytest.raises(DermsynthError) as error:
        run_jobs(list(jobs.values()), root / "jobs", workers)
    return root, jobs, str(error.value)


def test_a_job_whose_process_was_killed_is_tried_again(after_deaths: tuple[Path, dict[str, Job], str]) -> None:
    root, jobs, _ = after_deaths
    assert tries_of(root / "once") == 2
    assert number(root / "jobs", jobs["after once"]) == 11


def test_one_that_is_killed_every_time_is_given_up(after_deaths: tuple[Path, dict[str, Job], str]) -> None:
    root, jobs, told = after_deaths
    assert tries_of(root / "always") == jobs_module.TRIES
    assert "dies always" in told
    assert not (root / "jobs" / jobs["after always"].folder).exists()


def test_one_that_raised_an_error_is_not_tried_again(after_deaths: tuple[Path, dict[str, Job], str]) -> None:
    root, jobs, told = after_deaths
    assert tries_of(root / "bad") == 1
    assert "row 7 is bad" in log_of(root / "jobs" / jobs["bad"].folder).read_text()
    assert "fails" in told


def test_independent_jobs_run_to_their_end(after_deaths: tuple[Path, dict[str, Job], str]) -> None:
    root, jobs, _ = after_deaths
    assert number(root / "jobs", jobs["free"]) == 5


def test_what_a_job_prints_is_in_its_log(after_deaths: tuple[Path, dict[str, Job], str]) -> None:
    root, jobs, _ = after_deaths
    log = log_of(root / "jobs" / jobs["free"].folder).read_text()
    assert "the sum is 5" in log
    assert "and this is a complaint" in log
    assert "finished after" in log


def test_what_a_job_cost_is_beside_it(after_deaths: tuple[Path, dict[str, Job], str]) -> None:
    root, jobs, _ = after_deaths
    cost = read_costs(root / "jobs")[jobs["free"].folder]
    assert cost.wall_s >= 0
    assert cost.processor_s is not None
    assert cost.peak_bytes is not None
    assert cost.peak_bytes > 1 << 20
    assert cost.energy_wh == pytest.approx(cost.processor_s * cost.watts_per_busy_core / 3600, abs=1e-6)
    assert "cost" not in (root / "jobs" / jobs["free"].folder / "card.json").read_text()


def spent(kind: str, peak_bytes: int) -> Cost:
    return Cost(
        job=f"{kind}-1",
        kind=kind,
        title=kind,
        wall_s=1,
        processor_s=1,
        peak_bytes=peak_bytes,
        energy_wh=0,
        host="here",
        threads=1,
    )


@pytest.mark.parametrize(
    ("kind", "running", "died", "expected"),
    [
        ("fit", ["fit"], False, True),  # 2 × 300 of 1000
        ("fit", ["fit", "fit"], False, True),  # 3 × 300 of 1000
        ("run", ["fit"], False, False),  # 800 + 300 of 1000
        ("run", [], False, True),  # one always runs
        ("new", ["run"], False, True),  # nobody knows what it takes
        ("fit", ["fit"], True, False),  # its worker died: nothing beside it
        ("fit", [], True, True),
        ("fit", ["fit"] * 4, False, False),  # all processes are busy
    ],
)
def test_no_more_jobs_start_than_memory_lets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, running: list[str], died: bool, expected: bool
) -> None:
    (tmp_path / "costs").mkdir()
    write_cost(tmp_path, spent("fit", 300))
    write_cost(tmp_path, spent("run", 800))
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    assert LocalProcesses(4, tmp_path).has_room(kind, running, died=died) is expected


@pytest.mark.parametrize("text", ["clusters", "dask", "dask:head:8786", "loca"])
def test_an_unknown_executor_is_refused(tmp_path: Path, text: str) -> None:
    with (
        pytest.raises(ConfigError, match=f"--executor {text}: expected local, dask://HOST:PORT"),
        workers_of(text, 1, tmp_path),
    ):
        pass


@pytest.mark.parametrize(("text", "module"), [("dask://head:1", "distributed"), ("slurm:gpu", "submitit")])
def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"pip install 'dermsynth\[cluster\]'"), workers_of(text, 1, tmp_path):
        pass


def chain(root: Path) -> list[Job]:
    """Return jobs of which the first waits for a sign."""
    (root / "signs").mkdir(exist_ok=True)
    slow = job(wait, "slow", 3, signs=str(root / "signs"))
    return [slow, job(add_up, "after", 4, (slow,)), *(job(add_up, f"other {n}", n) for n in range(4))]


def bytes_of(root: Path, jobs: list[Job]) -> dict[str, bytes]:
    return {one.folder: (root / one.folder / "number").read_bytes() for one in jobs}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Start a Dask scheduler and two workers as processes of their own on loopback; return its address."""
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}", "OMP_NUM_THREADS": "1"}
    quiet = {"cwd": tmp_path, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    place = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    file = ["--scheduler-file", str(place)]
    scheduler = [*dask, "scheduler", *file, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    worker = [*dask, "worker", *file, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    started = [subprocess.Popen(command, **quiet) for command in (scheduler, worker, worker)]  # type: ignore[call-overload]
    try:
        wait_for(lambda: place.exists() and place.stat().st_size, "no scheduler")
        yield json.loads(place.read_text())["address"].replace("tcp:", "dask:")
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_dask_cluster_from_which_a_worker_is_killed_gives_the_same(tmp_path: Path, cluster: str) -> None:
    jobs = chain(tmp_path)
    signs = tmp_path / "signs"

    def run() -> None:
        with workers_of(cluster, 1, tmp_path / "dask") as workers:
            run_jobs(jobs, tmp_path / "dask", workers)

    with ThreadPoolExecutor(1) as beside:
        trial = beside.submit(run)
        wait_for(lambda: list(signs.glob("begun-*")) or trial.done(), "no job began")
        (first,) = signs.glob("begun-*")
        os.kill(int(first.name.removeprefix("begun-")), signal.SIGKILL)
        wait_for(lambda: len(list(signs.glob("begun-*"))) == 2 or trial.done(), "no other worker took the job")
        (signs / "go").touch()
        trial.result()
    with workers_of("local", 1, tmp_path / "local") as workers:
        run_jobs(jobs, tmp_path / "local", workers)
    assert bytes_of(tmp_path / "dask", jobs) == bytes_of(tmp_path / "local", jobs)


def test_an_error_on_a_dask_worker_is_that_of_the_job(tmp_path: Path, cluster: str) -> None:
    bad = job(fail, "bad", tries=str(tmp_path / "tries"))
    with (
        workers_of(cluster, 1, tmp_path / "jobs") as workers,
        pytest.raises(InputError, match="bad: row 7 is bad; its log is "),
    ):
        run_jobs([bad], tmp_path / "jobs", workers)
    assert tries_of(tmp_path / "tries") == 1


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    from dermsynth.trials import on_dask

    monkeypatch.setattr(on_dask, "_ANSWERS_WITHIN_S", 0.5)
    with (
        pytest.raises(ConfigError, match=r"--executor dask://127.0.0.1:9: no Dask scheduler answers there"),
        workers_of("dask://127.0.0.1:9", 1, tmp_path),
    ):
        pass


def test_submitit_runs_jobs_and_tries_a_killed_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="needs the extra 'cluster'")
    from dermsynth.trials.on_slurm import slurm_workers

    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    first = job(die, "dies once", 1, deaths=1, tries=str(tmp_path / "tries"))
    bad = job(fail, "bad", tries=str(tmp_path / "bad"))
    with slurm_workers("", tmp_path / "jobs", cluster="local") as workers, pytest.raises(InputError, match="row 7"):
        run_jobs([first, bad], tmp_path / "jobs", workers)
    assert number(tmp_path / "jobs", first) == 1
    assert tries_of(tmp_path / "tries") == 2
    assert tries_of(tmp_path / "bad") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition=gpu,colour=red", "unknown key 'colour'; known: "),
        ("partition=gpu,time", "'time' should be KEY=VALUE"),
        ("gpu", "run it on a machine that has Slurm's commands"),
    ],
)
def test_settings_of_slurm_that_cannot_be_used_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    pytest.importorskip("submitit", reason="needs the extra 'cluster'")
    monkeypatch.setenv("PATH", str(tmp_path))  # no srun there
    with pytest.raises(ConfigError, match=message), workers_of(f"slurm:{text}", 1, tmp_path):
        pass
