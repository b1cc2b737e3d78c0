"""`predict`, `explain`, `export-onnx`: what a finished classifier says of images; `preview disagreement`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, Force, Out, Threads, app, command
from dermsynth.cli.data import SHOWN, OnBad
from dermsynth.cli.preview import Figure, Replace, check_free, preview_app

if TYPE_CHECKING:
    from dermsynth.classifiers.apply import Answers

Classifier = Annotated[Path, typer.Argument(metavar="CLASSIFIER", help="A folder of 'dermsynth fit'.")]
Images = Annotated[
    list[Path], typer.Argument(metavar="IMAGE…", help="Image files, folders and zip files of them, or one cohort.")
]
Bad = Annotated[OnBad, typer.Option(help="Leave out images that cannot be decoded, or stop at the first.")]
_ROWS = 20


@command(app, "predict")
def predict(
    classifier: Classifier,
    images: Images,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write a .parquet, .csv or .json file.")
    ] = None,
    on_bad: Bad = OnBad.skip,
    force: Replace = False,
    threads: Threads = CORES,
) -> None:
    """Ask a classifier about images. For research only: no diagnosis.

    Images go through the preprocessing of the classifier's cohort; those unlike what it learnt from are marked.
    """
    from dermsynth.classifiers.apply import NOTICE, check_out
    from dermsynth.classifiers.apply import predict as run
    from dermsynth.cli.progress import bar
    from dermsynth.training.device import set_threads

    if out is not None:
        check_out(out, force=force)
    set_threads(threads)
    with bar("images") as progress:
        found = run(classifier, images, on_bad=on_bad.value, threads=threads, progress=progress)
    _say_bad(found.bad, out)
    _print(found)
    if out is not None:
        found.write(out, force=force)
        typer.echo(f"{out}: {len(found.table):,} images")
    typer.echo(NOTICE, err=True)


@command(app, "explain")
def explain(
    classifier: Classifier,
    images: Images,
    out: Out,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="grad-cam, integrated-gradients or occlusion.")
    ] = "grad-cam",
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Which class to explain.", show_default="the predicted one")
    ] = None,
    on_bad: Bad = OnBad.skip,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Draw what in each image moves a classifier's score. For research only.

    Writes an overlay per image, the maps as numbers, and a sheet: image, overlay, class probabilities.
    """
    from dermsynth.classifiers.apply import NOTICE
    from dermsynth.cli.progress import bar
    from dermsynth.reports.explained import explain as run
    from dermsynth.training.device import set_threads

    set_threads(threads)
    with bar(method) as progress:
        found = run(
            classifier,
            images,
            out,
            method=method,
            label=label,
            on_bad=on_bad.value,
            threads=threads,
            force=force,
            progress=progress,
        )
    _say_bad(found.bad, out)
    typer.echo(f"{out}: {len(found.table):,} overlays, and {out / 'sheet.png'}")
    typer.echo(NOTICE, err=True)


@command(app, "export-onnx")
def export_onnx(
    classifier: Classifier,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The .onnx file to make.", show_default=False)],
    force: Replace = False,
    threads: Threads = CORES,
) -> None:
    """Write a classifier as one ONNX file.

    It goes from pixels to calibrated probabilities. The file is run on 256 images beside torch first, and refused if
    the two differ.
    """
    from dermsynth.classifiers.export_onnx import CHECKED_IMAGES
    from dermsynth.classifiers.export_onnx import export_onnx as run
    from dermsynth.training.device import set_threads

    set_threads(threads)
    made = run(classifier, out, force=force)
    typer.echo(
        f"{made.path}: {made.size_bytes / 1e6:,.1f} MB; probabilities of {CHECKED_IMAGES} images differ from torch's "
        f"by at most {made.difference:.1e}"
    )


@command(preview_app, "disagreement")
def disagreement(
    fit: Annotated[Path, typer.Argument(metavar="FIT", help="A fit, or its predictions file.")],
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Another fit of the same test images.")],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="The cohort of both.")],
    out: Figure,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Images to show.")] = 12,
    force: Replace = False,
) -> None:
    """Draw the test images on which two classifiers differ most.

    A row shows the image and the class probabilities of both. It shows patients if the cohort does.
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.reports.predictions import disagreement as rows
    from dermsynth.reports.sheets import drawn

    check_free(out, force=force)
    found = rows((fit, other), Cohort.open(cohort), count)
    write_atomically(out, drawn(found))
    typer.echo(f"{out}: {len(found)} images, from {found[0].name} on")


def _say_bad(bad: list[dict[str, str]], out: Path | None) -> None:
    for one in bad[:SHOWN]:
        typer.echo(f"left out: {one['reason']}", err=True)
    if len(bad) > SHOWN:
        listed = f", listed in {out}" if out is not None and out.suffix == ".json" else ""
        typer.echo(f"left out: {len(bad) - SHOWN:,} more{listed}", err=True)


def _print(found: Answers) -> None:
    """Print the first answers and a count of each prediction."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # seven classes fit 80 columns
    table.add_column("image", no_wrap=True, overflow="ellipsis", min_width=14)
    table.add_column("predicted")
    for heading in (*found.classifier.classes, "distance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, row in enumerate(found.table.head(_ROWS).iter_rows(named=True)):
        distance = "" if row["distance"] is None else f"{row['distance']:.2f}{'*' if row['unusual'] else ' '}"
        shown = [f"{value:.2f}" for value in found.probabilities[number]]
        # Folders are in the file; here they would push the numbers off the screen.
        table.add_row(Path(row["image_id"]).name, row["predicted"], *shown, distance)
    console = Console(highlight=False, markup=False)
    console.print(table)
    if len(found.table) > _ROWS:
        console.print(f"and {len(found.table) - _ROWS:,} more")
    counts = dict(found.table["predicted"].value_counts().iter_rows())
    told = ", ".join(f"{name} {counts[name]:,}" for name in found.classifier.classes if name in counts)
    odd = int(found.table["unusual"].sum() or 0)
    console.print(f"{len(found.table):,} images: {told}; {odd:,} unlike what the classifier learnt from (*)")
