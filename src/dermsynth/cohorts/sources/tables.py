"""Tables in CSV files, every row with the place it stands in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dermsynth.cohorts.sources.places import Place
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError

_OURS = ("source", "origin", "sha256", "split", "left_out")
"""Columns that mean something else to a cohort than they may in a user's table."""


def read_table(path: Path, needed: Sequence[str], *, header: Sequence[str] | None = None) -> pl.DataFrame:
    """Return a CSV file with all columns as text (empty fields null) and `at`, the file and line of each row.

    Commas, semicolons or tabs, with or without a byte-order mark, any line ends; blank lines are skipped.

    Args:
        path: The file.
        needed: Columns that it must have.
        header: The columns of a table whose first line names none.

    Raises:
        InputError: no such file, no CSV in UTF-8, a row with too few or too many fields, or a missing column.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_table(data, str(path), needed, header=header)


def read_published(
    root: Path, name: str, needed: Sequence[str], *, header: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return the table NAME.csv in `root`, in the folder NAME there, or in NAME.zip, as challenges serve it."""
    packed = [path for path in (root / name, root / f"{name}.zip") if path.exists()]
    if packed and not (root / f"{name}.csv").exists():
        place = Place(packed[0])
        if inside := place.find(f"{name}.csv"):
            return parse_table(place.read(inside), place.title(inside), needed, header=header)
    return read_table(root / f"{name}.csv", needed, header=header)


def parse_table(data: bytes, title: str, needed: Sequence[str], *, header: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the table of a file's bytes, which messages call `title`; see `read_table`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{title}: line {line}: is not UTF-8 text; save the table as CSV in UTF-8") from None
    names, rows, lines = _parsed(text, title, header)
    for name in needed:
        if name not in names:
            raise InputError(f"{title}: has no column '{name}'; {nearest(name, names)}")
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise InputError(f"{title}: has two columns '{twice[0]}'; remove one")
    columns = {name: [row[number] or None for row in rows] for number, name in enumerate(names) if name}
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return table.with_columns(at=pl.Series([f"{title}: line {line}" for line in lines], dtype=pl.String))


def kept(table: pl.DataFrame) -> pl.DataFrame:
    """Return a user's table with `given_` in front of the columns that a cohort uses for something else."""
    return table.rename({name: f"given_{name}" for name in _OURS if name in table.columns})


def _parsed(text: str, title: str, header: Sequence[str] | None) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows and the line each row ends in; fields without the spaces around them."""
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count), strict=True)
    rows, lines = [], []
    try:
        names = [name.strip() for name in (next(reader, []) if header is None else header)]
        for row in reader:
            if not any(row):
                continue
            if len(row) != len(names):
                expected = f"the header has {len(names)}" if header is None else f"expected {len(names)}"
                raise InputError(f"{title}: line {reader.line_num}: has {len(row)} fields, {expected}; correct it")
            rows.append([value.strip() for value in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{title}: line {reader.line_num}: cannot be read as CSV ({error})") from None
    if not rows:
        raise InputError(f"{title}: has no rows")
    return names, rows, lines
