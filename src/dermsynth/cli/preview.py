"""`preview`: what a setting does to images, as a picture, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import Seed, Settings, app, command, parse_settings

preview_app = typer.Typer(help="See what settings do to images.", no_args_is_help=True)
app.add_typer(preview_app, name="preview")


@command(preview_app, "augmentation")
def augmentation(
    cohort: Annotated[Path, typer.Argument(help="A cohort.")],
    out: Annotated[Path, typer.Option("--out", help="The PNG file to make.", show_default=False)],
    policy: Annotated[str, typer.Option(help="none, papers or strong.")] = "strong",
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class of the lesion shown.", show_default="any")
    ] = None,
    settings: Settings = None,
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
) -> None:
    """Draw what classical augmentation does to a lesion.

    A row shows one operation at its extremes; the last rows show all of them together.
    """
    from dermsynth.cohorts.augment import ClassicalAugmentation
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.core.config import parse
    from dermsynth.core.errors import ArtefactError
    from dermsynth.reports.augmentation import drawn, rows

    given = {**parse_settings(settings, {"policy": "--policy"}), "policy": policy}
    config = parse(ClassicalAugmentation, given, "settings of the augmentation")
    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    write_atomically(out, drawn(rows(Cohort.open(cohort), config, label, seed)))
    typer.echo(f"{out}: policy {policy}")
