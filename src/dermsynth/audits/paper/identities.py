"""What one printed metric says about another: F1 from precision and recall, accuracy from recalls and class counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from dermsynth.audits.paper.finding import Finding
from dermsynth.audits.paper.model import AVERAGES, EITHER, Column, Paper, Row
from dermsynth.audits.paper.printed import Printed, Span, decimal, hull, image
from dermsynth.audits.paper.sets import Sets
from dermsynth.audits.paper.views import ACCURACY


def f1_from_precision_and_recall(paper: Paper, _: Sets) -> Iterator[Finding]:
    """F1 = 2PR / (P + R) for one class in one run.

    The mean of F1s over classes, folds or runs is at most that of the mean P and the mean R, because the harmonic mean
    is concave; below it, a mean F1 may be anything.
    """
    for table in paper.tables:
        steps, certain = [], False
        for row in paper.rows_in(table.where):
            for group in dict.fromkeys(column.group for column in row.cells):
                found = [row.cells.get(Column(name, group)) for name in ("precision", "recall", "f1")]
                precision, recall, f1 = found
                if not (precision and recall and f1):
                    continue
                of_class = row.runs == 1 and (group or row.positive) not in (None, *AVERAGES)
                span = hull(
                    harmonic(*corner) for corner in image((precision.span.within(0, 1), recall.span.within(0, 1)))
                )
                if f1.span.low > span.high or (of_class and f1.span.high < span.low):
                    certain = certain or of_class or group in AVERAGES
                    exact = harmonic(precision.value, recall.value)
                    named = f"{row}, {group}" if group else str(row)
                    steps.append(
                        f"{named}: 2 × {precision} × {recall} / ({precision} + {recall}) = {decimal(exact)}; "
                        f"with their rounding {span}; printed {f1}"
                        + ("" if of_class else ", and no mean F1 can be above")
                    )
        if steps:
            told = "F1 does not follow from precision and recall."
            resolve = "the confusion matrix; whether the three numbers are of one model, one class and one run"
            yield Finding(
                "impossible" if certain else "doubtful", "F1 identity", table.where, told, tuple(steps), resolve
            )


def accuracy_from_recalls(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Accuracy = Σ recall × class count / Σ class count; predictions of all classes add up to the test images."""
    for table in paper.tables:
        counts = sets.counts(table.test)
        if not counts:
            continue
        steps = []
        for row in paper.rows_in(table.where):
            recalls = per_class(row, "recall", tuple(counts))
            if not recalls:
                continue
            right = {c: _whole(cell.span, counts[c] * row.runs) for c, cell in recalls.items()}
            total = sum(counts.values()) * row.runs
            low, high = (math.ceil(sum(r.low for r in right.values())), math.floor(sum(r.high for r in right.values())))
            accuracy = row.cells.get(ACCURACY)
            if accuracy and not accuracy.span.meets(Span(Fraction(low, total), Fraction(high, total))):
                terms = " + ".join(f"{cell} × {counts[c]:,}" for c, cell in recalls.items())
                steps.append(
                    f"{row}: ({terms}) / {total:,} = {decimal(_mean(recalls, counts))}; in whole images {low:,} to "
                    f"{high:,} right, {decimal(low / total)} to {decimal(high / total)}; printed {accuracy}"
                )
            precisions = per_class(row, "precision", tuple(counts))
            if precisions and row.runs == 1:
                said = [_predictions(right[c], cell.span, total) for c, cell in precisions.items()]
                fewest, most = math.ceil(sum(s.low for s in said)), math.floor(sum(s.high for s in said))
                if not fewest <= total <= most:
                    steps.append(
                        f"{row}: right / precision is the number of predictions of a class; over all classes "
                        f"{fewest:,} to {most:,}, but there are {total:,} test images"
                    )
        if steps:
            told = "Accuracy, recalls, precisions and class counts contradict each other."
            resolve = "the confusion matrix, and the test images of each class"
            yield Finding("impossible", "accuracy from recalls", table.where, told, tuple(steps), resolve)


