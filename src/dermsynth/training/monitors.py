"""What goes wrong in a training run, by name, from the numbers it records. (Rules follow.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something that went wrong in a run."""

    kind: str
    images_seen: int
    message: str


def findings(
    history: Sequence[Mapping[str, float]],
    looks: Sequence[Mapping[str, float]],
    *,
    logits: bool,
    settings: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Return what starts at the latest look."""
    return []
