"""Jobs on Slurm, through submitit: each is a batch job of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import yaml

from dermsynth.core.errors import ConfigError
from dermsynth.trials.jobs import Workers
from dermsynth.trials.task import LOGS, Outcome, Task, execute

_LOOK_EVERY_S = 0.5
_DEFAULTS = {"name": "dermsynth", "cpus_per_task": 1, "timeout_min": 24 * 60}


@contextlib.contextmanager
def slurm_workers(text: str, jobs: Path, *, cluster: str = "slurm") -> Iterator[Workers]:
    """Yield workers that submit each task as a batch job; at the end, those still queued or running are cancelled.

    Args:
        text: A partition, or `KEY=VALUE,…`: `timeout_min`, `mem_gb`, `cpus_per_task`, `gpus_per_node`, or an option of
            `sbatch` by its name (`partition`, `account`, `qos`, `constraint`, …).
        jobs: The folder of the jobs; submitit's own files go into `logs/slurm` there.
        cluster: What submitit calls it; `local` starts processes of this machine.

    Raises:
        ConfigError: submitit is not installed, this machine has no Slurm, or a key that neither knows.
    """
    option = f"--executor slurm:{text}" if text else "--executor slurm"
    try:
        import submitit
    except ImportError:
        raise ConfigError(f"{option}: needs submitit; pip install 'dermsynth[cluster]'") from None
    folder = jobs / LOGS / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    known = submitit.AutoExecutor._typed_parameters()
    of_slurm = submitit.SlurmExecutor._valid_parameters()
    settings: dict[str, Any] = dict(_DEFAULTS)
    for key, value in _pairs(text, option).items():
        if key not in known and key not in of_slurm:
            raise ConfigError(f"{option}: unknown key '{key}'; known: {', '.join(sorted({*known, *of_slurm}))}")
        settings[key if key in known else f"slurm_{key}"] = value
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**settings)
    except (RuntimeError, NameError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"{option}: {error}; run it on a machine that has Slurm's commands, with settings that it knows"
        ) from None
    workers = _OnSubmitit(executor)
    try:
        yield workers
    finally:
        workers.close()


def _pairs(text: str, option: str) -> dict[str, Any]:
    if text and "=" not in text:
        return {"partition": text}
    found = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise ConfigError(f"{option}: '{pair}' should be KEY=VALUE, for example partition=gpu,timeout_min=600")
        found[key] = yaml.safe_load(value) if value.isdecimal() else value
    return found


def _attempt(task: Task) -> Outcome | Exception:
    """Run a task and return its error: submitit would turn it into text."""
    try:
        return execute(task)
    except Exception as error:
        return error


class _OnSubmitit(Workers):
    def __init__(self, executor: Any) -> None:
        from submitit.core.utils import UncompletedJobError

        self.deaths = (*Workers.deaths, UncompletedJobError)  # of the batch job; a task returns its error
        self._submitit = executor
        self._waiting: dict[Future[Outcome], Any] = {}
        self._lock, self._closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, task: Task) -> Future[Outcome]:
        """Submit a task as a batch job."""
        future: Future[Outcome] = Future()
        job = self._submitit.submit(_attempt, task)
        with self._lock:
            self._waiting[future] = job
        return future

    def close(self) -> None:
        """Cancel what is queued or runs."""
        self._closed.set()
        with self._lock:
            for job in self._waiting.values():
                job.cancel(check=False)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            with self._lock:
                ended = [(future, job) for future, job in self._waiting.items() if job.done()]
                for future, _ in ended:
                    del self._waiting[future]
            for future, job in ended:
                self._end(future, job)

    def _end(self, future: Future[Outcome], job: Any) -> None:
        try:
            result = job.result()
        except Exception as error:
            result = error
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
