"""What an audit says: one finding with its arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["impossible", "doubtful", "note"]
SEVERITIES: tuple[Severity, ...] = ("impossible", "doubtful", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that printed numbers say about each other.

    Attributes:
        severity: `impossible`: the numbers cannot all be true as labelled. `doubtful`: they would need a coincidence,
            or do not carry the claim. `note`: what follows from them.
        check: Name of the check that found it, as in docs/audit-paper.md.
        where: The tables, sets or claims that it is about.
        finding: What, in one sentence.
        steps: The arithmetic, line by line.
        resolve: What would resolve it.
    """

    severity: Severity
    check: str
    where: str
    finding: str
    steps: tuple[str, ...]
    resolve: str

    def to_json(self) -> dict[str, Any]:
        """Return all attributes as a JSON object."""
        return asdict(self)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with the worst first, otherwise in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
