"""`screen` and `measure`: from a pool to what may be kept of it, and to numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import CORES, Force, Out, Seed, Threads, app, command

Encoder = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A pretrained network that sees the images.", show_default="offline features"),
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
    from dermsynth.training.device import set_threads

    if out.exists() and not force:
        raise ArtefactError(f"{out}: already exists; choose another --out, or --force to replace it")
    set_threads(threads)
    found = run(Cohort.open(cohort), Cohort.open(pool), encoder=encoder, seed=seed)
    write_json(out, found)
    for label, reason in found["left_out"].items():
        typer.echo(f"left out: class {label} has {reason}", err=True)
    typer.echo(f"{found['n']:,} images, {found['encoder']}; real: as many held-out images")
    for name, one in found["measures"].items():
        typer.echo(f"  {name:<16} {one['value']:>9.4g}   real {one['floor']:.4g}")
    copied = found["memorisation"]
    authentic, copying = copied["authenticity"], copied["copying"]
    for name, key, field in (("nearer to train", "nearer_to_train", "share"), ("attack (AUC)", "membership", "auc")):
        one = copied[key]
        typer.echo(f"  {name:<16} {one[field]:>9.3f}   {one['low']:.3f} to {one['high']:.3f}; 0.5 if nothing is copied")
    typer.echo(f"  {'authentic':<16} {authentic['value']:>9.3f}   real {authentic['floor']:.3f}")
    if copying:
        typer.echo(f"  {'copying (C_T)':<16} {copying['z']:>9.2f}   around 0 if nothing is copied, far below if so")
