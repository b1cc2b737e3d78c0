"""`train` and `sample`: from a cohort to a generator, from a generator to a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import CORES, Force, Out, Seed, Settings, Threads, app, command, parse_counts, parse_settings


@command(app, "train")
def train(
    algorithm: Annotated[str, typer.Argument(help="The algorithm, for example dcgan.")],
    cohort: Annotated[Path, typer.Argument(help="A cohort with a split.")],
    out: Out,
    kimg: Annotated[float, typer.Option(help="Budget in thousands of images.")] = 200.0,
    settings: Settings = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Train a generator on the train part of a cohort; the same command continues a stopped run."""
    from dermsynth.algorithms import algorithm_class
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.config import parse
    from dermsynth.training.device import set_threads
    from dermsynth.training.loop import TrainConfig
    from dermsynth.training.loop import train as run

    chosen = algorithm_class(algorithm)
    given = parse_settings(settings)
    for_loop = {key: given.pop(key) for key in list(given) if key in TrainConfig.model_fields}
    algorithm_settings = parse(chosen.Config, given, f"settings of {algorithm}")
    config = parse(TrainConfig, {"budget_kimg": kimg, "seed": seed, **for_loop}, "settings of the training")
    set_threads(threads)
    with bar(f"{algorithm} on {cohort}") as progress:
        run(Cohort.open(cohort), chosen, algorithm_settings, config, out, force=force, progress=progress)
    typer.echo(f"{out}: trained on {kimg:g} kimg; sample grids in {out / 'samples'}. Next: dermsynth sample {out} …")


@command(app, "sample")
def sample(
    run: Annotated[Path, typer.Argument(help="A run that 'dermsynth train' finished.")],
    per_class: Annotated[str, typer.Option(help="Images per class: mel=500,df=500.", show_default=False)],
    out: Out,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Draw a pool of synthetic images from a trained generator."""
    from dermsynth.cli.progress import bar
    from dermsynth.pools.sample import sample as draw
    from dermsynth.training.device import set_threads

    set_threads(threads)
    with bar(f"images from {run}") as progress:
        pool = draw(run, parse_counts(per_class, "--per-class"), out, seed=seed, force=force, progress=progress)
    typer.echo(f"{out}: {len(pool):,} synthetic images, {_table(pool.counts())}")


def _table(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
