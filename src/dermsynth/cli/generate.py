"""`train`, `sample` and `translate`: from a cohort to a generator, from a generator to a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import (
    CORES,
    Force,
    Out,
    Seed,
    Settings,
    Threads,
    app,
    command,
    parse_counts,
    parse_settings,
    parse_shares,
)


@command(app, "train")
def train(
    algorithm: Annotated[str, typer.Argument(help="The algorithm, for example dcgan.")],
    cohort: Annotated[Path, typer.Argument(help="A cohort with a split.")],
    out: Out,
    kimg: Annotated[float, typer.Option(metavar="N", help="Budget in thousands of images.")] = 200.0,
    settings: Settings = None,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="A finished run whose networks are trained further.")
    ] = None,
    log: Annotated[
        list[str] | None, typer.Option("--log", metavar="WHERE", help="Also log to tensorboard or mlflow; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try a few steps, say what a run takes, and leave.")
    ] = False,
    seed: Seed = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a finished run; start over where OUT.partial has other settings.")
    ] = False,
    threads: Threads = CORES,
) -> None:
    """Train a generator on the train part of a cohort.

    Ctrl-C saves the state; the same command continues it.
    """
    from dermsynth.algorithms import algorithm_class
    from dermsynth.cli.progress import bar, show_estimate
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.config import parse
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.device import set_threads
    from dermsynth.training.estimate import estimate
    from dermsynth.training.loop import train as run

    chosen = algorithm_class(algorithm)
    given = parse_settings(settings, {"seed": "--seed", "budget_kimg": "--kimg"})
    for_loop = {key: given.pop(key) for key in list(given) if key in TrainConfig.model_fields}
    algorithm_settings = parse(chosen.Config, given, f"settings of {algorithm}")
    config = parse(TrainConfig, {"budget_kimg": kimg, "seed": seed, **for_loop}, "settings of the training")
    set_threads(threads)
    opened = Cohort.open(cohort)
    if dry_run:
        show_estimate(algorithm, config, estimate(opened, chosen, algorithm_settings, config, start=start))
        return
    with bar(f"{algorithm} on {cohort}") as progress:
        run(
            opened,
            chosen,
            algorithm_settings,
            config,
            out,
            start=start,
            loggers=log or (),
            force=force,
            progress=progress,
        )
    next_step = f"dermsynth {'translate' if chosen.translates else 'sample'} {out} …"
    typer.echo(f"{out}: trained on {kimg:g} kimg; sample grids in {out / 'samples'}. Next: {next_step}")


@command(app, "sample")
def sample(
    run: Annotated[Path, typer.Argument(help="A run that 'dermsynth train' finished.")],
    out: Out,
    per_class: Annotated[str | None, typer.Option(metavar="COUNTS", help="Images per class: mel=500,df=500.")] = None,
    fill_to: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="What each class of the train part lacks to reach this many.")
    ] = None,
    balance: Annotated[bool, typer.Option("--balance", help="What each class lacks to reach the largest.")] = False,
    share: Annotated[
        float | None, typer.Option(metavar="F", help="Synthetic images as a share of real and synthetic ones.")
    ] = None,
    ratio: Annotated[float | None, typer.Option(metavar="R", help="Synthetic images per real one.")] = None,
    prevalence: Annotated[
        str | None, typer.Option(metavar="SHARES", help="Shares of classes to reach: mel=0.3,df=0.1.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Of --share and --ratio: classes that count and get images.", show_default="all"
        ),
    ] = None,
    settings: Settings = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Draw a pool of synthetic images from a trained generator.

    Say how many with one of --per-class, --fill-to, --balance, --share, --ratio and --prevalence. Real images are the
    training images of the run.
    """
    from dermsynth.cli.progress import bar
    from dermsynth.core.artefacts import read_card
    from dermsynth.core.errors import ConfigError
    from dermsynth.pools import amounts
    from dermsynth.pools.sample import sample as draw
    from dermsynth.training.device import set_threads

    rules = {
        "--per-class": per_class,
        "--fill-to": fill_to,
        "--balance": balance or None,
        "--share": share,
        "--ratio": ratio,
        "--prevalence": prevalence,
    }
    given = [name for name, value in rules.items() if value is not None]
    if len(given) != 1:
        told = f"not {' and '.join(given)}" if given else "for example --per-class mel=500,df=500"
        raise ConfigError(f"say how many images with one of {', '.join(rules)}, {told}")
    if classes is not None and given[0] not in ("--share", "--ratio"):
        raise ConfigError(f"--classes {classes}: belongs to --share and --ratio; leave it out")
    if per_class is not None:
        amount = amounts.Amount(parse_counts(per_class, "--per-class"), "chosen numbers per class")
    else:
        real = read_card(run, "run")["train_counts"]
        among = classes.split(",") if classes else ()
        if share is not None:
            amount = amounts.share(real, share, among)
        elif ratio is not None:
            amount = amounts.ratio(real, ratio, among)
        elif prevalence is not None:
            amount = amounts.prevalence(real, parse_shares(prevalence, "--prevalence"))
        else:
            amount = amounts.fill(real, fill_to)
    changed = parse_settings(settings, {"seed": "--seed"})
    set_threads(threads)
    with bar(f"images from {run}") as progress:
        pool = draw(
            run, amount.counts, out, seed=seed, settings=changed, told=amount.told, force=force, progress=progress
        )
    typer.echo(f"{out}: {len(pool):,} synthetic images, {_table(pool.counts())} ({amount.told})")


@command(app, "translate")
def translate(
    run: Annotated[Path, typer.Argument(help="A finished run of an algorithm that translates, such as cyclegan.")],
    cohort: Annotated[Path, typer.Argument(help="The cohort that it was trained on.")],
    out: Out,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Images.", show_default="all")] = None,
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class of the pool's images, where the run has several targets.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Translate training images into a pool of another class.

    Images of the run's source classes become images of its target class; val and test are left alone.
    """
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.pools.translate import translate as turn
    from dermsynth.training.device import set_threads

    set_threads(threads)
    with bar(f"images from {cohort} by {run}") as progress:
        pool = turn(run, Cohort.open(cohort), out, count=count, label=label, seed=seed, force=force, progress=progress)
    typer.echo(f"{out}: {len(pool):,} translated images, {_table(pool.counts())}")


def _table(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
