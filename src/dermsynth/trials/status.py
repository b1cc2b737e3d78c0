"""How far a trial is: a small file that its runner keeps up to date, read together with the jobs' folders."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from dermsynth.core import artefacts
from dermsynth.core.config import Config
from dermsynth.core.errors import ArtefactError
from dermsynth.trials.costs import Cost, read_costs
from dermsynth.trials.jobs import Job, State
from dermsynth.trials.schedule import makespan
from dermsynth.trials.task import log_of

STATUS = "status.json"
_WRITE_EVERY_S, _SILENT_AFTER_S = 1.0, 60.0
_BEAT_EVERY_S = 10.0
"""How old the file grows where nothing changes."""

TrialState = Literal["running", "stopped", "failed", "finished", "gone"]
"""`gone`: the file says that it runs, and its process is not there: it was killed, or its machine went down."""


class JobRecord(Config):
    """A job as the runner sees it.

    Attributes:
        folder, title, kind: As in `Job`.
        needs: Folders of the jobs that it reads.
        state: `waiting`, `running`, `done`, `failed`, or `dropped` because it needs one that failed.
        started: Seconds since 1970 at which it was last given to a worker, or null.
        budget_kimg: Of a generator's training, or null.
    """

    folder: str
    title: str
    kind: str
    needs: tuple[str, ...]
    state: State
    started: float | None = None
    budget_kimg: float | None = None


class Record(Config):
    """The content of `status.json`.

    Attributes:
        state: As the runner knows it.
        host, process, born: Where the runner is, its number, and when that process started, in the kernel's words.
        started, updated: Seconds since 1970.
        executor, workers: Where jobs run; how many processes there are if they are local.
        jobs_folder: Where the folders of the jobs are, from the trial's.
        error: What ended it, or null.
        jobs: All jobs, in the order in which they start.
    """

    state: TrialState
    host: str
    process: int
    born: str | None
    started: float
    updated: float
    executor: str
    workers: int | None
    jobs_folder: str
    error: str | None = None
    jobs: tuple[JobRecord, ...] = ()


class JobStatus(JobRecord):
    """A job, with what its folder tells.

    Attributes:
        share: How much of a running one is done, 0 to 1, from its history or from what others of its kind took.
        wall_s: What a finished one took, or how long a running one has been at it.
        left_s: Estimated seconds until a running one is done.
        log: The file with what it said.
    """

    share: float | None = None
    wall_s: float | None = None
    left_s: float | None = None
    log: str


class Status(Config):
    """How far a trial is.

    Attributes:
        trial: Its folder.
        state: `running`, `stopped`, `failed`, `finished`, or `gone`.
        said: The same in words.
        counts: How many jobs are in each state.
        left_s: Estimated seconds until all are done; null where a kind of job has not finished once, or nothing runs.
        wall_s: Seconds since the runner started, or from there to its end.
        host, executor, workers: As in `Record`.
        error: What ended it, or null.
        jobs: All jobs.
    """

    trial: str
    state: TrialState
    said: str
    counts: dict[str, int]
    left_s: float | None
    wall_s: float
    host: str
    executor: str
    workers: int | None
    error: str | None
    jobs: tuple[JobStatus, ...]


class Recorder:
    """Keeps the status file of a trial up to date; to be called with the states of some or all jobs.

    Attributes:
        states: Of all jobs.
    """

    def __init__(self, trial: Path, jobs: Sequence[Job], folder: Path, executor: str, workers: int | None) -> None:
        self._path, self._jobs = trial / STATUS, jobs
        self.states: dict[Job, State] = {}
        self._began: dict[Job, float] = {}
        self._written, self._pending = 0.0, False
        self._record = Record(
            state="running",
            host=platform.node(),
            process=os.getpid(),
            born=_born(os.getpid()),
            started=time.time(),
            updated=time.time(),
            executor=executor,
            workers=workers,
            jobs_folder=os.path.relpath(folder, trial),
        )
        self(dict.fromkeys(jobs, "waiting"))

    def __call__(self, states: Mapping[Job, State]) -> None:
        """Note the states; the file follows within a second."""
        changed = {job: state for job, state in states.items() if self.states.get(job) != state}
        for job, state in changed.items():
            if state == "running":
                self._began[job] = time.time()
        self.states |= changed
        age = time.monotonic() - self._written
        self._pending = self._pending or bool(changed)
        if age > (_WRITE_EVERY_S if self._pending else _BEAT_EVERY_S):
            self._write()

    def end(self, state: TrialState, error: str | None = None) -> None:
        """Note how the trial ended."""
        self._record = self._record.changed(state=state, error=error)
        self._write()

    def _write(self) -> None:
        self._written, self._pending = time.monotonic(), False
        jobs = [
            JobRecord(
                folder=job.folder,
                title=job.title,
                kind=job.kind,
                needs=tuple(source.folder for source in job.inputs.values()),
                state=self.states[job],
                started=self._began.get(job),
                budget_kimg=(job.config.get("training") or {}).get("budget_kimg"),
            )
            for job in self._jobs
        ]
        record = self._record.canonical() | {"updated": time.time(), "jobs": [job.canonical() for job in jobs]}
        artefacts.write_json(self._path, record)


def read_status(trial: Path | str) -> Status:
    """Return how far a trial is, whether it runs or not.

    Raises:
        ArtefactError: no trial is there, or its status file cannot be read.
    """
    trial = Path(trial)
    try:
        record = Record.model_validate_json((trial / STATUS).read_bytes())
    except FileNotFoundError:
        raise ArtefactError(f"{trial}: has no {STATUS}, so no trial was started here; give a trial's --out") from None
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ArtefactError(f"{trial / STATUS}: cannot be read ({told}); run the trial again") from None
    state, said = _state_of(record)
    folder = trial / record.jobs_folder
    costs, now = read_costs(folder), time.time()
    mean = {
        kind: fmean(cost.wall_s for cost in costs.values() if cost.kind == kind)
        for kind in {cost.kind for cost in costs.values()}
    }
    jobs = [_job_status(job, folder, costs.get(job.folder), mean.get(job.kind), now) for job in record.jobs]
    counts = {one: sum(job.state == one for job in jobs) for one in ("done", "running", "waiting", "failed", "dropped")}
    return Status(
        trial=str(trial),
        state=state,
        said=said,
        counts=counts,
        left_s=_left(jobs, mean, record.workers) if state == "running" else None,
        wall_s=(now if state == "running" else record.updated) - record.started,
        host=record.host,
        executor=record.executor,
        workers=record.workers,
        error=record.error,
        jobs=tuple(jobs),
    )


def _state_of(record: Record) -> tuple[TrialState, str]:
    if record.state != "running":
        again = {"stopped": "; the same command continues it", "failed": "; the same command tries again"}
        return record.state, f"{record.state}{again.get(record.state, '')}"
    where, silent = f"process {record.process} on {record.host}", time.time() - record.updated
    if record.host == platform.node():
        if record.born is not None and _born(record.process) != record.born:
            return "gone", f"its runner ({where}) is gone; the same command continues it"
    elif silent > _SILENT_AFTER_S:
        return "gone", f"its runner ({where}) gave no sign of life for {silent:.0f} s; if it is gone, run it again"
    return "running", f"running: {where}"


def _born(process: int) -> str | None:
    """Return when a process of this host started, in ticks of the kernel; None if there is none or none can be seen.

    With its number it names a process for good: numbers are used again.
    """
    with contextlib.suppress(OSError):
        # After the name, which is in brackets and may hold anything: the state first, the start as the 20th field.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if fields[0] in ("Z", "X") else fields[19]
    return None


def _job_status(job: JobRecord, folder: Path, cost: Cost | None, usual_s: float | None, now: float) -> JobStatus:
    share, wall_s, left_s = None, None, None
    if job.state == "done" and cost is not None:
        wall_s = cost.wall_s
    elif job.state == "running" and job.started is not None:
        wall_s = now - job.started
        share, left_s = _seen(folder / f"{job.folder}.partial" / "history.jsonl", job.budget_kimg)
        if share is None and usual_s:
            share, left_s = min(0.99, wall_s / usual_s), max(0.0, usual_s - wall_s)
    log = str(log_of(folder / job.folder))
    return JobStatus(**job.model_dump(), share=share, wall_s=wall_s, left_s=left_s, log=log)


def _seen(history: Path, budget_kimg: float | None) -> tuple[float | None, float | None]:
    """Return the share of its budget that a training has seen and the seconds left, from its last line of history."""
    if budget_kimg is not None:
        with contextlib.suppress(OSError, ValueError, LookupError, ZeroDivisionError):
            line = json.loads(history.read_text(encoding="utf-8").rpartition("\n")[0].rpartition("\n")[2])
            share = min(1.0, float(line["images_seen"]) / (1000 * budget_kimg))
            return share, float(line["wall_s"]) * (1 - share) / share
    return None, None


def _left(jobs: Sequence[JobStatus], usual_s: Mapping[str, float], workers: int | None) -> float | None:
    """Return the seconds until all jobs are done, or None where nothing tells how long one takes."""
    running = [job for job in jobs if job.state == "running"]
    seconds: dict[str, float] = {}
    for job in [*running, *(job for job in jobs if job.state == "waiting")]:
        left_s = usual_s.get(job.kind) if job.left_s is None else job.left_s
        if left_s is None:
            return None
        seconds[job.folder] = left_s
    return makespan(seconds, {job.folder: job.needs for job in jobs}, max(1, workers or len(running)))
