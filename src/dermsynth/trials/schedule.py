"""How long jobs take together: on so many workers, and on as many as one likes."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


def makespan(seconds: Mapping[str, float], needs: Mapping[str, Sequence[str]], workers: int) -> float:
    """Return the seconds until all jobs are done, each started as soon as a worker and its inputs allow.

    Args:
        seconds: Of every job by name, in the order in which they start where there is a choice.
        needs: The jobs that must be done before one starts; those that are not among `seconds` are done.
        workers: How many run at once.
    """
    waiting = {name: {other for other in needs.get(name, ()) if other in seconds} for name in seconds}
    running: list[tuple[float, int, str]] = []
    order = {name: number for number, name in enumerate(seconds)}
    now = 0.0
    while waiting or running:
        ready = [name for name, left in waiting.items() if not left]
        for name in ready[: workers - len(running)]:
            heapq.heappush(running, (now + seconds[name], order[name], name))
            del waiting[name]
        now, _, ended = heapq.heappop(running)
        for left in waiting.values():
            left.discard(ended)
    return now


def critical_path(seconds: Mapping[str, float], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the longest chain of jobs of which each needs the one before: no number of workers is quicker than it.

    Args:
        seconds: Of every job by name, inputs before what needs them.
        needs: The jobs that must be done before one starts; those that are not among `seconds` are done.
    """
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for name in seconds:
        inputs = [other for other in needs.get(name, ()) if other in ends]
        before[name] = max(inputs, key=ends.__getitem__, default=None)
        ends[name] = seconds[name] + max((ends[other] for other in inputs), default=0.0)
    chain: list[str] = []
    last = max(ends, key=ends.__getitem__, default=None)
    while last is not None:
        chain.append(last)
        last = before[last]
    return chain[::-1]
