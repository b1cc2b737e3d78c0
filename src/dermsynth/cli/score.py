"""`score`: every metric of fits, with intervals, from their predictions alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import Seed, app, command

if TYPE_CHECKING:
    from rich.table import Table

    from dermsynth.classifiers.scorecard import Change, Column, Comparison, Scorecard, Value

    Titled = tuple[str, Table]

NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy (= micro F1)",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "precision_macro": "precision, macro",
    "precision_weighted": "precision, weighted",
    "specificity_macro": "specificity, macro",
    "mcc": "Matthews' correlation",
    "kappa": "Cohen's kappa",
    "auc_macro": "AUC, macro",
    "average_precision_macro": "average precision, macro",
    "brier": "Brier score ↓",
    "ece": "calibration error ↓",
    "ece_equal_mass": "calibration error, equal bins ↓",
    "f1": "F1",
    "auc": "AUC",
    "average_precision": "average precision",
}
BENEFIT_ROWS = (0.02, 0.05, 0.1, 0.2, 0.5)


@command(app, "score")
def score(
    fits: Annotated[list[Path], typer.Argument(metavar="FIT…", help="Fits, or predictions files, of the same images.")],
    part: Annotated[str, typer.Option("--part", metavar="PART", help="The images to score: test or val.")] = "test",
    positive: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="What counts as positive; repeatable, then all of them together."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FIT", help="Show differences from this fit; repeatable for its seeds."),
    ] = None,
    target: Annotated[
        float, typer.Option(metavar="SHARE", help="Sensitivity or specificity that thresholds are chosen for, on val.")
    ] = 0.9,
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Of the intervals.")] = 0.95,
    resamples: Annotated[int, typer.Option(metavar="N", help="Redraws of lesions.")] = 10_000,
    seed: Seed = 0,
    json: Annotated[
        Path | None, typer.Option("--json", help="Also write everything, curves included, to this file.")
    ] = None,
) -> None:
    """Print every metric of fits with its interval.

    Fits that differ in their seed alone are one column. Rows of a confusion matrix are the actual class.
    """
    from rich.console import Console

    from dermsynth.classifiers.scoring import score as run
    from dermsynth.core.artefacts import explained_disk_errors, json_bytes, write_atomically

    found = run(
        fits,
        part=part,
        positive=positive or (),
        against=against or (),
        target=target,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    if json:
        with explained_disk_errors(json):
            write_atomically(json, json_bytes(found.to_json()))
        typer.echo(f"wrote {json}", err=True)
    console = Console(highlight=False)
    console.print(
        f"{found.part}: {found.images:,} images of {found.lesions:,} lesions; {found.confidence:.0%} intervals, "
        f"{found.resamples:,} redraws of lesions"
    )
    for title, table in _tables(found):
        console.print(title, style="bold", markup=False)  # as a table's own title it would wrap in a narrow table
        console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)


def _tables(found: Scorecard) -> Iterable[Titled]:
    yield _overall(found.columns)
    for column in found.columns:
        yield _questions(found, column, "decisions", ("sensitivity", "specificity", "precision", "f1"))
        yield _questions(found, column, "ranking", ("auc", "average_precision"))
        if column.operating:
            yield _operating(found, column)
        yield _confusion(found, column)
        if found.focus:
            yield _benefit(found.focus, column)
    for comparison in found.comparisons:
        yield _differences(comparison)
        if comparison.delong:
            yield _delong(comparison)


def _titled(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Titled:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(Text(heading), justify="left" if heading == headings[0] else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    return title, table


def _overall(columns: Sequence[Column]) -> Titled:
    rows = [(NAMES[name], *(_shown(column.overall[name]) for column in columns)) for name in columns[0].overall]
    for name in ("ece", "ece_equal_mass"):
        floor = ("  if confidences were true", *(f"{column.calibration_floor[name]:.3f}" for column in columns))
        rows.insert([row[0] for row in rows].index(NAMES[name]) + 1, floor)
    return _titled("Overall", ["", *(_told(column) for column in columns)], rows)


def _questions(found: Scorecard, column: Column, about: str, names: Sequence[str]) -> Titled:
    rows = [
        (name, f"{question.images:,} / {question.lesions:,}", *(_shown(column.questions[name][one]) for one in names))
        for name, question in found.questions.items()
    ]
    title = f"{column.name}: {about}, a class against all others"
    return _titled(title, ["positive", "images / lesions", *(NAMES.get(name, name) for name in names)], rows)


def _operating(found: Scorecard, column: Column) -> Titled:
    rows = [
        (
            name,
            _shown(one.sensitivity_at_specificity),
            f"{one.specificity_reached.value:.3f}",
            _shown(one.specificity_at_sensitivity),
            f"{one.sensitivity_reached.value:.3f}",
        )
        for name, one in column.operating.items()
    ]
    return _titled(
        f"{column.name}: thresholds chosen on val for {found.target:g}, judged on {found.part}",
        ["positive", "sensitivity", "at specificity", "specificity", "at sensitivity"],
        rows,
    )


def _confusion(found: Scorecard, column: Column) -> Titled:
    rows = [
        (name, *(f"{count:,}" for count in counts))
        for name, counts in zip(found.classes, column.confusion.counts, strict=True)
    ]
    seeds = f", summed over {len(column.fits)} fits" if len(column.fits) > 1 else ""
    return _titled(f"{column.name}: rows actual, columns predicted{seeds}", ["", *found.classes], rows)


def _benefit(focus: str, column: Column) -> Titled:
    rows = [
        (f"{one.threshold:.0%}", _shown(one.net_benefit), f"{one.of_acting_on_all:.3f}", "0.000")
        for one in column.net_benefit[focus]
        if one.threshold in BENEFIT_ROWS
    ]
    return _titled(
        f"{column.name}: net benefit of acting on {focus} from a probability on",
        ["probability", "acting on the calls", "acting on all", "on nobody"],
        rows,
    )


def _differences(comparison: Comparison) -> Titled:
    def row(name: str, change: Change) -> tuple[str, ...]:
        return name, f"{change.difference:+.3f}", f"{change.low:+.3f} to {change.high:+.3f}", _p(change.p_value)

    rows = [row(NAMES[name], change) for name, change in comparison.overall.items()]
    rows += [row(f"sensitivity, {name}", changes["sensitivity"]) for name, changes in comparison.questions.items()]
    rows += [row(f"AUC, {name}", changes["auc"]) for name, changes in comparison.questions.items()]
    decided = comparison.mcnemar
    if decided:
        told = f"{decided.only_this:,} only here right, {decided.only_against:,} only there"
        rows.append(("McNemar, by image", "", told, _p(decided.p_value)))
    return _titled(f"{comparison.name} minus {comparison.against}", ["", "difference", "interval", "p"], rows)


def _delong(comparison: Comparison) -> Titled:
    rows = [
        (f"AUC, {name}", f"{one.difference:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}", _p(one.p_value))
        for name, one in comparison.delong.items()
    ]
    title = f"{comparison.name} minus {comparison.against}, by DeLong over lesions"
    return _titled(title, ["", "difference", "interval", "p"], rows)


def _told(column: Column) -> str:
    return column.name if len(column.fits) == 1 else f"{column.name}, mean of {len(column.fits)} seeds"


def _shown(value: Value) -> str:
    return f"{value.value:.3f}\n{value.low:.3f}–{value.high:.3f}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
