"""One quantity printed in several places: equal where it should differ, different where it should be equal."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from dermsynth.audits.paper.finding import Finding
from dermsynth.audits.paper.identities import harmonic
from dermsynth.audits.paper.matrix import RATIOS, Matrix
from dermsynth.audits.paper.model import SHARES, Column, Confusion, Paper, Row, turned
from dermsynth.audits.paper.printed import Printed, Span, decimal, hull, image, read_number
from dermsynth.audits.paper.sets import Sets
from dermsynth.audits.paper.views import ACCURACY

COINCIDENCE = 0.05
"""Cells of two arms that are equal with a smaller chance than this, over all pairs of arms, are called copied."""


def repeated_cells(paper: Paper, _: Sets) -> Iterator[Finding]:
    """One arm on one test set, over so many runs, has one value of a metric; a quantity stated twice is the same."""
    found: dict[tuple[str, str | None, int, Column], list[tuple[str, Printed]]] = defaultdict(list)
    for row in paper.rows:
        for column, cell in row.cells.items():
            found[row.arm, row.test, row.runs, column].append((row.where, cell))
    by_arm: dict[str, list[str]] = defaultdict(list)
    for (arm, _test, _runs, column), cells in found.items():
        if _differ([cell for _, cell in cells]):
            by_arm[arm].append(f"{column}: " + ", ".join(f"{cell} ({where})" for where, cell in cells))
    for arm, differing in by_arm.items():
        told = f"'{arm}' has two values of one metric."
        resolve = "which of the values is right; whether these are one model"
        yield Finding("impossible", "repeated cells", arm, told, tuple(differing), resolve)
    for what, values in paper.stated.items():
        if _differ([read_number(text) for text in values.values()]):
            steps = tuple(f"{where}: {text}" for where, text in values.items())
            told = f"'{what}' is stated with two values."
            yield Finding("impossible", "repeated cells", what, told, steps, "which of the values was used")


def copied_cells(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Cells of two arms that agree to the last digit more often than two similar arms on one test set would.

    Two equally good arms, half of whose errors are shared, differ by a standard error of sqrt(v (1 - v) / n); the
    chance that both land on one printed value is the width of that value times the density at 0.
    """
    tests: dict[str, list[Row]] = defaultdict(list)
    for row in paper.rows:
        if row.test and sets.total(row.test):
            tests[row.test].append(row)
    for test, rows in tests.items():
        distinct = list({(row.arm, tuple(row.cells.items())): row for row in rows}.values())
        pairs = [(a, b) for a, b in combinations(distinct, 2) if a.arm != b.arm]
        for a, b in pairs:
            equal = [column for column in a.cells if column in b.cells and a.cells[column].text == b.cells[column].text]
            independent = [column for column in equal if not _follows(column, equal)]
            chances = {column: _chance(column, a.cells[column], sets, test) for column in independent}
            compared = [c for c in a.cells if c in b.cells and not _follows(c, list(a.cells))]
            chance = _at_least(len(independent), [_chance(c, a.cells[c], sets, test) for c in compared])
            if len(independent) > 1 and chance * len(pairs) < COINCIDENCE:
                differing = [column for column in a.cells if column in b.cells and column not in equal]
                steps = [
                    "equal: " + ", ".join(f"{column} {a.cells[column]}" for column in equal),
                    *(f"{column} differs: {a.cells[column]} and {b.cells[column]}" for column in differing),
                    "chance of equal digits: "
                    + ", ".join(f"{column} {decimal(p, 3)}" for column, p in chances.items()),
                    f"so many or more of {len(compared)} by chance: {decimal(chance)}, "
                    f"among {len(pairs)} pairs of arms {decimal(min(chance * len(pairs), 1))}",
                ]
                told = f"'{a}' and '{b}' share their digits."
                resolve = "whether cells were copied from one row into the other"
                yield Finding("doubtful", "copied cells", f"{a.where}, {b.where}", told, tuple(steps), resolve)


