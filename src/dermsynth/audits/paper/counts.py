"""Printed metrics against the number of test images: k/n, whole confusion matrices, and the prevalence they imply."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from dermsynth.audits.paper.finding import Finding
from dermsynth.audits.paper.matrix import RATIOS, Matrix, Solutions, solve
from dermsynth.audits.paper.model import EITHER, Column, Paper, Row
from dermsynth.audits.paper.printed import Printed, Span, decimal, hull, image
from dermsynth.audits.paper.sets import UNLIKELY_Z, Sets
from dermsynth.audits.paper.views import ACCURACY, View, views

SMALLEST_PART = 0.1
"""Where only the whole of a test set is known, its sampling error is taken to be that of a tenth of it."""

_LISTED = 3
_TRANSPOSED_NAMES = {"recall": "precision", "precision": "recall", "specificity": "npv", "npv": "specificity"}
_NAMES = {"npv": "negative predictive value", "f1": "F1"}


def fractions_of_n(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """An accuracy on n images is k/n, a recall k / (images of its class); the mean of r runs has r times as many."""
    told = set()
    for table in paper.tables:
        steps = []
        for row in paper.rows_in(table.where):
            for column, cell in row.cells.items():
                n = _denominator(row, column, sets)
                again = (row.arm, row.test, column, cell.value)
                if n and again not in told and not _is_fraction(cell.span, n * row.runs):
                    told.add(again)
                    k = math.floor(cell.value * n * row.runs)
                    n *= row.runs
                    steps.append(
                        f"{row}: {column} {cell} stands for {cell.span}; {k:,}/{n:,} = {decimal(k / n, 5)}, "
                        f"{k + 1:,}/{n:,} = {decimal((k + 1) / n, 5)}" + _elsewhere(cell, column, sets, row)
                    )
        if steps:
            yield Finding(
                "impossible",
                "k/n",
                table.where,
                "No number of right answers gives these shares of the stated test images.",
                tuple(steps),
                "the images that each number was computed on; whether it is a mean over batches, folds or runs",
            )


def matrices(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Rebuild every confusion matrix; where none fits as labelled, look for labels under which one does.

    Where no labels help, name the prevalence that the metrics imply, and otherwise only that nothing fits.
    """
    follows: dict[str, list[str]] = defaultdict(list)
    relabelled: dict[str, list[str]] = defaultdict(list)
    nothing: dict[str, list[str]] = defaultdict(list)
    for view in views(paper, sets):
        if not view.counts or view.row.runs > 1:
            continue
        where, readings = view.row.where, _readings(view)
        fitting = [reading for reading in readings if len(reading.solutions)]
        if any(reading.as_labelled for reading in fitting):
            if view.binary and len(view.metrics) > 1:
                follows[where] += [f"{view}: {reading.told(view)}" for reading in fitting if reading.as_labelled]
        elif fitting:
            relabelled[where] += [f"{view}: {_why_not(view)}", *(_relabelled(view, reading) for reading in fitting)]
        elif all(_is_fraction(cell.span, _size(view, name)) for name, cell in view.metrics.items() if name in _SIZES):
            prevalence = implied_prevalence(view)
            if prevalence and _prevalence_of(view) not in prevalence[0]:
                continue  # the check of prevalences says more
            nothing[where].append(f"{view}: {_why_not(view)}")
    for where, steps in relabelled.items():
        yield Finding(
            "impossible",
            "confusion matrix",
            where,
            "No confusion matrix has these metrics as labelled; under other labels there is one.",
            tuple(steps),
            "the confusion matrix with its axes named, and which class is positive",
        )
    for where, steps in nothing.items():
        yield Finding(
            "impossible",
            "confusion matrix",
            where,
            "No confusion matrix of the stated test images has these metrics.",
            tuple(steps),
            "the confusion matrix; whether all metrics are of one run, one threshold and this test set",
        )
    for where, steps in follows.items():
        yield Finding(
            "note",
            "confusion matrix",
            where,
            "Confusion matrices that follow from the metrics and the class counts.",
            tuple(steps),
            "nothing: a printed matrix should be among these",
        )


