"""`preview`: what a setting does to images, as a picture, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import Seed, Settings, app, command, parse_settings
from dermsynth.cli.data import Root, Size, SourceName, Steps, chosen_source
from dermsynth.cli.screen import Encoder

Figure = Annotated[Path, typer.Option("--out", help="The PNG file to make.", show_default=False)]
Replace = Annotated[bool, typer.Option("--force", help="Replace the file in --out.")]

preview_app = typer.Typer(help="See what settings do to images.", no_args_is_help=True)
app.add_typer(preview_app, name="preview")


@command(preview_app, "augmentation")
def augmentation(
    cohort: Annotated[Path, typer.Argument(help="A cohort.")],
    out: Figure,
    policy: Annotated[str, typer.Option(help="none, papers or strong.")] = "strong",
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class of the lesion shown.", show_default="any")
    ] = None,
    settings: Settings = None,
    seed: Seed = 0,
    force: Replace = False,
) -> None:
    """Draw what classical augmentation does to a lesion.

    A row shows one operation at its extremes; the last rows show all of them together.
    """
    from dermsynth.cohorts.augment import ClassicalAugmentation
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.core.config import parse
    from dermsynth.reports.augmentation import rows
    from dermsynth.reports.sheets import drawn

    given = {**parse_settings(settings, {"policy": "--policy"}), "policy": policy}
    config = parse(ClassicalAugmentation, given, "settings of the augmentation")
    check_free(out, force=force)
    write_atomically(out, drawn(rows(Cohort.open(cohort), config, label, seed)))
    typer.echo(f"{out}: policy {policy}")


@command(preview_app, "preprocessing")
def preprocessing(
    source: SourceName,
    out: Figure,
    root: Root = None,
    size: Size = 64,
    step: Steps = None,
    count: Annotated[int, typer.Option(metavar="N", help="Photos to show, of every class in turn.")] = 6,
    settings: Settings = None,
    seed: Seed = 0,
    force: Replace = False,
) -> None:
    """Draw what preprocessing does to photos of a data set.

    A row shows a photo as it is in the source and after each step.
    """
    from dermsynth.cohorts.preprocess import chain_of
    from dermsynth.cohorts.sources import make_source
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.reports.preprocessing import rows
    from dermsynth.reports.sheets import drawn

    config, chain = chosen_source(source, root, settings, seed), chain_of(step or [])
    check_free(out, force=force)
    write_atomically(out, drawn(rows(make_source(config), chain, size, count, seed)))
    typer.echo(f"{out}: {', '.join(one.step for one in chain)}")


@command(preview_app, "latent")
def latent(
    run: Annotated[Path, typer.Argument(help="A run that 'dermsynth train' finished.")],
    out: Figure,
    classes: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Classes to show: mel,nv.", show_default="all")
    ] = None,
    seed: Seed = 0,
    force: Replace = False,
) -> None:
    """Draw a path through a generator's latent space.

    A row goes from one noise vector to another; down a column only the class changes.
    """
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.reports.latent import rows
    from dermsynth.reports.sheets import drawn

    check_free(out, force=force)
    shown = rows(run, classes.split(",") if classes else (), seed)
    write_atomically(out, drawn(shown))
    typer.echo(f"{out}: {', '.join(row.name for row in shown)}")


@command(preview_app, "morph")
def morph(
    run: Annotated[Path, typer.Argument(help="A run that 'dermsynth train' finished.")],
    out: Figure,
    source: Annotated[str, typer.Option("--from", metavar="CLASS", help="The class on the left.", show_default=False)],
    target: Annotated[str, typer.Option("--to", metavar="CLASS", help="The class on the right.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Rows.")] = 6,
    seed: Seed = 0,
    force: Replace = False,
) -> None:
    """Draw images that turn from one class into another.

    A row keeps its noise; from left to right the share of the second class grows.
    """
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.reports.latent import morphs
    from dermsynth.reports.sheets import drawn

    check_free(out, force=force)
    write_atomically(out, drawn(morphs(run, source, target, count, seed)))
    typer.echo(f"{out}: {count} × {source} to {target}")


@command(preview_app, "translations")
def translations(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="The cohort whose images were translated.")],
    pools: Annotated[list[Path], typer.Argument(metavar="POOL…", help="Pools that 'dermsynth translate' made.")],
    out: Figure,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Images to show.")] = 6,
    force: Replace = False,
) -> None:
    """Draw images beside their translations.

    A row shows an image that all pools translated, and what each made of it. It shows patients if the cohort does.
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.reports.sheets import drawn
    from dermsynth.reports.translations import rows

    check_free(out, force=force)
    found = rows(Cohort.open(cohort), [Cohort.open(pool) for pool in pools], count)
    write_atomically(out, drawn(found))
    typer.echo(f"{out}: {len(found)} images in {len(pools)} pools")


@command(preview_app, "nearest")
def nearest(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="The cohort that the pool's generator learnt from.")],
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="A pool of synthetic images.")],
    out: Figure,
    encoder: Encoder = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Pairs to show.")] = 10,
    force: Replace = False,
) -> None:
    """Draw the synthetic images that are most like a training image.

    A row shows the synthetic image, the training image and their difference. It shows patients if the cohort does.
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.reports.nearest import rows
    from dermsynth.reports.sheets import drawn

    check_free(out, force=force)
    found = rows(Cohort.open(cohort), Cohort.open(pool), encoder, count)
    write_atomically(out, drawn(found))
    typer.echo(f"{out}: {len(found)} pairs, from {found[0].name} on")


def check_free(out: Path, *, force: bool) -> None:
    """Raise ArtefactError if there is a file at `out` and `force` is false."""
    from dermsynth.core.errors import ArtefactError

    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
