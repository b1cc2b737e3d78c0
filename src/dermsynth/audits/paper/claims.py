"""What a paper claims, against the noise of its test set: better than a baseline, best of many, a trend."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy.special import stdtr

from dermsynth.audits.paper.finding import Finding
from dermsynth.audits.paper.model import AVERAGES, LOWER_IS_BETTER, Column, Comparison, Paper, Row
from dermsynth.audits.paper.printed import decimal
from dermsynth.audits.paper.sets import Sets
from dermsynth.audits.paper.views import ACCURACY
from dermsynth.metrics.multiplicity import chance_of_best, expected_best

CONFIDENT_Z = 1.959964
LEAST_CORRELATED = 8
WIDE = 0.1
_VALIDATION = Column("validation accuracy")


def comparisons(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Every claimed improvement: its direction, its size in standard errors, and the best of k against noise."""
    for claim in paper.comparisons:
        steps, failed = [], []
        for metric in claim.metrics:
            column = paper.column(metric, claim.where)
            base = [row for row in paper.called(claim.baseline) if column in row.cells]
            arms = _arms(paper, claim, column, base)
            if not base or not arms:
                continue
            told, doubt = (_one if len(arms) == 1 else _best_of)(column, base, arms, sets)
            steps += told
            failed += [f"{column}: {doubt}"] if doubt else []
        if steps:
            where = f"{claim.where}: {', '.join(claim.arms or ['every arm'])} against {claim.baseline}"
            said = "; ".join(failed) if failed else "The numbers agree with the claim"
            resolve = "several runs of every arm with different seeds, on real images that all arms share"
            yield Finding("doubtful" if failed else "note", "comparison", where, f"{said}.", tuple(steps), resolve)


