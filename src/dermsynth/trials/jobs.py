"""Jobs: pure functions from a configuration and input folders to one output folder, named by the hash of both.

A finished job is never run again. Jobs run on any `concurrent.futures.Executor` whose workers see the same folder.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dermsynth import __version__
from dermsynth.core.artefacts import CARD, read_card
from dermsynth.core.config import digest_of
from dermsynth.core.errors import ArtefactError, DermsynthError, InterruptedRunError

Work = Callable[[Mapping[str, Any], Mapping[str, Path], Path], None]
"""(configuration, input folders by name, output folder) -> nothing; it makes the output folder, an artefact."""


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


Watch = Callable[[Mapping[Job, str]], None]


def execute(work: Work, config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> float:
    """Run one job in this process and return its seconds; what a worker is sent."""
    started = time.monotonic()
    try:
        work(config, inputs, out)
    except InterruptedRunError:
        # The state is saved. A worker process that was asked to stop must not take the next job from the queue.
        if multiprocessing.parent_process() is not None:
            os._exit(1)
        raise
    return time.monotonic() - started


def run_jobs(
    jobs: Sequence[Job],
    root: Path,
    executor: Executor,
    *,
    watch: Watch = lambda states: None,
) -> None:
    """Run jobs and what they need, each as soon as its inputs are there, in the order given where there is a choice.

    Args:
        jobs: The jobs wanted; their inputs may be among them or not.
        root: The folder that holds all output folders.
        executor: Where they run.
        watch: Called several times a second with every job and its state: waiting, running or done.

    Raises:
        The first error of a job. What runs is finished, what waits is dropped, what is done stays.
    """
    root.mkdir(parents=True, exist_ok=True)
    ordered = _with_inputs(jobs)
    states = {job: "done" if _is_whole(root / job.folder) else "waiting" for job in ordered}
    by_folder = {job.folder: job for job in ordered}
    running: dict[Future[float], Job] = {}
    with _dropping_what_waits(running):
        while any(state != "done" for state in states.values()):
            for job in ordered:
                ready = all(states[by_folder[source.folder]] == "done" for source in job.inputs.values())
                if states[job] == "waiting" and ready:
                    paths = {name: root / source.folder for name, source in job.inputs.items()}
                    running[executor.submit(execute, job.work, job.config, paths, root / job.folder)] = job
                    states[job] = "running"
            watch(states)
            done, _ = wait(running, timeout=0.25, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                _raise_from(future, job)
                states[job] = "done"
    watch(states)


def _is_whole(folder: Path) -> bool:
    """Return whether a job's artefact is there as it was written; a damaged one is deleted, to be made again."""
    if not (folder / CARD).exists():
        return False
    try:
        read_card(folder, str(json.loads((folder / CARD).read_text(encoding="utf-8"))["kind"]))
    except (ArtefactError, OSError, ValueError, LookupError):
        shutil.rmtree(folder)
        return False
    return True


def _with_inputs(jobs: Sequence[Job]) -> list[Job]:
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


@contextmanager
def _dropping_what_waits(running: Mapping[Future[float], Job]) -> Iterator[None]:
    try:
        yield
    except Exception:
        for future in running:
            future.cancel()
        raise


def _raise_from(future: Future[float], job: Job) -> None:
    error = future.exception()
    if isinstance(error, DermsynthError):
        raise type(error)(f"{job.title}: {error}") from error
    if error is not None:
        raise error
