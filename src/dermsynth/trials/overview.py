"""A trial before it runs: its jobs and what each needs, its class counts, how long it takes and how much disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import Config
from dermsynth.trials.arms import ENLARGES, amount
from dermsynth.trials.estimates import Guesses, Known, free_bytes
from dermsynth.trials.jobs import Job, with_inputs
from dermsynth.trials.plan import check_against, plan
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.schedule import critical_path, makespan
from dermsynth.trials.tables import table_of
from dermsynth.trials.task import is_whole

Counts = dict[str, int]


class PlannedJob(Config):
    """A job before it runs.

    Attributes:
        folder, title, kind: As in `Job`.
        needs: Folders of the jobs that it reads.
        done: Whether it is finished already.
        seconds: Estimated, on one thread; 0 if it is done, null where it cannot be tried beforehand.
        kept_bytes: Estimated disk that it fills; 0 if it is done.
    """

    folder: str
    title: str
    kind: str
    needs: tuple[str, ...]
    done: bool
    seconds: float | None
    kept_bytes: int


class Kind(Config):
    """All jobs of a kind: how many, how many of them done, seconds and bytes of the others."""

    jobs: int
    done: int
    seconds: float
    kept_bytes: int


class Overview(Config):
    """A trial before it runs.

    Attributes:
        name: The protocol's.
        counts: Images by part and class.
        arms: Training images of each arm by class; a screen or a failed generator may stop it from having them.
        kinds: The jobs by kind.
        workers: Processes of one thread each.
        work_s: Estimated seconds of all jobs that are not done, one after the other.
        wall_s: The same on so many workers.
        critical: Titles of the longest chain of jobs, each needing the one before.
        critical_s: Its seconds; no number of workers is quicker.
        untimed: How many jobs to do are in none of these numbers, because they cannot be tried beforehand.
        kept_bytes: Estimated disk when all is done.
        working_bytes: More, while it runs.
        free_bytes: What is free where the jobs are kept.
        jobs: All jobs, in the order in which they start.
    """

    name: str
    counts: dict[str, Counts]
    arms: dict[str, Counts]
    kinds: dict[str, Kind]
    workers: int
    work_s: float
    wall_s: float
    critical: tuple[str, ...]
    critical_s: float
    untimed: int
    kept_bytes: int
    working_bytes: int
    free_bytes: int
    jobs: tuple[PlannedJob, ...]


def overview(protocol: Protocol, *, workers: int, jobs: Path | None = None) -> Overview:
    """Return what a trial would do and take; its networks are tried for some steps, and nothing is written.

    Args:
        protocol: The trial.
        workers: Processes of one thread each.
        jobs: A folder of jobs, some of which may be done.

    Raises:
        ConfigError, InputError: an arm that cannot be built, a source or a network that cannot be used.
    """
    planned, _ = plan(protocol)
    ordered = with_inputs(planned)
    done = {job.folder for job in ordered if jobs is not None and is_whole(jobs / job.folder)}
    cohort = _cohort(protocol, planned[0], jobs if planned[0].folder in done else None)
    check_against(protocol, cohort)
    known = Known.of(cohort)
    guesses = Guesses(known)
    found = {job.folder: guesses.of(job) for job in ordered if job.folder not in done}
    seconds = {folder: guess.seconds or 0.0 for folder, guess in found.items()}
    needs = {job.folder: tuple(source.folder for source in job.inputs.values()) for job in ordered}
    entries = [
        PlannedJob(
            folder=job.folder,
            title=job.title,
            kind=job.kind,
            needs=needs[job.folder],
            done=job.folder in done,
            seconds=0.0 if job.folder in done else found[job.folder].seconds,
            kept_bytes=0 if job.folder in done else found[job.folder].kept_bytes,
        )
        for job in ordered
    ]
    chain = critical_path(seconds, needs)
    titles = {job.folder: job.title for job in ordered}
    at_once = sorted((guess.working_bytes for guess in found.values()), reverse=True)[:workers]
    return Overview(
        name=protocol.name,
        counts={part: dict(counts) for part, counts in known.parts.items()},
        arms=_arms(protocol, cohort),
        kinds=_kinds(entries),
        workers=workers,
        work_s=sum(seconds.values()),
        wall_s=makespan(seconds, needs, workers),
        critical=tuple(titles[folder] for folder in chain),
        critical_s=sum(seconds[folder] for folder in chain),
        untimed=sum(guess.seconds is None for guess in found.values()),
        kept_bytes=sum(guess.kept_bytes for guess in found.values()),
        working_bytes=sum(at_once),
        free_bytes=free_bytes(jobs or Path.cwd()),
        jobs=tuple(entries),
    )


def _cohort(protocol: Protocol, job: Job, jobs: Path | None) -> Cohort:
    """Return the finished cohort, or its rows as the source's tables tell, with images of no size."""
    if jobs is not None:
        return Cohort.open(jobs / job.folder)
    rows, classes = table_of(protocol)
    rows = rows.with_columns(sha256=pl.col("image_id"))
    return Cohort.in_memory(rows, np.zeros((rows.height, 1, 1, 3), np.uint8), classes)


def _arms(protocol: Protocol, cohort: Cohort) -> dict[str, Counts]:
    train = cohort.part("train").counts()
    found: dict[str, Counts] = {}
    for arm in protocol.arms:
        said = protocol.amount(arm)
        added = amount(cohort, said["fill_to"], said["add"]) if arm.arm in ENLARGES else {}
        found[arm.name] = {name: count + added.get(name, 0) for name, count in train.items()}
    return found


def _kinds(jobs: list[PlannedJob]) -> dict[str, Kind]:
    found = {}
    for kind in dict.fromkeys(job.kind for job in jobs):
        those = [job for job in jobs if job.kind == kind]
        found[kind] = Kind(
            jobs=len(those),
            done=sum(job.done for job in those),
            seconds=sum(job.seconds or 0.0 for job in those),
            kept_bytes=sum(job.kept_bytes for job in those),
        )
    return found
