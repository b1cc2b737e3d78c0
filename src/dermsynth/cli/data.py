"""`ingest` and `split`: from raw files to a cohort with train, val and test."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, Force, Out, Seed, Settings, Threads, app, command, parse_settings

if TYPE_CHECKING:
    from dermsynth.cohorts.sources import SourceConfig


SourceName = Annotated[str, typer.Argument(metavar="SOURCE", help="A data set; docs/data-sets.md has all of them.")]
Root = Annotated[Path | None, typer.Option(help="The folder of the raw files; the phantom has none.")]
Size = Annotated[int, typer.Option(metavar="N", help="Side of the square images in pixels.")]
Steps = Annotated[
    list[str] | None,
    typer.Option(metavar="STEP[:KEY=VALUE,…]", help="Preprocessing, in this order; repeatable. Default: resize."),
]


class OnBad(StrEnum):
    """What to do about an image that cannot be decoded."""

    skip = "skip"
    stop = "stop"


SHOWN = 5
"""Bad images named one by one."""


def chosen_source(source: str, root: Path | None, settings: list[str] | None, seed: int) -> SourceConfig:
    """Return the source that a command names; raises ConfigError for one that needs a root, or has none."""
    from dermsynth.cohorts.sources import source_config
    from dermsynth.core.errors import ConfigError

    instead = {"kind": "the argument SOURCE", "root": "--root"}
    if source == "phantom":
        if root is not None:
            raise ConfigError(f"--root {root}: the phantom is drawn and reads no files; leave --root out")
        return source_config(source, {**parse_settings(settings, {**instead, "seed": "--seed"}), "seed": seed})
    config = source_config(source, {**parse_settings(settings, instead), "root": str(root or "")})
    if root is None:
        raise ConfigError(f"source {source}: give the folder of the raw files with --root")
    return config


def fetch_files(source: SourceConfig) -> None:
    """Fetch what a source lacks, with a bar, and say under which terms it may be used."""
    from dermsynth.cli.progress import transfers
    from dermsynth.cohorts.published import fetch
    from dermsynth.cohorts.sources import SOURCES

    with transfers() as show:
        fetch(source, show)
    typer.echo(f"{source.kind}: {SOURCES[source.kind][1].licence}", err=True)


@command(app, "ingest")
def ingest(
    source: SourceName,
    out: Out,
    root: Root = None,
    size: Size = 64,
    step: Steps = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Replace the classes: ham10000, benign-malignant or a .yaml."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="First fetch what is not yet in --root.")] = False,
    on_bad: Annotated[OnBad, typer.Option(help="Leave out images that cannot be decoded, or stop at the first.")] = (
        OnBad.skip
    ),
    settings: Settings = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Read raw files into a cohort.

    A cohort is one folder with a table, an array of images and a card. Steps of preprocessing: resize, lesion-crop,
    hair, bilateral, gamma, shades-of-grey.
    """
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.ingest import ingest as run
    from dermsynth.cohorts.preprocess import chain_of

    config = chosen_source(source, root, settings, seed)
    chain = chain_of(step or [])
    if download:
        fetch_files(config)
    read = 0
    with bar(f"{source} at {size} px") as progress:

        def show(done: int, total: int) -> None:
            nonlocal read
            read = done
            progress(done, total)

        cohort = run(
            config,
            size,
            out,
            preprocessing=chain,
            labels=labels,
            on_bad=on_bad.value,
            force=force,
            progress=show,
            threads=threads,
        )
    for reason, count in cohort.card["left_out"].items():
        typer.echo(f"left out: {count:,} images: {reason}", err=True)
    for bad in cohort.card["bad"][:SHOWN]:
        typer.echo(f"left out: {bad['reason']}", err=True)
    if len(cohort.card["bad"]) > SHOWN:
        typer.echo(f"left out: {len(cohort.card['bad']) - SHOWN:,} more, listed in {out / 'card.json'}", err=True)
    lesions = cohort.table["lesion_id"].n_unique()
    told = "; made before of the same input, nothing to do" if not read else ""
    typer.echo(f"{out}: {len(cohort):,} images, {lesions:,} lesions{told}")
    for name, count in cohort.counts().items():
        typer.echo(f"  {name:<8} {count:>7,}")
    typer.echo(f"Next: dermsynth split {out}")