def averages_over_classes(paper: Paper, sets: Sets) -> Iterator[Finding]:
    """Macro recall, balanced accuracy and macro F1 from the classes; derived where they are not printed."""
    for table in paper.tables:
        classes = tuple(sets.counts(table.test) or ())
        wrong, derived = [], []
        for row in paper.rows_in(table.where):
            recalls = per_class(row, "recall", classes)
            if not recalls:
                continue
            told = [
                ("balanced accuracy", _average([cell.span for cell in recalls.values()]), _exact(recalls)),
                *_macro_f1(row, classes),
            ]
            for name, span, value in told:
                columns = (
                    (Column(name), Column("recall", "macro"))
                    if name == "balanced accuracy"
                    else (Column("f1", "macro"),)
                )
                cells = [row.cells[column] for column in columns if column in row.cells]
                wrong += [
                    f"{row}: the mean of {len(classes)} classes is {decimal(value)}, with rounding {span}; "
                    f"printed {cell}"
                    for cell in cells
                    if row.runs == 1 and not cell.span.meets(span)
                ]
            if ACCURACY in row.cells and Column("balanced accuracy") not in row.cells:
                values = ", ".join(f"{name} {decimal(value)}" for name, _, value in told)
                derived.append((told[0][2], f"{row}: accuracy {row.cells[ACCURACY]}, {values}"))
        if wrong:
            said = "An average over classes is not the mean of its classes."
            resolve = "which average it is: over classes, or weighted by their counts"
            yield Finding("impossible", "averages", table.where, said, tuple(wrong), resolve)
        if derived:
            steps = tuple(step for _, step in sorted(derived, key=lambda found: -found[0]))
            said = "Balanced accuracy follows from the printed recalls; accuracy is led by the largest class."
            yield Finding("note", "averages", table.where, said, steps, "nothing: these follow from what is printed")


def harmonic(precision: Fraction, recall: Fraction) -> Fraction:
    """Return the harmonic mean, 0 if both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else Fraction(0)


def per_class(row: Row, metric: str, classes: tuple[str, ...]) -> dict[str, Printed]:
    """Return a metric of every class, empty if it is not printed for all of them."""
    found = {name: row.cells.get(Column(metric, name)) for name in classes}
    if row.positive in classes or (row.positive == EITHER and classes):
        return {}
    return {name: cell for name, cell in found.items() if cell} if all(found.values()) else {}


def _whole(span: Span, n: int) -> Span:
    """Return how many of n may be right: whole numbers where there is one in the span, otherwise what the span says."""
    low, high = math.ceil(span.low * n), math.floor(span.high * n)
    return Span(Fraction(low), Fraction(high)).within(0, n) if low <= high else Span(span.low * n, span.high * n)


def _predictions(right: Span, precision: Span, total: int) -> Span:
    """Return how many predictions of a class there may be, from how many are right and the share that is."""
    fewest = Fraction(math.ceil(right.low / min(precision.high, Fraction(1)))) if precision.high > 0 else Fraction(0)
    most = Fraction(math.floor(right.high / precision.low)) if precision.low > 0 else Fraction(total)
    return Span(fewest, max(fewest, most))


def _average(spans: list[Span]) -> Span:
    return Span(sum(s.low for s in spans) / Fraction(len(spans)), sum(s.high for s in spans) / Fraction(len(spans)))


def _exact(cells: dict[str, Printed]) -> Fraction:
    return sum((cell.value for cell in cells.values()), Fraction(0)) / len(cells)


def _mean(recalls: dict[str, Printed], counts: dict[str, int]) -> Fraction:
    return sum((cell.value * counts[c] for c, cell in recalls.items()), Fraction(0)) / sum(counts.values())


def _macro_f1(row: Row, classes: tuple[str, ...]) -> list[tuple[str, Span, Fraction]]:
    f1s = per_class(row, "f1", classes)
    if f1s:
        return [("macro F1", _average([cell.span for cell in f1s.values()]), _exact(f1s))]
    precisions, recalls = per_class(row, "precision", classes), per_class(row, "recall", classes)
    if not precisions:
        return []
    pairs = [(precisions[c], recalls[c]) for c in classes]
    spans = [hull(harmonic(*corner) for corner in image((p.span.within(0, 1), r.span.within(0, 1)))) for p, r in pairs]
    return [
        ("macro F1", _average(spans), sum((harmonic(p.value, r.value) for p, r in pairs), Fraction(0)) / len(pairs))
    ]
