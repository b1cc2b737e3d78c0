"""How far a trial is, as a person sees it: while it runs, and from another terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dermsynth.cli import progress

if TYPE_CHECKING:
    from dermsynth.trials.jobs import Job, State, Watch
    from dermsynth.trials.overview import Overview
    from dermsynth.trials.status import JobStatus, Status

_DRAW_EVERY_S, _MOST_LINES, _BAR = 0.5, 12, 12


def status_view(status: Status) -> Group:
    """Return what is shown of a trial: a line about all of it, then what runs and what failed."""
    said = [f"{status.counts['done']} of {len(status.jobs)} jobs done"]
    said += [f"{status.counts[state]} {state}" for state in ("running", "failed", "dropped") if status.counts[state]]
    if status.state == "running":
        said.append(
            "time left not known yet" if status.left_s is None else f"about {progress.duration(status.left_s)} left"
        )
    lines: list[Text | Table] = [Text(f"{status.trial}: {status.said}"), Text("; ".join(said))]
    running = [job for job in status.jobs if job.state == "running"]
    if running and status.state == "running":
        lines.append(_running(running))
    failed = [job for job in status.jobs if job.state == "failed"]
    lines += [Text(f"failed: {job.title}; log: {job.log}", style="red") for job in failed[:_MOST_LINES]]
    if status.error and status.state == "failed":
        lines.append(Text(status.error))
    return Group(*lines)


def _running(jobs: list[JobStatus]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(max_width=40, no_wrap=True, overflow="ellipsis")
    for _ in range(3):
        table.add_column(no_wrap=True)
    for job in jobs[:_MOST_LINES]:
        share = None if job.share is None else f"{100 * job.share:3.0f} %"
        bar = ProgressBar(total=1.0, completed=job.share or 0.0, width=_BAR) if share else ""
        left = "" if job.left_s is None else f", {progress.duration(job.left_s)} left"
        table.add_row(f"  {job.title}", bar, share or "", f"{progress.duration(job.wall_s or 0)}{left}")
    if len(jobs) > _MOST_LINES:
        table.add_row(f"  and {len(jobs) - _MOST_LINES} more", "", "", "")
    return table


def overview_view(found: Overview) -> Group:
    """Return what is shown of a trial before it runs."""
    names = list(found.counts["train"])
    images = _table("images", *names)
    for part, counts in found.counts.items():
        images.add_row(part, *(f"{counts[name]:,}" for name in names))
    arms = _table("arm", *names)
    for arm, counts in found.arms.items():
        arms.add_row(arm, *(f"{counts[name]:,}" for name in names))
    kinds = _table("jobs", "number", "done", "time", "disk")
    for name, kind in found.kinds.items():
        took, disk = progress.duration(kind.seconds), _gigabytes(kind.kept_bytes)
        kinds.add_row(name, str(kind.jobs), str(kind.done), took, disk)
    chain = f" ({' → '.join(found.critical)})" if found.critical else ""
    said = [
        f"time: about {progress.duration(found.wall_s)} with {found.workers} workers; "
        f"{progress.duration(found.work_s)} of work; no number of workers is quicker than "
        f"{progress.duration(found.critical_s)}{chain}",
        f"disk: {_gigabytes(found.kept_bytes)}, and {_gigabytes(found.working_bytes)} more while it runs; "
        f"{_gigabytes(found.free_bytes)} free",
    ]
    if found.untimed:
        said.append(f"{found.untimed} jobs cannot be timed beforehand and are in none of these hours")
    if found.kept_bytes + found.working_bytes > found.free_bytes:
        said.append("the disk is too small for this trial")
    return Group(f"{found.name}: {len(found.jobs)} jobs\n", images, "", arms, "", kinds, "", *said)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _gigabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


@contextmanager
def live_view(trial: Path) -> Iterator[Watch]:
    """Yield a function of the states of a trial's jobs that keeps the view of it up to date.

    Where there is no terminal it prints a line for each job that ends.
    """
    if not progress.console.is_terminal:
        yield _lines()
        return
    from dermsynth.core.errors import ArtefactError
    from dermsynth.trials.status import read_status

    last = 0.0
    with Live(console=progress.console, transient=True, auto_refresh=False) as live:

        def show(states: Mapping[Job, State]) -> None:
            nonlocal last
            if time.monotonic() - last > _DRAW_EVERY_S:
                last = time.monotonic()
                try:
                    live.update(status_view(read_status(trial)), refresh=True)
                except ArtefactError:  # somebody deleted it: the trial itself goes on
                    return

        yield show


def _lines() -> Watch:
    started = time.monotonic()
    said: set[Job] = set()
    ended = {"done": "", "failed": "FAILED: ", "dropped": "left out: "}

    def say(states: Mapping[Job, State]) -> None:
        for job, state in states.items():
            if state in ended and job not in said:
                said.add(job)
                seconds, count = time.monotonic() - started, f"{len(said):>3} of {len(states)}"
                progress.console.print(f"{seconds:6.0f} s  {count}  {ended[state]}{job.title}", highlight=False)

    return say
