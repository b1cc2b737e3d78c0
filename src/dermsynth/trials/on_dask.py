"""Jobs on a Dask cluster: Dask gives them to its workers, and again to others where a worker is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any

from dermsynth.core.errors import ConfigError
from dermsynth.trials.jobs import Workers
from dermsynth.trials.task import Outcome, Task, execute

_ANSWERS_WITHIN_S = 10
_GPU = "GPU"
"""The resource that workers with a graphics card declare: `dask worker … --resources GPU=1`."""
_WITHOUT_GPU = ("cohort", "oracle")
"""Kinds of jobs that compute no network."""


@contextlib.contextmanager
def dask_workers(address: str) -> Iterator[Workers]:
    """Yield the workers of the scheduler at `address`, such as `tcp://head:8786`; what waits there is taken back.

    Raises:
        ConfigError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(
            f"--executor {address.replace('tcp:', 'dask:')}: needs Dask; pip install 'dermsynth[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=_ANSWERS_WITHIN_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"--executor {address.replace('tcp:', 'dask:')}: no Dask scheduler answers there ({error}); "
            "start one with 'dask scheduler', or correct the address"
        ) from None
    workers = _OnDask(client)
    with client:
        try:
            yield workers
        finally:
            workers.close()


class _OnDask(Workers):
    def __init__(self, client: Any) -> None:
        from distributed import KilledWorker

        super().__init__(client.get_executor(pure=False))
        self.deaths = (*Workers.deaths, KilledWorker)
        self._client = client
        self._with_gpu: Executor = client.get_executor(pure=False, resources={_GPU: 1})

    def submit(self, task: Task) -> Future[Outcome]:
        """Give a task to Dask; to a worker with a graphics card where one declares it and the task can use it."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        gpu = task.kind not in _WITHOUT_GPU and any(_GPU in worker["resources"] for worker in workers)
        return (self._with_gpu if gpu else self._executor).submit(execute, task)

    def close(self) -> None:
        """Take back what waits; what a worker has begun, it finishes."""
        for executor in (self._executor, self._with_gpu):
            executor.shutdown(wait=False)
