"""A row as numbers about one positive class: what every check on 2x2 tables looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dermsynth.audits.paper.matrix import RATIOS
from dermsynth.audits.paper.model import AVERAGES, EITHER, Column, Paper, Row
from dermsynth.audits.paper.printed import Printed
from dermsynth.audits.paper.sets import Sets

ACCURACY = Column("accuracy")


@dataclass(frozen=True)
class View:
    """The metrics of one positive class in one row.

    Attributes:
        row: Where they stand.
        positives: The classes that may be the positive one; the first is the one that is named, if any.
        metrics: Printed metrics by their name in `RATIOS`.
        counts: Images of each class in the test set; None if unknown.
        binary: Whether there are two classes.
    """

    row: Row
    positives: tuple[str, ...]
    metrics: dict[str, Printed]
    counts: dict[str, int] | None
    binary: bool

    def __str__(self) -> str:
        return str(self.row) if self.binary or len(self.positives) > 1 else f"{self.row}, {self.positives[0]}"

    def sizes(self, positive: str) -> tuple[int, int]:
        """Return how many test images are of a class, and how many are not."""
        counts = self.counts or {}
        return counts.get(positive, 0), sum(counts.values()) - counts.get(positive, 0)


def views(paper: Paper, sets: Sets) -> Iterator[View]:
    """Yield every row once for each class that it has metrics of."""
    for row in paper.rows:
        classes = tuple(sets.counts(row.test) or paper.classes)
        binary = len(classes) <= 2
        found: dict[str, dict[str, Printed]] = {}
        for column, cell in row.cells.items():
            group = column.group or row.positive
            if column.metric in RATIOS and column != ACCURACY and group and group not in AVERAGES:
                found.setdefault(group, {})[column.metric] = cell
        for group, metrics in found.items():
            if binary and ACCURACY in row.cells:  # among more classes, accuracy is not that of one against the rest
                metrics["accuracy"] = row.cells[ACCURACY]
            yield View(row, classes if group == EITHER else (group,), metrics, sets.counts(row.test), binary)
