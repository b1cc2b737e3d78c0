"""`screen` and `measure`: from a pool to what may be kept of it, and to numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import CORES, Force, Out, Seed, Threads, app, command

Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="ENCODER",
        help="What sees the images: inception, fit:FOLDER, or a network's folder. All: docs/encoders.md.",
        show_default="offline features",
    ),
]


@command(app, "screen")
def screen(
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="A pool of synthetic images.")],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Real images with the split that the pool is for.")],
    out: Out,
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:KEY=VALUE,…]", help="A rule, in this order; repeatable. All: docs/screens.md."),
    ] = None,
    classifier: Annotated[
        list[Path] | None, typer.Option(metavar="FIT", help="A fit of this cohort and split; repeatable.")
    ] = None,
    encoder: Encoder = None,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Keep the images of a pool that pass rules.

    Every rejected image gets a reason; a page shows what each rule rejects.
    """
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import check_free
    from dermsynth.pools.screen import screen as run
    from dermsynth.pools.screens import rules_of
    from dermsynth.reports.screens import PAGE, page
    from dermsynth.training.device import set_threads

    rules = rules_of(rule or [])
    check_free(out, force=force)
    set_threads(threads)
    with bar(f"rules on {pool}") as progress:
        screened = run(
            Cohort.open(pool),
            Cohort.open(cohort),
            rules,
            encoder=encoder,
            classifiers=classifier or [],
            progress=progress,
        )
    kept = screened.save(out, files={PAGE: page(screened)}, force=force)
    for step in screened.steps:
        rejected = int(step.judgement.rejected.sum())
        typer.echo(f"{step.rule.written}: {len(step.kept):,} kept, {rejected:,} rejected")
    typer.echo(f"{out}: {len(kept):,} of {len(screened.pool):,} images; what was rejected is in {out / PAGE}")


@command(app, "measure")
def measure(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Real images with the split that the pool is for.")],
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="A pool of synthetic images.")],
    out: Annotated[Path, typer.Option("--out", help="The JSON file to make.", show_default=False)],
    encoder: Encoder = None,
    seed: Seed = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
    threads: Threads = CORES,
) -> None:
    """Measure how real, how varied and how copied a pool is.

    Every value stands beside that of as many real images.
    """
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import write_json
    from dermsynth.core.errors import ArtefactError
    from dermsynth.pools.measure import measure as run
    from dermsynth.reports.measures import measures_table
    from dermsynth.training.device import set_threads

    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    set_threads(threads)
    found = run(Cohort.open(cohort), Cohort.open(pool), encoder=encoder, seed=seed)
    write_json(out, found)
    for reason, labels in _grouped(found["left_out"]).items():
        typer.echo(f"left out: {', '.join(labels)}: {reason}", err=True)
    typer.echo("\n".join(measures_table(found)))


def _grouped(reasons: dict[str, str]) -> dict[str, list[str]]:
    """Return the classes that each reason holds for."""
    return {reason: [name for name, why in reasons.items() if why == reason] for reason in reasons.values()}
