"""What the jobs of a trial cost, by what they did."""

from __future__ import annotations

from typing import Any

from dermsynth.reports import exhibits, numbers
from dermsynth.reports.evidence import Evidence

_KINDS = {
    "cohort": "cohort",
    "run": "training of generators",
    "pool": "synthetic images",
    "oracle": "oracle images",
    "fit": "classifiers",
}


def costs(evidence: Evidence) -> dict[str, Any] | None:
    """Return time, memory and energy by kind of job and in all; None where no job kept what it cost."""
    found = list(evidence.costs.values())
    if not found:
        return None
    by_kind = {kind: [one for one in found if one.kind == kind] for kind in dict.fromkeys(one.kind for one in found)}
    longest = max(found, key=lambda one: one.wall_s)
    columns = ("job", "kind", "wall_s", "processor_s", "peak_bytes", "energy_wh", "threads")
    lines = [
        (one.title, one.kind, one.wall_s, one.processor_s, one.peak_bytes, one.energy_wh, one.threads) for one in found
    ]
    whole = sum(one.wall_s for one in found)
    return {
        "rows": [{"name": _KINDS.get(kind, kind), **_summed(jobs, whole)} for kind, jobs in by_kind.items()],
        "all": _summed(found, whole),
        "longest": {"name": longest.title, "wall": numbers.seconds(longest.wall_s)},
        "watts": f"{found[0].watts_per_busy_core:g}",
        "missing": len(evidence.jobs) - len(found),
        "data": exhibits.data("costs", columns, lines),
    }


def _summed(jobs: list[Any], whole: float) -> dict[str, Any]:
    processor = [one.processor_s for one in jobs if one.processor_s is not None]
    memory = [one.peak_bytes for one in jobs if one.peak_bytes is not None]
    energy = [one.energy_wh for one in jobs if one.energy_wh is not None]
    wall = sum(one.wall_s for one in jobs)
    return {
        "jobs": len(jobs),
        "wall": numbers.seconds(wall),
        "share": numbers.percent(wall / whole) if whole else None,
        "processor": numbers.seconds(sum(processor)) if processor else None,
        "memory": f"{numbers.count(max(memory) / 2**20)}{numbers.GAP}MiB" if memory else None,
        "energy": f"{sum(energy):.2g}{numbers.GAP}Wh" if energy else None,
    }