def prevalences(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """The share of positive images that the metrics of a row imply, against the stated one and between rows."""
    by_test: dict[tuple[str, str], list[View]] = defaultdict(list)
    for view in views(paper, sets):
        if view.row.test and view.row.runs == 1 and len(view.positives) == 1:
            by_test[view.row.test, view.positives[0]].append(view)
    for (test, positive), found in by_test.items():
        known = sets.counts(test)
        implied = [(view, *told) for view in found if (told := implied_prevalence(view))]
        if known:
            stated = Fraction(known.get(positive, 0), sum(known.values()))
            off = [(view, span, how) for view, span, how in implied if stated not in span and not _fits(view)]
            against = [
                f"'{test}': {known.get(positive, 0):,} of {sum(known.values()):,} are {positive} = {decimal(stated)}"
            ]
            said = f"These metrics imply another share of {positive} than the test set has."
        else:
            off = implied
            against, said = _against_whole(test, positive, [span for _, span, _ in implied], sets)
        if not off:
            continue
        steps = [f"{view}: {how}" for view, _, how in off]
        common = Span(max(span.low for _, span, _ in off), min(span.high for _, span, _ in off))
        disagree = common.low > common.high
        if len(off) > 1:
            agree = "no one prevalence fits them all" if disagree else f"all lie in {common}"
            steps.append(f"{len(off)} rows of one test set: {agree}")
        if not said and not disagree:
            continue
        said = said or f"The rows of one test set imply different shares of {positive}."
        yield Finding(
            "impossible" if known or disagree else "doubtful",
            "implied prevalence",
            test,
            said,
            (*steps, *against),
            "the images of each class that these numbers were computed on, and how many of them are synthetic",
        )


def implied_prevalence(view: View) -> tuple[Span, str] | None:
    """Return the share of positive images that three metrics imply, and how it follows; None if it does not."""
    for names, formula, text in _PREVALENCES:
        cells = [view.metrics.get(name) for name in names]
        found = [cell for cell in cells if cell]
        if len(found) < len(names):
            continue
        corners = [formula(*corner) for corner in image(cell.span.within(0, 1) for cell in found)]
        exact = formula(*(cell.value for cell in found))
        shares = [share for share in corners if share is not None]
        if exact is None or len(shares) < len(corners):
            continue
        span = hull(shares)
        values = ", ".join(f"{_NAMES.get(name, name)} {cell}" for name, cell in zip(names, found, strict=True))
        return span, f"{values}: {text} = {decimal(exact)}, with rounding {span}"
    return None


def _from_accuracy(accuracy: Fraction, precision: Fraction, recall: Fraction) -> Fraction | None:
    # wrong / n = π (FN/P + FP/P), with FN/P = 1 - recall and FP/P = recall (1 - precision) / precision
    if not precision:
        return None
    wrong = 1 - recall + recall * (1 - precision) / precision
    return (1 - accuracy) / wrong if wrong else None


def _from_specificity(recall: Fraction, specificity: Fraction, precision: Fraction) -> Fraction | None:
    # precision / (1 - precision) = recall π / ((1 - specificity) (1 - π))
    above, below = precision * (1 - specificity), recall * (1 - precision)
    return above / (above + below) if above + below else None


_Formula = Callable[[Fraction, Fraction, Fraction], Fraction | None]
_PREVALENCES: tuple[tuple[tuple[str, str, str], _Formula, str], ...] = (
    (("recall", "specificity", "precision"), _from_specificity, "P (1 - Sp) / (P (1 - Sp) + R (1 - P))"),
    (("accuracy", "precision", "recall"), _from_accuracy, "(1 - acc) / (1 - R + R (1 - P) / P)"),
)


def _against_whole(test: str, positive: str, implied: list[Span], sets: Sets) -> tuple[list[str], str]:
    """Return the steps that hold implied prevalences against the set that the test set is a part of."""
    whole = sets.whole_of(test)
    counts = sets.counts(whole)
    if not whole or not counts or not implied:
        return [], ""
    n, count = sum(counts.values()), counts.get(positive, 0)
    share = count / n
    spread = math.sqrt(share * (1 - share) / (SMALLEST_PART * n))
    nearest = min(implied, key=lambda span: max(span.low - share, share - span.high))
    off = max(float(nearest.low) - share, share - float(nearest.high))
    if off <= UNLIKELY_Z * spread:
        return [], ""
    middle = float(sum(span.low + span.high for span in implied) / (2 * len(implied)))
    added = (middle * n - count) / (1 - middle)
    steps = [
        f"'{whole}', which '{test}' is a part of: {count:,} of {n:,} are {positive} = {decimal(share)}",
        f"the share in a random tenth of it would be {decimal(share)} ± {decimal(spread)}; "
        f"these are {decimal(off / spread, 1)} standard errors off or more",
    ]
    if added > 0:
        steps.append(
            f"adding x images of {positive} gives that share where ({count:,} + x) / ({n:,} + x) = {decimal(middle)}: "
            f"x = {round(added):,}"
        )
    return steps, f"These metrics imply another share of {positive} than the images that the test set was drawn from."


@dataclass(frozen=True)
class _Reading:
    positive: str
    transposed: bool
    as_labelled: bool
    solutions: Solutions

    def told(self, view: View) -> str:
        found = list(self.solutions) if len(self.solutions) <= _LISTED else []
        which = f"positive = {self.positive}" if len(view.positives) > 1 or not self.as_labelled else ""
        if self.transposed:
            which += ", actual and predicted exchanged"
        fits = self.solutions
        many = "exactly one" if len(fits) == 1 else f"{len(fits):,} fit"
        listed = "; ".join(map(str, found)) or (
            f"TP {fits.tp.min():,} to {fits.tp.max():,}, TN {fits.tn_low.min():,} to {fits.tn_high.max():,}"
        )
        return f"{which}{': ' if which else ''}{many}: {listed}"


def _readings(view: View) -> list[_Reading]:
    """Solve the view as labelled, and, only if nothing fits, under every other labelling of two classes."""
    labelled = [_solved(view, positive, False, True) for positive in view.positives]
    if any(len(reading.solutions) for reading in labelled) or not view.binary:
        return labelled
    others = [name for name in view.counts or () if name not in view.positives]
    exchanged = [_solved(view, positive, True, False) for positive in (*view.positives, *others)]
    return [*labelled, *exchanged, *(_solved(view, positive, False, False) for positive in others)]


def _solved(view: View, positive: str, transposed: bool, as_labelled: bool) -> _Reading:
    spans = {name: cell.span.within(0, 1) for name, cell in view.metrics.items()}
    if {"precision", "recall"} <= set(spans):
        spans.pop("f1", None)  # many authors compute it from their rounded P and R; the F1 identity allows for that
    return _Reading(positive, transposed, as_labelled, solve(*view.sizes(positive), spans, transposed=transposed))


def _fits(view: View) -> bool:
    return any(reading.as_labelled and len(reading.solutions) for reading in _readings(view))


def _why_not(view: View) -> str:
    metrics = ", ".join(f"{_NAMES.get(name, name)} {cell}" for name, cell in view.metrics.items())
    sizes = " or ".join(f"{p:,} {name} and {n:,} others" for name in view.positives for p, n in [view.sizes(name)])
    return f"no whole TP, FN, FP, TN with {sizes} give {metrics}"


def _relabelled(view: View, reading: _Reading) -> str:
    told = reading.told(view)
    if len(reading.solutions) == 1:
        (matrix,) = reading.solutions
        named = _TRANSPOSED_NAMES if reading.transposed else {}
        for name, cell in view.metrics.items():
            truth = named.get(name, name)
            if truth != name:
                told += f"; printed {_NAMES.get(name, name)} {cell} is "
                told += f"{_NAMES.get(truth, truth)} = {_fraction(matrix, truth)}"
        told += f"; recall of {reading.positive} = {_fraction(matrix, 'recall')}, of the others = "
        told += _fraction(matrix, "specificity")
    return told


def _fraction(matrix: Matrix, name: str) -> str:
    above, below = (sum(w * c for w, c in zip(weights, matrix.cells, strict=True)) for weights in RATIOS[name])
    return f"{above}/{below} = {decimal(above / below)}" if below else f"{above}/{below}"


_SIZES = ("accuracy", "recall", "specificity")


def _size(view: View, name: str) -> int:
    positives, negatives = view.sizes(view.positives[0])
    return {"accuracy": positives + negatives, "recall": positives, "specificity": negatives}[name]


def _prevalence_of(view: View) -> Fraction:
    positives, negatives = view.sizes(view.positives[0])
    return Fraction(positives, positives + negatives)


def _denominator(row: Row, column: Column, sets: Sets) -> int | None:
    if column == ACCURACY:
        return sets.total(row.test)
    counts = sets.counts(row.test)
    positive = column.group or row.positive
    if (
        not counts
        or positive in (None, EITHER)
        or positive not in counts
        or column.metric not in ("recall", "specificity")
    ):
        return None
    return counts[positive] if column.metric == "recall" else sum(counts.values()) - counts[positive]


def _is_fraction(span: Span, n: int) -> bool:
    return math.ceil(span.low * n) <= math.floor(span.high * n)


def _elsewhere(cell: Printed, column: Column, sets: Sets, row: Row) -> str:
    """Return the other sets whose size allows an accuracy; for large ones that says little."""
    if column != ACCURACY:
        return ""
    found = []
    for name, known in sets.known.items():
        n = known.total or 0
        k = round(float(cell.value) * n)
        if name != row.test and n and Fraction(k, n) in cell.span:
            chance = float(cell.span.high - cell.span.low) * n
            found.append(f"{k:,}/{n:,} ({name}" + (", where almost any share fits)" if chance > 0.5 else ")"))
    return f"; possible as {' or '.join(found)}" if found else ""
