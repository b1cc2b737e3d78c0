"""One job in the process that runs it: alone at its folder, on one thread, with a log and a note of what it cost."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from dermsynth import __version__
from dermsynth.core.artefacts import CARD, read_card
from dermsynth.core.errors import ArtefactError, ConfigError, InterruptedRunError
from dermsynth.core.locks import alone_in
from dermsynth.trials.costs import Meter, write_cost

Work = Callable[[Mapping[str, Any], Mapping[str, Path], Path], None]
"""(configuration, input folders by name, output folder) -> nothing; it makes the output folder, an artefact."""
Outcome = Literal["done", "busy"]
"""`busy`: another trial that shares the folder of jobs is at this one."""
LOGS = "logs"
"""The folder, beside those of the jobs, that has a log for each."""
_THREADS = 1


@dataclass(frozen=True)
class Task:
    """A job as it is sent to a worker.

    Attributes:
        work: What to do.
        config: With which settings.
        inputs: Input folders by name.
        out: The folder to make, in the folder of all jobs.
        kind, title: As in `Job`.
        runner: Host and number of the process that sends it.
        version: Of dermsynth there.
    """

    work: Work
    config: Mapping[str, Any]
    inputs: Mapping[str, Path]
    out: Path
    kind: str
    title: str
    runner: str
    version: str = __version__

    @property
    def log(self) -> Path:
        """Return the file that keeps what the job said."""
        return log_of(self.out)


def log_of(out: Path) -> Path:
    """Return where the log of the job that makes the folder `out` is."""
    return out.parent / LOGS / f"{out.name}.log"


def this_process() -> str:
    """Return host and number of this process."""
    return f"{platform.node()}-{os.getpid()}"


def is_whole(folder: Path) -> bool:
    """Return whether a job's artefact is there as it was written."""
    try:
        read_card(folder, str(json.loads((folder / CARD).read_text(encoding="utf-8"))["kind"]))
    except (ArtefactError, OSError, ValueError, LookupError):
        return False
    return True


def execute(task: Task) -> Outcome:
    """Run one job in this process; what a worker is sent.

    Raises:
        ConfigError: this worker has another version of dermsynth, or does not see the folder.
        Whatever the work raises; the log has the traceback.
    """
    _check_worker(task)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone_in(task.log))
        except ArtefactError:
            return "busy"
        if is_whole(task.out):  # whoever was busy with it has made it
            return "done"
        company = held.enter_context(_noticing_company())
        file = held.enter_context(task.log.open("a", encoding="utf-8", buffering=1))
        in_runner = this_process() == task.runner
        if not in_runner:
            _one_thread()
        held.enter_context(_logging_to(file, streams=not in_runner and not company()))
        _note(file, f"started on {platform.node()}, process {os.getpid()}: {task.title}")
        meter = Meter()
        try:
            task.work(task.config, task.inputs, task.out)
        except InterruptedRunError as stopped:
            _note(file, str(stopped))
            # The state is saved. A worker process that was asked to stop must not take the next job from the queue.
            if multiprocessing.parent_process() is not None:
                os._exit(1)
            raise
        except BaseException:
            file.write(traceback.format_exc())
            raise
        cost = meter.cost(task.out.name, task.kind, task.title, threads=_THREADS, alone=not company() and not in_runner)
        write_cost(task.out.parent, cost)
        _note(file, f"finished after {cost.wall_s:.1f} s")
    return "done"


def _check_worker(task: Task) -> None:
    if task.version != __version__:
        raise ConfigError(
            f"the worker on {platform.node()} has dermsynth {__version__}, the trial runs with {task.version}; "
            "install the same version on both"
        )
    if not task.log.is_file():
        raise ConfigError(
            f"the worker on {platform.node()} does not see {task.log}; put the trial on a disc that all workers share, "
            "under the same path"
        )


def _one_thread() -> None:
    from dermsynth.training.device import set_threads

    set_threads(_THREADS)


def _note(file: TextIO, text: str) -> None:
    file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")


@contextlib.contextmanager
def _noticing_company() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether another job has run in this process meanwhile."""
    mine = object()
    with _lock:
        _alone[mine] = not _alone
        for other in _alone:
            _alone[other] = _alone[other] and len(_alone) == 1
    try:
        yield lambda: not _alone[mine]
    finally:
        with _lock:
            del _alone[mine]


_lock = threading.Lock()
_alone: dict[object, bool] = {}
"""The jobs that this process runs now, and whether each has been the only one all the time."""


@contextlib.contextmanager
def _logging_to(file: TextIO, *, streams: bool) -> Iterator[None]:
    """Send what dermsynth logs in this thread to the file and, where `streams`, all that the process prints."""
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == thread)
    logger = logging.getLogger("dermsynth")
    logger.addHandler(handler)
    try:
        with _streams_to(file) if streams else contextlib.nullcontext():
            yield
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _streams_to(file: TextIO) -> Iterator[None]:
    """Send the output streams of this process, those of libraries in C among them, to a file."""
    _flush()
    saved = [os.dup(number) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        _flush()
        for number, before in zip((1, 2), saved, strict=True):
            os.dup2(before, number)
            os.close(before)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
