"""What ran, as the page shows it: every job's card in short and in full, versions, licences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dermsynth.core import artefacts
from dermsynth.reports import numbers
from dermsynth.reports.evidence import Card, Evidence


def jobs(evidence: Evidence) -> list[dict[str, Any]]:
    """Return one entry per artefact folder: what it is, seed, wall time, content hash, and its card as JSON."""
    return [
        {
            "role": job.role,
            "name": Path(job.name).name,
            "seed": job.seed,
            "wall": numbers.seconds(job.card["wall_s"]) if isinstance(job.card.get("wall_s"), int | float) else None,
            "content": artefacts.identity(job.card)[:12],
            "card": json.dumps(_short(job.card), indent=2, ensure_ascii=False),
        }
        for job in evidence.jobs
    ]


def total_wall(evidence: Evidence) -> str | None:
    """Return the sum of the jobs' wall times, or None where no card states one."""
    known = [job.card["wall_s"] for job in evidence.jobs if isinstance(job.card.get("wall_s"), int | float)]
    return numbers.seconds(sum(known)) if known else None


def versions(evidence: Evidence) -> list[tuple[str, str]]:
    """Return (library, version), all versions that occur if jobs differ."""
    found: dict[str, set[str]] = {}
    for job in evidence.jobs:
        found.setdefault("dermsynth", set()).add(str(job.card.get("dermsynth", "unknown")))
        for name, version in (job.card.get("versions") or {}).items():
            found.setdefault(name, set()).add(str(version))
    return [(name, ", ".join(sorted(values))) for name, values in found.items()]


def licences(evidence: Evidence) -> list[str]:
    """Return the licences that the cards state, each once."""
    return sorted({str(job.card["licence"]) for job in evidence.jobs if job.card.get("licence")})


def _short(card: Card) -> dict[str, Any]:
    """Return the card with files as `name: hash`, their sizes left out."""
    return {**card, "files": {name: known["sha256"] for name, known in card["files"].items()}}
