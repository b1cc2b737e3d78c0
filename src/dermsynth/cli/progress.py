"""What a person sees while a command works: a rich progress bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.estimate import Estimate

console = Console(stderr=True)
_LINE_EVERY_S = 15.0


class _Rate:
    """A text of images per second since the bar started."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._first = 0

    def text(self, done: int) -> str:
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, done  # a resumed run starts in the middle
            return ""
        return f"{(done - self._first) / max(now - self._started, 1e-9):,.0f} images/s"


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (images done, images in all) that shows them with images/s and the time left."""
    rate = _Rate()
    if not console.is_terminal:
        with _warnings_shown():
            yield _lines(title, rate)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    shown = Progress(SpinnerColumn(), *columns, TimeRemainingColumn(), console=console)
    with shown as progress, _warnings_shown():
        task = progress.add_task(title, total=None, rate="")

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, rate=rate.text(done))

        yield show


@contextmanager
def transfers() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield a function of (file, bytes there, bytes in all) that shows a bar for every file with MB/s."""
    if not console.is_terminal:
        yield _transfer_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(SpinnerColumn(), *columns, TimeRemainingColumn(), console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield show


def _transfer_lines() -> Callable[[str, int, int | None], None]:
    last = 0.0

    def show(name: str, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last > _LINE_EVERY_S or done == total:
            last = time.monotonic()
            size = "" if total is None else f" of {total / 1e6:,.0f}"
            console.print(f"{name}: {done / 1e6:,.0f}{size} MB", highlight=False)

    return show


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        console.print(f"note: {record.getMessage()}", highlight=False)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Print what dermsynth logs as warnings above the bar."""
    handler = _Notes(logging.WARNING)
    logger = logging.getLogger("dermsynth")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def show_estimate(algorithm: str, config: TrainConfig, found: Estimate) -> None:
    """Print what a run would take."""
    machine = ", ".join(f"{value} {name}" if name == "threads" else str(value) for name, value in found.machine.items())
    rate = 1000 * config.budget_kimg / (found.steps * found.step_s)
    memory = f"{_mib(found.held_bytes)} weights and optimiser"
    if found.peak_bytes is not None:
        memory += f", {_mib(found.peak_bytes)} at the peak of a step"
    fitted = ", ".join(f"{name} {count:,}" for name, count in found.fitted.items())
    rows = {
        "networks": ", ".join(f"{name} {count:,}" for name, count in found.parameters.items()) + " parameters",
        "images": f"{fitted}; {found.held_out:,} more choose the snapshot",
        "machine": machine,
        "steps": f"{found.steps:,} of {1000 * found.step_s:,.0f} ms, {rate:,.0f} images/s",
        "memory": memory,
        "time": f"{duration(found.total_s)}, with {config.snapshots} looks of {found.look_s:.0f} s",
    }
    table = Table(title=f"{algorithm}, {config.budget_kimg:g} kimg", box=None, show_header=False, title_justify="left")
    for name, text in rows.items():
        table.add_row(name, text)
    Console().print(table)


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def duration(seconds: float) -> str:
    """Return '45 s', '12 min' or '3.4 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 120 * 60 else f"{seconds / 3600:.1f} h"


def _lines(title: str, rate: _Rate) -> Callable[[int, int], None]:
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        text = rate.text(done)
        speed = f", {text}" if text else ""
        if time.monotonic() - last > _LINE_EVERY_S or done == total:
            last = time.monotonic()
            console.print(f"{title}: {done:,} of {total:,}{speed}", highlight=False)

    return show