@command(app, "split")
def split(
    cohort: Annotated[Path, typer.Argument(help="A cohort.")],
    scheme: Annotated[
        str, typer.Option(help="lesion, kfold, official (the publishers' test), or, leaky: fixed, image.")
    ] = "lesion",
    val: Annotated[float, typer.Option(metavar="SHARE", help="Share of the lesions for val.")] = 0.1,
    test: Annotated[float, typer.Option(metavar="SHARE", help="Share for test (schemes lesion and image).")] = 0.2,
    folds: Annotated[int, typer.Option(metavar="N", help="Folds of scheme kfold.")] = 5,
    fold: Annotated[int, typer.Option(metavar="K", help="The fold that is the test, from 0.")] = 0,
    near_duplicates: Annotated[
        bool, typer.Option(help="Search the pixels for images that show the same, and keep them together.")
    ] = True,
    train_fraction: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Use this share of each class's training lesions.")
    ] = None,
    train_lesions: Annotated[
        int | None, typer.Option(metavar="N", help="Use at most N training lesions of each class.")
    ] = None,
    imbalance: Annotated[str | None, typer.Option(help="Thin out train to a profile: exponential or step.")] = None,
    imbalance_ratio: Annotated[
        float, typer.Option(metavar="R", help="Largest to smallest class of the profile.")
    ] = 10.0,
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Split again a cohort that is split already.")] = False,
) -> None:
    """Divide a cohort into train, val and test.

    No lesion, patient, identical file or near-duplicate stands in two parts, unless the scheme is fixed or image.
    """
    from dermsynth.cohorts.split import SplitConfig
    from dermsynth.cohorts.split import split as run
    from dermsynth.core.config import parse

    given = {
        "scheme": scheme,
        "val": val,
        "test": test,
        "folds": folds,
        "fold": fold,
        "near_duplicates": near_duplicates,
        "train_fraction": train_fraction,
        "train_lesions": train_lesions,
        "imbalance": imbalance,
        "imbalance_ratio": imbalance_ratio,
    }
    parts = run(cohort, parse(SplitConfig, given, "split"), seed=seed, force=force)
    for name in ("train", "val", "test", "unused"):
        part = parts.select(parts.table["split"].to_numpy() == name)
        if len(part):
            counts = ", ".join(f"{label} {count:,}" for label, count in part.counts().items())
            lesions = part.table["lesion_id"].n_unique()
            typer.echo(f"{name:<6} {len(part):>7,} images, {lesions:>7,} lesions: {counts}")
    if parts.leaky:
        typer.echo(f"LEAKY: {parts.leaky}; results on this split are too good", err=True)


@command(app, "join")
def join(
    cohorts: Annotated[list[Path], typer.Argument(help="Cohorts with the same classes and image size.")],
    out: Out,
    test: Annotated[list[Path] | None, typer.Option(help="A cohort that is to be the test set; repeatable.")] = None,
    force: Force = False,
) -> None:
    """Make one cohort of several.

    With --test, split the result with --scheme official: the test set then comes from elsewhere.
    """
    from dermsynth.cohorts.join import join as run

    joined = run(cohorts, out, test=test or [], force=force)
    typer.echo(f"{out}: {len(joined):,} images, {joined.table['lesion_id'].n_unique():,} lesions")
    typer.echo(f"Next: dermsynth split {out}{' --scheme official' if test else ''}")


@command(app, "export")
def export(
    cohort: Annotated[Path, typer.Argument(help="A cohort or a pool.")],
    out: Out,
    border: Annotated[bool, typer.Option("--border", help="Frame synthetic images in magenta.")] = False,
    force: Force = False,
) -> None:
    """Write a cohort or a pool as PNG files and metadata.csv.

    Hugging Face's imagefolder opens the folder, and so does every tool that reads a folder per class.
    """
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.cohorts.export import export as run

    with bar(f"export of {cohort}") as progress:
        run(Cohort.open(cohort), out, border=border, force=force, progress=progress)
    typer.echo(f"{out}: images and metadata.csv")
