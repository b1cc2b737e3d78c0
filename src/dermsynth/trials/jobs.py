"""Jobs: pure functions from a configuration and input folders to one output folder, named by the hash of both.

A finished job is never run again. One that fails stops what needs it and nothing else. Jobs run wherever workers see
the same folder.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dermsynth import __version__
from dermsynth.core.config import digest_of
from dermsynth.core.errors import ArtefactError, DermsynthError, InterruptedRunError
from dermsynth.trials.costs import COSTS
from dermsynth.trials.task import LOGS, Outcome, Task, Work, execute, is_whole, log_of, this_process


@dataclass(frozen=True, eq=False)
class Job:
    """One piece of work.

    Attributes:
        kind: The first word of the folder's name.
        work: A module-level function, so that it can be sent to another process.
        config: JSON values; everything that the result depends on beside the inputs.
        inputs: The jobs whose folders the work reads, by name.
        title: What a person reads while it runs.
    """

    kind: str
    work: Work
    config: Mapping[str, Any]
    inputs: Mapping[str, Job] = field(default_factory=dict)
    title: str = "job"

    @cached_property
    def digest(self) -> str:
        """Return the hash of configuration, inputs and the version of dermsynth."""
        inputs = {name: job.digest for name, job in self.inputs.items()}
        work = f"{self.work.__module__}.{self.work.__qualname__}"
        return digest_of({"work": work, "config": dict(self.config), "inputs": inputs, "dermsynth": __version__})

    @property
    def folder(self) -> str:
        """Return the name of the output folder."""
        return f"{self.kind}-{self.digest[:12]}"


State = Literal["waiting", "running", "done", "failed", "dropped"]
"""`dropped`: it needs a job that failed."""
Watch = Callable[[Mapping[Job, State]], None]
TRIES = 3
"""How often a job is started whose worker dies."""
_LOOK_EVERY_S, _ASK_AGAIN_S, _APPEARS_WITHIN_S = 0.25, 1.0, 10.0


class Workers:
    """Where jobs run: any executor, whose own queue holds what cannot start yet.

    Attributes:
        deaths: Errors of a future that mean that the process of its job was killed, lost, or ran out of memory.
    """

    deaths: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError, MemoryError)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a task, or let it wait for its turn."""
        return self._executor.submit(execute, task)

    def has_room(self, kind: str, running: Sequence[str], *, died: bool) -> bool:
        """Return whether a job can be taken beside those that run.

        Args:
            kind: Of the job.
            running: The kinds of those that run.
            died: Whether its worker died before.
        """
        return True


def run_jobs(
    jobs: Sequence[Job], root: Path, workers: Workers | Executor, *, watch: Watch = lambda states: None
) -> None:
    """Run jobs and what they need, each as soon as its inputs are there, in the order given where there is a choice.

    A job whose worker died is tried again, up to `TRIES` times in all. One that raises an error is not: what needs it
    is dropped, and the others run to their end.

    Args:
        jobs: The jobs wanted; their inputs may be among them or not.
        root: The folder that holds all output folders, their logs and their costs.
        workers: Where they run.
        watch: Called several times a second with every job and its state.

    Raises:
        DermsynthError: one or more jobs failed; what is done stays. Of the type of the first error, if it is one.
        InterruptedRunError: a job that runs in this process was asked to stop.
    """
    for name in (LOGS, COSTS):
        (root / name).mkdir(parents=True, exist_ok=True)
    run = _Run(with_inputs(jobs), root, workers if isinstance(workers, Workers) else Workers(workers))
    try:
        while run.goes_on():
            run.start_what_can()
            watch(run.states)
            run.wait()
    except BaseException:
        run.drop_what_waits()
        raise
    watch(run.states)
    run.raise_failures()


