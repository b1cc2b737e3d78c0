"""A finding: one thing that an audit found, with the images that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
Groups = tuple[tuple[str, ...], ...]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: `error`: results on this cohort cannot be trusted. `warning`: they need care. `note`: good to know.
        finding: What, in a few words.
        count: How often; of what, the detail says.
        detail: One line: what was counted, what follows from it, and the first examples.
        images: The `image_id`s concerned; those that belong together, such as a pair, in one tuple.
        across: The last image of each tuple is one of the other cohort that this one was compared with.
    """

    severity: Severity
    finding: str
    count: int
    detail: str
    images: Groups = ()
    across: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as a JSON object."""
        return asdict(self)


def examples(names: Sequence[str]) -> str:
    """Return the first names as a text."""
    return ", ".join(names[:_EXAMPLES]) + (", …" if len(names) > _EXAMPLES else "")


def singles(names: Sequence[str]) -> Groups:
    """Return images that do not belong together."""
    return tuple((name,) for name in names)
