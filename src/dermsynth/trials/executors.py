"""Where the jobs of a trial run: processes of this machine, a Dask cluster, Slurm, or any executor from Python."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path

from dermsynth.core import memory
from dermsynth.core.errors import ConfigError
from dermsynth.trials.costs import COSTS, read_costs
from dermsynth.trials.jobs import Workers
from dermsynth.trials.task import Outcome, Task, execute

LOCAL = "local"


@contextlib.contextmanager
def workers_of(executor: Executor | str, count: int, jobs: Path) -> Iterator[Workers]:
    """Yield the workers that `executor` stands for, and let them go at the end; at once if the block raises.

    Args:
        executor: `local`; `dask://HOST:PORT`; `slurm`, `slurm:PARTITION` or `slurm:KEY=VALUE,…`; or an executor, which
            stays open.
        count: Processes of `local`.
        jobs: The folder of the jobs.

    Raises:
        ConfigError: no such executor, an extra that is not installed, or a cluster that does not answer.
    """
    if isinstance(executor, Executor):
        yield Workers(executor)
        return
    name, _, rest = executor.partition(":")
    if executor == LOCAL:
        with LocalProcesses(count, jobs) as local:
            yield local
    elif name == "dask" and rest.startswith("//") and ":" in rest:
        from dermsynth.trials.on_dask import dask_workers

        with dask_workers(f"tcp:{rest}") as dask:
            yield dask
    elif name == "slurm":
        from dermsynth.trials.on_slurm import slurm_workers

        with slurm_workers(rest, jobs) as slurm:
            yield slurm
    else:
        raise ConfigError(
            f"--executor {executor}: expected local, dask://HOST:PORT, slurm, slurm:PARTITION or slurm:KEY=VALUE,…"
        )


class LocalProcesses(Workers):
    """Processes of this machine, each with a job at a time, as many at once as memory allows.

    Each is a pool of its own: where one is killed, the others go on, and a new one takes its place.
    """

    def __init__(self, count: int, jobs: Path) -> None:
        self._count, self._jobs = count, jobs
        self._idle: list[ProcessPoolExecutor] = []
        self._at_work: dict[Future[Outcome], ProcessPoolExecutor] = {}
        self._strangers = set(multiprocessing.active_children())
        self._files: frozenset[str] = frozenset()
        self._peaks: dict[str, int] = {}

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        pools = [*self._idle, *self._at_work.values()]
        children = self._children()
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        if kind is not None:
            # Nobody waits for what still runs: what trains saves its state, other jobs leave nothing.
            for child in children:
                child.terminate()
        for child in children:
            child.join()

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a task in a process that has nothing to do, or in a new one."""
        self._collect()
        # Spawned, not forked: a forked child of a process with threads may hang, and inherits torch's thread settings.
        pool = (
            self._idle.pop()
            if self._idle
            else ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=start_worker)
        )
        try:
            future = pool.submit(execute, task)
        except BrokenExecutor:  # killed while it had nothing to do
            pool.shutdown(wait=False)
            return self.submit(task)
        self._at_work[future] = pool
        return future

    def has_room(self, kind: str, running: Sequence[str], *, died: bool) -> bool:
        """Return whether a process is free and the memory will do for the job and those that run.

        What a job takes is judged from the highest peak of finished jobs of its kind in this folder; a kind that never
        ran is let in. A job whose worker died waits until nothing else runs. One job always runs.
        """
        if not running:
            return True
        if len(running) >= self._count or died:
            return False
        free = memory.available_bytes()
        needed = [self._peak(one) for one in (kind, *running)]
        if free is None or needed[0] is None:
            return True
        held = sum(memory.resident_bytes(child.pid) or 0 for child in self._children())
        return sum(one for one in needed if one is not None) <= free + held

    def _collect(self) -> None:
        """Take back the processes whose job has ended."""
        for future in [future for future in self._at_work if future.done()]:
            pool = self._at_work.pop(future)
            if not future.cancelled() and isinstance(future.exception(), BrokenExecutor):
                pool.shutdown(wait=False)
            else:
                self._idle.append(pool)

    def _children(self) -> list[BaseProcess]:
        return [child for child in multiprocessing.active_children() if child not in self._strangers]

    def _peak(self, kind: str) -> int | None:
        files = frozenset(path.name for path in (self._jobs / COSTS).glob("*.json"))
        if files != self._files:
            self._files, self._peaks = files, {}
            for cost in read_costs(self._jobs).values():
                if cost.peak_bytes is not None:
                    self._peaks[cost.kind] = max(cost.peak_bytes, self._peaks.get(cost.kind, 0))
        return self._peaks.get(kind)


def start_worker() -> None:
    """Set up a worker process: no reaction to Ctrl-C (the parent decides), no life after the parent."""
    logging.getLogger("dermsynth").addHandler(logging.NullHandler())  # the report tells what the monitors noticed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