def trends(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Correlation of every metric with every factor that the rows of a table vary."""
    for table in paper.tables:
        rows = paper.rows_in(table.where)
        tests: list[tuple[str, Column, list[tuple[float, float]]]] = []
        for factor in dict.fromkeys(name for row in rows for name in row.factors):
            for column in dict.fromkeys(column for row in rows for column in row.cells):
                with_both = [row for row in rows if column in row.cells and factor in row.factors]
                pairs = [(row.factors[factor], float(row.cells[column].value)) for row in with_both]
                if len(pairs) >= LEAST_CORRELATED and all(len(set(values)) > 1 for values in zip(*pairs, strict=True)):
                    tests.append((factor, column, pairs))
        steps, rising = [], []
        for factor, column, pairs in tests:
            r = float(np.corrcoef(np.array(pairs).T)[0, 1])
            t = r * math.sqrt((len(pairs) - 2) / max(1 - r**2, 1e-12))
            p = min(2 * float(stdtr(len(pairs) - 2, -abs(t))) * len(tests), 1.0)
            if p < 0.01:
                rising.append(f"{column} {'rises' if r > 0 else 'falls'} with {factor}")
            steps.append(
                f"{column} with {factor}: r = {decimal(r, 2)} over {len(pairs)} rows, p {_told(p)} "
                f"(times {len(tests)} tests); means {_means(pairs)}"
            )
        if steps:
            said = "; ".join(rising) if rising else "No metric follows what was varied"
            still = [c for _, c, _ in tests if c == ACCURACY and not any(text.startswith(f"{c} ") for text in rising)]
            if still and any(" recall rises" in text for text in rising):
                said += ", accuracy does not"
                steps.append("more training images of a class raise its recall also when they show nothing new")
            resolve = "a control with as many repeated real images, or class weights, in place of what was added"
            yield Finding("note", "trend", table.where, f"{said}.", tuple(steps), resolve)


def validation_against_test(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Validation and test accuracy of one arm, further apart than two samples of the test set's size are."""
    for row in paper.rows:
        n, test, validation = sets.total(row.test), row.cells.get(ACCURACY), row.cells.get(_VALIDATION)
        if n and test and validation:
            gap = float(validation.value - test.value)
            spread = _spread([float(test.value), float(validation.value)], [n, n])
            # the accuracy on validation images is selected for, so that a small excess is usual
            if spread and abs(gap) / spread > 3:
                steps = (
                    f"validation {validation}, test {test}: difference {gap:+.4f}",
                    f"standard error with {n:,} test images and as many for validation: {decimal(spread)}",
                    f"{decimal(abs(gap) / spread, 1)} standard errors",
                )
                told = "Validation and test accuracy are not of the same kind of images, or one of them is wrong."
                resolve = "the size of the validation set, and how both were drawn"
                yield Finding("doubtful", "validation against test", str(row), told, steps, resolve)


def few_images(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Classes so rare in a test set that a printed recall of them is uncertain by 10 points or more."""
    for test in paper.sets:
        recalls: dict[str, list[float]] = defaultdict(list)
        for row in (row for row in paper.rows if row.test == test):
            for column, cell in row.cells.items():
                if column.metric == "recall" and column.group not in (None, *AVERAGES):
                    recalls[column.group].append(float(cell.value))
        steps = []
        for name, values in recalls.items():
            n, middle = (sets.counts(test) or {}).get(name, 0), sorted(values)[len(values) // 2]
            if n and (half := CONFIDENT_Z * math.sqrt(middle * (1 - middle) / n)) > WIDE:
                steps.append(
                    f"{name}, n = {n:,}: 1.96 × sqrt({decimal(middle)} × {decimal(1 - middle)} / {n:,}) "
                    f"= ± {decimal(100 * half, 1)} points"
                )
        if steps:
            told = "Single classes have too few test images for a claim about them."
            yield Finding("note", "few test images", test, told, tuple(steps), "more test images of these classes")


def _arms(paper: Paper, claim: Comparison, column: Column, base: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of every compared arm by its name."""
    if claim.arms is None:
        own, test = {row.arm for row in base}, {row.test for row in base}
        found = [row for row in paper.rows if row.arm not in own and row.test in test and column in row.cells]
        return {str(row): [row] for row in found}
    named = {name: [row for row in paper.called(name) if column in row.cells] for name in claim.arms}
    return {name: rows for name, rows in named.items() if rows}


def _one(column: Column, base: list[Row], arms: dict[str, list[Row]], sets: Sets) -> tuple[list[str], str]:
    """Return the steps for one arm against the baseline, and what is doubtful."""
    ((_, rows),) = arms.items()
    steps, gains, noise = [], [], ""
    for a, b in {(a.cells[column].value, b.cells[column].value): (a, b) for a in rows for b in base}.values():
        gain = _gain(column, a, b)
        gains.append(gain)
        sizes = [_size(column, row, sets) for row in (b, a)]
        step = f"{column}: {a.cells[column]} ({a}) against {b.cells[column]} ({b}): {gain:+.4f}"
        if all(sizes):
            values = [float(row.cells[column].value) for row in (b, a)]
            spread = _spread(values, sizes)
            z = gain / spread if spread else math.inf
            step += (
                f"; n = {sizes[0]:,} and {sizes[1]:,}, standard error {decimal(spread)}, z = {decimal(z, 2)}, "
                f"95 % half-width {decimal(100 * CONFIDENT_Z * spread, 1)} points"
            )
            if abs(z) < CONFIDENT_Z:
                noise = "the gain is within the noise of the test set"
                if a.test == b.test and (won := round(gain * sizes[0])) > 0:
                    step += f"; a paired test on the same images can give p = {2.0 ** (1 - won):.2g} at best, with "
                    step += f"{won:,} more right and none more wrong"
        if a.test != b.test:
            step += f"; the two are tested on different images ('{b.test}', '{a.test}')"
        steps.append(step)
    if max(gains) > 0 > min(gains):
        return steps, "better or worse depending on which printed number is taken"
    if max(gains) <= 0:
        return steps, "claimed better, printed as no better" if max(gains) == 0 else "claimed better, printed as worse"
    return steps, noise


def _best_of(column: Column, base: list[Row], arms: dict[str, list[Row]], sets: Sets) -> tuple[list[str], str]:
    """Return the steps for the best of several arms: its gain against the largest of as many draws of noise."""
    gains = {name: _gain(column, rows[0], base[0]) for name, rows in arms.items()}
    k, mean = len(gains), sum(gains.values()) / len(gains)
    spread = math.sqrt(sum((gain - mean) ** 2 for gain in gains.values()) / (k - 1))
    best = max(gains, key=lambda name: gains[name])
    expected = expected_best(k)
    chance = chance_of_best((gains[best] - min(mean, 0)) / spread, k) if spread else float(gains[best] <= 0)
    signs = [sum(gain > 0 for gain in gains.values()), sum(gain == 0 for gain in gains.values())]
    steps = [
        f"{column}: {k} arms against {base[0].cells[column]} ({base[0]}): {signs[0]} above, {signs[1]} equal, "
        f"{k - sum(signs)} below; mean gain {mean:+.4f}, standard deviation between arms {decimal(spread)}",
        f"{column}: the best is {best}, {gains[best]:+.4f}",
        f"{column}: the largest of {k} draws of noise with that deviation is expected at {decimal(expected, 2)} × "
        f"{decimal(spread)} = {expected * spread:+.4f}; chance of {gains[best]:+.4f} or more {decimal(chance, 3)}",
    ]
    if n := _size(column, base[0], sets):
        value = float(base[0].cells[column].value)
        if 0 < value < 1:
            steps.append(f"{column}: standard error from {n:,} test images alone {decimal(_spread([value], [n]))}")
    if gains[best] <= 0:
        return steps, f"none of {k} arms is better"
    return steps, f"the best of {k} is no better than the best of {k} draws of noise" if chance > 0.05 else ""


def _gain(column: Column, arm: Row, base: Row) -> float:
    """Return how much better an arm is printed to be, for any metric a positive number."""
    difference = float(arm.cells[column].value - base.cells[column].value)
    return -difference if column.metric in LOWER_IS_BETTER else difference


def _size(column: Column, row: Row, sets: Sets) -> int:
    """Return the test images that a metric is a share of; 0 if they are unknown or their number is not fixed."""
    counts, positive = sets.counts(row.test) or {}, column.group or row.positive or ""
    if column.metric == "recall":
        return counts.get(positive, 0)
    if column.metric == "specificity":
        return sum(counts.values()) - counts[positive] if positive in counts else 0
    return (sets.total(row.test) or 0) if column == ACCURACY else 0


def _spread(shares: list[float], sizes: list[int]) -> float:
    """Return the standard error of a share, or of the difference of two on independent images."""
    return math.sqrt(sum(share * (1 - share) / n for share, n in zip(shares, sizes, strict=True)))


def _told(p: float) -> str:
    return f"= {decimal(p, 3)}" if p >= 0.001 else "< 0.001"


def _means(pairs: list[tuple[float, float]]) -> str:
    by_level: dict[float, list[float]] = defaultdict(list)
    for level, value in pairs:
        by_level[level].append(value)
    return ", ".join(f"{decimal(sum(v) / len(v))} ({level:g})" for level, v in sorted(by_level.items()))
