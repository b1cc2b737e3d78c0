"""Tables in CSV files, every row with the place it stands in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError


def read_table(path: Path, needed: Sequence[str]) -> pl.DataFrame:
    """Return a CSV file with all columns as text (empty fields null) and `at`, the file and line of each row.

    Commas, semicolons or tabs, with or without a byte-order mark, any line ends; blank lines are skipped.

    Raises:
        InputError: no such file, no CSV in UTF-8, a row with too few or too many fields, or a missing column.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: is not UTF-8 text; save the table as CSV in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    header, rows, lines = _parsed(text, path)
    for name in needed:
        if name not in header:
            raise InputError(f"{path}: has no column '{name}'; {nearest(name, header)}")
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: has two columns '{twice[0]}'; remove one")
    columns = {name: [row[number] or None for row in rows] for number, name in enumerate(header) if name}
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return table.with_columns(at=pl.Series([f"{path}: line {line}" for line in lines], dtype=pl.String))


def _parsed(text: str, path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows and the line each row ends in; fields without the spaces around them."""
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=first.count), strict=True)
    rows, lines = [], []
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if not any(row):
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{path}: line {reader.line_num}: has {len(row)} fields, the header has {len(header)}; correct it"
                )
            rows.append([value.strip() for value in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: cannot be read as CSV ({error})") from None
    if not rows:
        raise InputError(f"{path}: has no rows")
    return header, rows, lines