def printed_matrices(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """A printed confusion matrix against the class counts, and against every metric of its arm."""
    for confusion in paper.matrices:
        yield from _against_counts(confusion, sets)
        steps = []
        for row in paper.rows:
            if (row.arm, row.test, row.runs) != (confusion.arm, confusion.test, 1):
                continue
            for column, cell in row.cells.items():
                value = _metric_of(column, row, confusion)
                if value is not None and value[0] not in _allowed(column, row):
                    steps.append(f"{row}: {column} {cell}; from the matrix {value[1]} = {decimal(value[0])}")
        if steps:
            told = f"The printed confusion matrix of '{confusion.arm}' contradicts its metrics."
            resolve = "which of the two is of the final model"
            yield Finding("impossible", "printed matrix", confusion.where, told, tuple(steps), resolve)


def relabelled_cells(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Cells that hold, to three digits or more, a metric that the matrix's arm also prints under its right name.

    One such cell may be chance; two or more cells with the same digits are reported.
    """
    for confusion in paper.matrices:
        positive = next((row.positive for row in paper.rows if row.arm == confusion.arm and row.positive), None)
        if len(confusion.classes) != 2 or positive not in confusion.classes:
            continue
        matrix = _binary(confusion, positive)
        printed = {
            column.metric
            for row in paper.called(confusion.arm)
            for column, cell in row.cells.items()
            if column.metric in RATIOS and not column.group and matrix.metric(column.metric) in cell.span
        }
        found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for row in (row for row in paper.rows if row.test == confusion.test and row.positive == positive):
            for column, cell in row.cells.items():
                sharp = column.metric in SHARES and not column.group and cell.unit * 1000 <= 1
                if not sharp or (column.metric in RATIOS and matrix.metric(column.metric) in cell.span):
                    continue
                for name in sorted(printed - {column.metric}):
                    if matrix.metric(name) in cell.span:
                        found[column.metric, cell.text, name].append(str(row))
        for (metric, text, name), places in found.items():
            if len(places) > 1:
                value = matrix.metric(name)
                assert value is not None
                steps = (
                    f"from the matrix ({matrix}): {name} = {decimal(value, 5)}",
                    f"printed as {metric} {text} in {'; '.join(places)}",
                )
                told = f"What is printed as {metric} is the {name} of the confusion matrix."
                resolve = f"the {metric} of these rows"
                yield Finding("doubtful", "relabelled cells", confusion.where, told, steps, resolve)


def _differ(cells: list[Printed]) -> bool:
    return any(not a.span.meets(b.span) for a, b in combinations(cells, 2))


def _follows(column: Column, columns: list[Column]) -> bool:
    """Return whether a metric follows from others that are there: F1 from precision and recall."""
    return column.metric == "f1" and all(Column(name, column.group) in columns for name in ("precision", "recall"))


def _chance(column: Column, cell: Printed, sets: Sets, test: str) -> float:
    """Return the chance that two equally good arms print the same digits."""
    counts = sets.counts(test) or {}
    n = counts.get(column.group or "", 0) or sets.total(test) or 0
    share = min(max(float(cell.value), 1 / (n + 2)), 1 - 1 / (n + 2))
    spread = math.sqrt(share * (1 - share) / n)
    return min(max(float(cell.unit), 1 / n) / (spread * math.sqrt(2 * math.pi)), 1.0)


def _at_least(number: int, chances: list[float]) -> float:
    """Return the chance that at least `number` of independent events happen (the Poisson-binomial tail)."""
    exactly = [1.0]
    for chance in chances:
        exactly = [
            (exactly[k] * (1 - chance) if k < len(exactly) else 0.0) + (exactly[k - 1] * chance if k else 0.0)
            for k in range(len(exactly) + 1)
        ]
    return sum(exactly[number:])


def _allowed(column: Column, row: Row) -> Span:
    """Return the span of a cell; that of an F1 is wider by what the rounding of precision and recall may have done."""
    span = row.cells[column].span
    sources = [row.cells.get(Column(name, column.group)) for name in ("precision", "recall")]
    spans = [cell.span.within(0, 1) for cell in sources if cell]
    if column.metric != "f1" or len(spans) < 2:
        return span
    through = hull(harmonic(*corner) for corner in image(spans))
    return Span(span.low - (through.high - through.low), span.high + (through.high - through.low))


def _against_counts(confusion: Confusion, sets: Sets) -> Iterator[Finding]:
    known = sets.counts(confusion.test)
    if not known:
        return
    rows = {name: sum(row) for name, row in zip(confusion.classes, confusion.actual, strict=True)}
    columns = {name: sum(row) for name, row in zip(confusion.classes, turned(confusion.actual), strict=True)}
    if rows == {name: known.get(name, 0) for name in rows} and sum(known.values()) == sum(rows.values()):
        return
    steps = [
        f"{name}: {' + '.join(f'{count:,}' for count in row)} = {sum(row):,} actual; "
        f"the test set has {known.get(name, 0):,}"
        for name, row in zip(confusion.classes, confusion.actual, strict=True)
    ]
    if columns == {name: known.get(name, 0) for name in columns}:
        steps.append("the other sums fit: actual and predicted are exchanged")
    told = "The confusion matrix has other class counts than its test set."
    resolve = "the axes of the matrix, and its test images"
    yield Finding("impossible", "printed matrix", confusion.where, told, tuple(steps), resolve)


def _binary(confusion: Confusion, positive: str) -> Matrix:
    """Return a class against all others."""
    at, actual = confusion.classes.index(positive), confusion.actual
    tp, row, column = actual[at][at], sum(actual[at]), sum(line[at] for line in actual)
    return Matrix(tp, row - tp, column - tp, sum(map(sum, actual)) - row - column + tp)


def _metric_of(column: Column, row: Row, confusion: Confusion) -> tuple[Fraction, str] | None:
    """Return a metric of a matrix and how it follows, None where it does not or is not of one class."""
    if column == ACCURACY:
        right, total = sum(line[at] for at, line in enumerate(confusion.actual)), sum(map(sum, confusion.counts))
        return (Fraction(right, total), f"{right:,}/{total:,}") if total else None
    positive = column.group or row.positive
    if column.metric not in RATIOS or positive not in confusion.classes:
        return None
    matrix = _binary(confusion, positive)
    above, below = (sum(w * c for w, c in zip(weights, matrix.cells, strict=True)) for weights in RATIOS[column.metric])
    return (Fraction(above, below), f"{above:,}/{below:,}") if below else None