def with_inputs(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs and everything they need, inputs first, each folder once."""
    found: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.folder not in found:
            for source in job.inputs.values():
                visit(source)
            found[job.folder] = job

    for job in jobs:
        visit(job)
    return list(found.values())


class _Run:
    """The states of all jobs, and the futures of those that run."""

    def __init__(self, jobs: Sequence[Job], root: Path, workers: Workers) -> None:
        self._root, self._workers = root, workers
        self._by_folder = {job.folder: job for job in jobs}
        self.states: dict[Job, State] = {job: "done" if self._is_there(job) else "waiting" for job in jobs}
        self._running: dict[Future[Outcome], Job] = {}
        self._deaths = dict.fromkeys(jobs, 0)
        self._not_before = dict.fromkeys(jobs, 0.0)
        self._errors: dict[Job, BaseException] = {}

    def goes_on(self) -> bool:
        """Return whether something runs or can still be started."""
        return any(state in ("waiting", "running") for state in self.states.values())

    def start_what_can(self) -> None:
        """Send the jobs to workers whose inputs are there, as far as there is room; drop those that never will."""
        for job, state in self.states.items():
            if state != "waiting":
                continue
            inputs = {self.states[self._by_folder[source.folder]] for source in job.inputs.values()}
            if inputs & {"failed", "dropped"}:
                self.states[job] = "dropped"
            elif inputs <= {"done"} and time.monotonic() >= self._not_before[job]:
                kinds = [other.kind for other in self._running.values()]
                if self._workers.has_room(job.kind, kinds, died=self._deaths[job] > 0):
                    self._start(job)

    def wait(self) -> None:
        """Wait a moment, and note what has ended."""
        if not self._running:
            if self.goes_on():
                time.sleep(_LOOK_EVERY_S)
            return
        ended, _ = wait(self._running, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
        for future in ended:
            self._end(self._running.pop(future), future)

    def drop_what_waits(self) -> None:
        """Take back what no worker has started."""
        for future in self._running:
            future.cancel()

    def raise_failures(self) -> None:
        """Raise one error for all jobs that failed, which says where to look and what to do."""
        if not self._errors:
            return
        (job, error), *others = self._errors.items()
        known = isinstance(error, DermsynthError)
        told = [f"{job.title}: {error}" if known else f"{job.title}: {type(error).__name__}: {error}"]
        told.append(f"its log is {log_of(self._root / job.folder)}")
        if others:
            told.append(f"{len(others)} more failed ({', '.join(other.title for other, _ in others)})")
        dropped = sum(state == "dropped" for state in self.states.values())
        if dropped:
            told.append(f"{dropped} that need what failed were left out")
        told.append("all others are done and kept: put it right and run the same command again")
        raise (type(error) if isinstance(error, DermsynthError) else DermsynthError)("; ".join(told)) from error

    def _is_there(self, job: Job) -> bool:
        folder = self._root / job.folder
        if is_whole(folder):
            return True
        if folder.exists():  # damaged: to be made again
            shutil.rmtree(folder)
        return False

    def _start(self, job: Job) -> None:
        inputs = {name: self._root / source.folder for name, source in job.inputs.items()}
        out = self._root / job.folder
        task = Task(job.work, job.config, inputs, out, job.kind, job.title, this_process())
        task.log.touch()  # a worker that does not see it does not see the folder
        self.states[job] = "running"
        try:
            self._running[self._workers.submit(task)] = job
        except BrokenExecutor as error:
            self._fail(job, error)

    def _end(self, job: Job, future: Future[Outcome]) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        if isinstance(error, InterruptedRunError):
            raise error
        if error is not None:
            self._fail(job, error)
        elif future.result() == "busy":
            self.states[job] = "waiting"
            self._not_before[job] = time.monotonic() + _ASK_AGAIN_S
        elif self._has_appeared(job):
            self.states[job] = "done"
        else:
            place = self._root / job.folder
            self._fail(job, ArtefactError(f"{place}: a worker has made it, and it is not there; share the folder"))

    def _fail(self, job: Job, error: BaseException) -> None:
        """Let the job wait for another worker if its own died; else note the error."""
        if isinstance(error, self._workers.deaths):
            self._deaths[job] += 1
            if self._deaths[job] < TRIES:
                self.states[job] = "waiting"
                return
            error = DermsynthError(
                f"its worker process died {TRIES} times, perhaps for want of memory; try fewer --threads "
                "(a script must call run_trial below if __name__ == '__main__')"
            )
        self.states[job] = "failed"
        self._errors[job] = error

    def _has_appeared(self, job: Job) -> bool:
        """Return whether a finished job's folder is there; one on a shared disc may take a moment to be seen."""
        deadline = time.monotonic() + _APPEARS_WITHIN_S
        while not is_whole(self._root / job.folder):
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_EVERY_S)
        return True
