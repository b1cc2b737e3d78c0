"""A figure as the page shows it: what is drawn, and its numbers as a file to download."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Data:
    """Numbers behind a figure: the name of the file, and the file itself as a data URL."""

    file: str
    url: str


@dataclass(frozen=True)
class Exhibit:
    """A figure and its numbers.

    Attributes:
        panels: SVG, side by side.
        narrow: The same for a phone; empty where the panels are small enough.
        data: What they draw.
    """

    panels: tuple[str, ...]
    data: Data
    narrow: tuple[str, ...] = ()


def data(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Data:
    """Return rows as `name.csv`: UTF-8, a header, floats with six digits; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(cell) for cell in row] for row in rows)
    encoded = base64.b64encode(text.getvalue().encode()).decode("ascii")
    return Data(f"{name}.csv", f"data:text/csv;charset=utf-8;base64,{encoded}")


def _written(cell: object) -> object:
    return f"{cell + 0.0:.6g}" if isinstance(cell, float) else cell
