"""What a paper prints, as a YAML file: its sets of images, its tables, and what it claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, model_validator

from dermsynth.audits.paper.printed import Printed, read_cells, read_number
from dermsynth.core.config import Config, nearest

SHARES = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "npv",
    "f1",
    "balanced accuracy",
    "auc",
    "pr auc",
    "validation accuracy",
)
"""Metrics between 0 and 1; a column of them with a number above 1 is read as per cent."""

LOWER_IS_BETTER = ("loss", "brier", "fid", "kid")

METRICS = (*SHARES, "mcc", "inception score", *LOWER_IS_BETTER)

SYNONYMS = {
    "acc": "accuracy",
    "sensitivity": "recall",
    "tpr": "recall",
    "tnr": "specificity",
    "ppv": "precision",
    "f1-score": "f1",
    "f1 score": "f1",
    "roc-auc": "auc",
    "pr-auc": "pr auc",
    "val acc": "validation accuracy",
}

AVERAGES = ("macro", "weighted")
SKIPPED, FACTOR, EITHER = "-", "factor ", "either"


def _as_printed(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError("put it in quotes, as it is printed, so that final zeros are kept")
    return value


def _number(value: Any) -> Any:
    if isinstance(_as_printed(value), str):
        read_number(value)
    return value


Text = Annotated[str, BeforeValidator(_as_printed)]
Number = Annotated[str, BeforeValidator(_number)]


class ImageSet(Config):
    """A set of images, as far as the paper states it; what is left out may follow from `sums`."""

    counts: dict[str, NonNegativeInt] | None = Field(None, description="images of each class")
    total: NonNegativeInt | None = Field(None, description="the printed total")
    synthetic: bool = Field(False, description="whether these are synthetic images")


class Table(Config):
    """A table of metrics, or a sentence with some."""

    where: str = Field(description="Table 4, abstract, …")
    test: str | None = Field(None, description="the set that the metrics were computed on")
    positive: str | None = Field(
        None, description="class that metrics without a class are about; 'either': one of two, the paper is silent"
    )
    runs: int = Field(1, ge=1, description="runs or folds that every number is the mean of")
    columns: list[str] = Field(min_length=1, description="'accuracy', 'mel recall', 'macro f1', 'factor n', '-' …")
    rows: dict[str, Text] = Field(min_length=1, description="arm: its numbers; one name is one arm in every table")


class Confusion(Config):
    """A printed confusion matrix."""

    where: str
    arm: str = Field(description="the arm whose rows in the tables it belongs to")
    test: str | None = None
    orientation: Literal["rows are actual", "rows are predicted"]
    classes: list[str] = Field(min_length=2)
    counts: list[list[NonNegativeInt]]

    @property
    def actual(self) -> list[list[int]]:
        """The counts with a row for each actual class."""
        return self.counts if self.orientation == "rows are actual" else turned(self.counts)

    @model_validator(mode="after")
    def _square(self) -> Self:
        if [len(row) for row in self.counts] != [len(self.classes)] * len(self.classes):
            raise ValueError(f"counts need {len(self.classes)} rows of {len(self.classes)}, one per class")
        return self


class Comparison(Config):
    """A claim that arms are better than a baseline."""

    where: str = Field(description="where it is claimed")
    metrics: list[str] = Field(min_length=1)
    baseline: str = Field(description="an arm, or 'WHERE, ARM' for its row in one table")
    arms: list[str] | None = Field(None, min_length=1, description="the same; left out: every other arm")


class Shares(Config):
    """Printed fractions of a set: the shares of its classes, or of images added to it."""

    where: str
    what: str = Field(description="what the fractions are said to be")
    of: str = Field(description="the set that they are fractions of, or that images are added to")
    classes: dict[str, Number] | None = Field(None, description="class: fraction; class / all")
    added: dict[int, Number] | None = Field(None, description="images added: fraction; added / (set + added)")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.classes is None) == (self.added is None):
            raise ValueError("give either 'classes' or 'added'")
        return self


@dataclass(frozen=True)
class Column:
    """What a column of a table holds: a metric of a class, of an average over classes, or of the whole test set."""

    metric: str
    group: str | None = None

    def __str__(self) -> str:
        return f"{self.group} {self.metric}" if self.group else self.metric


@dataclass(frozen=True)
class Row:
    """One arm in one table.

    Attributes:
        where, arm: Table and arm.
        test: Name of its test set.
        positive: Class that ungrouped class metrics are about.
        runs: Runs that each number is the mean of.
        cells: Every printed metric.
        factors: What was varied, as numbers.
    """

    where: str
    arm: str
    test: str | None
    positive: str | None
    runs: int
    cells: dict[Column, Printed]
    factors: dict[str, float]

    def __str__(self) -> str:
        return f"{self.where}, {self.arm}"


class Paper(Config):
    """The printed numbers of one paper."""

    paper: str = Field(description="authors, title, year")
    source: str | None = Field(None, description="where it can be read")
    sets: dict[str, ImageSet] = Field(default_factory=dict)
    sums: list[str] = Field(default_factory=list, description="'all = train + test': no image is in two of the parts")
    tables: list[Table] = Field(default_factory=list)
    matrices: list[Confusion] = Field(default_factory=list)
    comparisons: list[Comparison] = Field(default_factory=list)
    shares: list[Shares] = Field(default_factory=list)
    stated: dict[str, dict[str, Number]] = Field(
        default_factory=dict, description="one quantity: {where: value}, where it is stated several times"
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        places = [table.where for table in self.tables]
        for where in places:
            if places.count(where) > 1:
                raise ValueError(f"two tables are called '{where}'; give each its own 'where'")
        for table in self.tables:
            _known(table.test, self.sets, f"test of '{table.where}'")
            _known(table.positive, (*self.classes, EITHER), f"positive of '{table.where}'")
        for matrix in self.matrices:
            _known(matrix.test, self.sets, f"test of the matrix in '{matrix.where}'")
            _known(matrix.arm, {row.arm for row in self.rows}, f"arm of the matrix in '{matrix.where}'")
        for share in self.shares:
            _known(share.of, self.sets, f"of in '{share.where}'")
            for name in share.classes or {}:
                _known(name, self.sets[share.of].counts or {}, f"class in '{share.where}'")
        for whole, parts in self.equations:
            for name in (whole, *parts):
                _known(name, self.sets, f"a set in sums, '{whole} = {' + '.join(parts)}'")
        for comparison in self.comparisons:
            for name in (comparison.baseline, *(comparison.arms or ())):
                _known(
                    name, {text for row in self.rows for text in (row.arm, str(row))}, f"arm in '{comparison.where}'"
                )
            for metric in comparison.metrics:
                columns = {str(column) for row in self.rows for column in row.cells}
                _known(str(self.column(metric, comparison.where)), columns, f"metric in '{comparison.where}'")
        return self

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Every class that a set counts or a matrix has, in the order of the file."""
        named = [name for found in self.sets.values() for name in found.counts or ()]
        return tuple(dict.fromkeys(named + [name for matrix in self.matrices for name in matrix.classes]))

    @cached_property
    def equations(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(whole, parts) of every sum."""
        return tuple(_equation(text) for text in self.sums)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row of every table."""
        return tuple(row for table in self.tables for row in self._rows_of(table))

    def rows_in(self, where: str) -> list[Row]:
        """Return the rows of one table."""
        return [row for row in self.rows if row.where == where]

    def called(self, name: str) -> list[Row]:
        """Return the rows of an arm, or the one row called 'WHERE, ARM'."""
        return [row for row in self.rows if name in (row.arm, str(row))]

    def column(self, text: str, where: str) -> Column:
        """Return what a heading stands for; raises ValueError that starts with `where` and names the nearest one."""
        words = text.split()
        for start in range(min(len(words), 3)):
            group, name = " ".join(words[:start]), " ".join(words[start:]).lower()
            metric = SYNONYMS.get(name, name)
            if metric in METRICS:
                groups = {known.lower(): known for known in (*AVERAGES, *self.classes)}
                _known(group.lower() or None, groups, f"class of column '{text}' of '{where}'")
                if metric == "accuracy" and group:
                    told = f"'{group} recall' if it is the share of this class that was right, '-' otherwise"
                    raise ValueError(f"column '{text}' of '{where}' can mean two things: write {told}")
                return Column(metric, groups.get(group.lower()))
        raise ValueError(f"column '{text}' of '{where}' is no metric: {nearest(words[-1].lower(), METRICS)}")

    def _rows_of(self, table: Table) -> Iterator[Row]:
        headings = [heading.strip() for heading in table.columns]
        read = {arm: self._cells(table, arm, text) for arm, text in table.rows.items()}
        numbers: dict[Column, list[Printed | None]] = {}
        factors: dict[str, list[Printed | None]] = {}
        for place, heading in enumerate(headings):
            found = [cells[place] for cells in read.values()]
            if heading.startswith(FACTOR):
                factors[heading.removeprefix(FACTOR)] = found
            elif heading != SKIPPED:
                column = self.column(heading, table.where)
                if column in numbers:
                    raise ValueError(f"column '{heading}' of '{table.where}' stands twice; keep one")
                numbers[column] = _in_one_unit(column, found)
        for place, arm in enumerate(read):
            cells = {column: cell for column, found in numbers.items() if (cell := found[place])}
            values = {name: float(cell.value) for name, found in factors.items() if (cell := found[place])}
            yield Row(table.where, arm, table.test, table.positive, table.runs, cells, values)

    def _cells(self, table: Table, arm: str, text: str) -> list[Printed | None]:
        try:
            cells = read_cells(text)
        except ValueError as error:
            raise ValueError(f"row '{arm}' of '{table.where}': {error}; use '-' for an empty cell") from None
        if len(cells) != len(table.columns):
            told = f"{len(cells)} numbers for {len(table.columns)} columns"
            raise ValueError(f"row '{arm}' of '{table.where}' has {told}; use '-' for an empty cell")
        return cells


def turned(counts: list[list[int]]) -> list[list[int]]:
    """Return the transposed matrix."""
    return [list(column) for column in zip(*counts, strict=True)]


def _in_one_unit(column: Column, cells: list[Printed | None]) -> list[Printed | None]:
    if column.metric in SHARES and any(cell and cell.value > 1 for cell in cells):
        return [cell and cell.as_percent() for cell in cells]
    return cells


def _equation(text: str) -> tuple[str, tuple[str, ...]]:
    whole, equals, parts = text.partition("=")
    names = tuple(name.strip() for name in parts.split("+"))
    if not equals or not whole.strip() or not all(names):
        raise ValueError(f"sum '{text}' should be like 'all = train + test'")
    return whole.strip(), names


def _known(name: str | None, names: Iterable[str], what: str) -> None:
    if name is not None and name not in (known := list(names)):
        raise ValueError(f"{what} is '{name}': {nearest(name, known) if known else 'none is declared'}")
