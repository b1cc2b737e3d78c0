"""What each job cost: time, memory and an estimate of energy, kept beside the jobs and not in them.

No number of a trial and no byte of a verdict depends on these files.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from dermsynth.core import artefacts, memory
from dermsynth.core.config import Config

COSTS = "costs"
"""The folder, beside those of the jobs, that has a file for each."""
WATTS_PER_BUSY_CORE = 10.0
"""Assumed, not measured: processors of servers draw 100 to 300 W with 16 to 64 busy cores, which is 4 to 15 W for each.
Memory, discs, cooling and graphics cards are left out."""


class Cost(Config):
    """What one job cost, in the attempt that finished; attempts that were stopped before it are not counted.

    Attributes:
        job: Name of its folder.
        kind: `cohort`, `run`, `pool`, `fit`, …
        title: What a person calls it.
        wall_s: Seconds from start to end.
        processor_s: Seconds of processor cores. None where several jobs shared a process.
        peak_bytes: The most resident memory of its process. None there, and on systems other than Linux.
        energy_wh: Watt-hours: `processor_s` times `watts_per_busy_core`. None where `processor_s` is.
        watts_per_busy_core: What was assumed.
        host: The machine.
        threads: Threads that computed.
    """

    job: str
    kind: str
    title: str
    wall_s: float
    processor_s: float | None
    peak_bytes: int | None
    energy_wh: float | None
    watts_per_busy_core: float = WATTS_PER_BUSY_CORE
    host: str
    threads: int


class Meter:
    """Measures this process from where it is made."""

    def __init__(self) -> None:
        memory.forget_peak()
        self._wall, self._processor = time.monotonic(), time.process_time()

    def cost(self, job: str, kind: str, title: str, *, threads: int, alone: bool) -> Cost:
        """Return what was spent so far; `alone`: nothing else ran in this process meanwhile."""
        processor_s = round(time.process_time() - self._processor, 3) if alone else None
        return Cost(
            job=job,
            kind=kind,
            title=title,
            wall_s=round(time.monotonic() - self._wall, 3),
            processor_s=processor_s,
            peak_bytes=memory.peak_bytes() if alone else None,
            energy_wh=None if processor_s is None else round(processor_s * WATTS_PER_BUSY_CORE / 3600, 6),
            host=platform.node(),
            threads=threads,
        )


def write_cost(jobs: Path, cost: Cost) -> None:
    """Keep what a job cost beside the folders of the jobs."""
    artefacts.write_json(jobs / COSTS / f"{cost.job}.json", cost.canonical())


def read_costs(jobs: Path) -> dict[str, Cost]:
    """Return what is known of the jobs in a folder, by the names of their folders; a damaged file is left out."""
    return {cost.job: cost for file in sorted((jobs / COSTS).glob("[!.]*.json")) for cost in _read(file)}


def _read(file: Path) -> Iterator[Cost]:
    with contextlib.suppress(OSError, ValueError):
        yield Cost.model_validate_json(file.read_bytes())
