"""`pool`: what is known of synthetic images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dermsynth.cli.app import Force, Out, app, command

pool_app = typer.Typer(help="Say where synthetic images come from.", no_args_is_help=True)
app.add_typer(pool_app, name="pool")

Pool = Annotated[Path, typer.Argument(metavar="POOL", help="A pool of synthetic images.")]


@command(pool_app, "show")
def show(
    pool: Pool,
    image_id: Annotated[str, typer.Argument(metavar="ID", help="The image_id of an image in it.")],
) -> None:
    """Print an image's ancestry as JSON.

    What made it, from which seed, for which class, what it was screened by, and what its generator learnt from.
    """
    import json

    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.pools.ancestry import ancestry

    typer.echo(json.dumps(ancestry(Cohort.open(pool), image_id), indent=2, ensure_ascii=False))


@command(pool_app, "redraw")
def redraw(
    pool: Pool,
    image_id: Annotated[str, typer.Argument(metavar="ID", help="The image_id of an image in it.")],
    run: Annotated[Path, typer.Option(help="The run that made it.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The PNG file to make.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
) -> None:
    """Draw one image of a pool again and check that it is the same."""
    import io

    import polars as pl
    from PIL import Image

    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.cohorts.export import marks
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.core.errors import ArtefactError
    from dermsynth.pools.ancestry import redraw as again

    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    opened = Cohort.open(pool)
    image, buffer = again(opened, image_id, run), io.BytesIO()
    row = opened.table.row(by_predicate=pl.col("image_id") == image_id, named=True)
    Image.fromarray(image).save(buffer, "PNG", **marks(row))
    write_atomically(out, buffer.getvalue())
    typer.echo(f"{out}: '{image_id}', the same pixels as in the pool")


@command(pool_app, "diff")
def diff(first: Pool, second: Annotated[Path, typer.Argument(metavar="OTHER", help="Another pool.")]) -> None:
    """Compare two pools: what made them, images per class, images in both."""
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.pools.ancestry import differences

    found = differences(Cohort.open(first), Cohort.open(second))
    shared = found["images"]
    typer.echo(
        f"{shared['both']:,} images in both, {shared['first']:,} only in {first}, {shared['second']:,} only in {second}"
    )
    for name, (one, other) in found["counts"].items():
        typer.echo(f"  {name:<12} {one:>9,} {other:>9,}")
    for name, (one, other) in found["settings"].items():
        typer.echo(f"  {name}: {one} | {other}")


@command(pool_app, "path-rank")
def path_rank(
    fit: Annotated[Path, typer.Argument(metavar="FIT", help="A finished fit on this cohort and split.")],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="A cohort with a split.")],
    label: Annotated[str, typer.Option("--class", metavar="CLASS", help="The class.", show_default=False)],
    keep: Annotated[float, typer.Option(metavar="F", help="Share of its training images that stay.")],
    out: Out,
    force: Force = False,
) -> None:
    """Keep the training images of a class that a classifier takes for it most surely.

    Writes the same cohort with the others unused, as the target domain of an algorithm that translates (paper 002).
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.pools.path_rank import path_rank as run

    ranked = run(fit, Cohort.open(cohort), label, keep, out, force=force)
    facts = ranked.card["path_rank"]
    typer.echo(
        f"{out}: {facts['kept']:,} of {facts['of']:,} training images of '{label}' stay, "
        f"with a probability of {facts['least_probability']:.3f} or more; ranks in {out / 'ranks.parquet'}"
    )
    typer.echo(f"Next: dermsynth train cyclegan {out} --set 'source=[…]' --set 'target=[{label}]' --out …")


@command(pool_app, "stage")
def stage(
    pool: Pool,
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="The cohort that its generator learnt from.")],
    out: Out,
    force: Force = False,
) -> None:
    """Put synthetic images beside the real ones as classes of their own.

    An algorithm that translates then learns to refine them: source "synthetic mel", target mel.
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.pools.stage import PREFIX
    from dermsynth.pools.stage import stage as run

    staged = run(Cohort.open(cohort), Cohort.open(pool), out, force=force)
    made = [name for name in staged.classes if name.startswith(PREFIX)]
    typer.echo(f"{out}: {len(staged):,} images; new classes: {', '.join(made)}")
    pair = f"--set 'source=[{made[0]}]' --set 'target=[{made[0].removeprefix(PREFIX)}]'"
    typer.echo(f"Next: dermsynth train cyclegan {out} {pair} --out …")


@command(pool_app, "card")
def card(
    pool: Pool,
    measured: Annotated[Path | None, typer.Option(help="What `dermsynth measure` wrote.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="A Markdown file instead of the terminal.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
) -> None:
    """Write the card of a pool: what it is, how it was made and screened, what it must not be used for.

    Markdown with the fields of a Hugging Face dataset card.
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_atomically
    from dermsynth.core.errors import ArtefactError
    from dermsynth.pools.card import pool_card

    text = pool_card(Cohort.open(pool), _read_measures(measured) if measured else None)
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    write_atomically(out, text.encode())
    typer.echo(f"{out}: the card of {pool}")


def _read_measures(path: Path) -> Any:
    import json

    from dermsynth.core.errors import InputError

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as measures ({error}); make it with dermsynth measure") from None
