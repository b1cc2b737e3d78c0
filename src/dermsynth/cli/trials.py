"""`fit`, `trial run`, `trial report` and `demo`: from images to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import (
    CORES,
    Force,
    ForceTrial,
    Out,
    Seed,
    Settings,
    Threads,
    Workers,
    app,
    command,
    parse_settings,
    trial_app,
)

if TYPE_CHECKING:
    from dermsynth.trials.protocol import Protocol


@command(app, "fit")
def fit(
    model: Annotated[str, typer.Argument(help="The classifier, for example small-cnn.")],
    cohort: Annotated[Path, typer.Argument(help="A cohort with a split.")],
    out: Out,
    arm: Annotated[str, typer.Option(help="real, classical, oversampled, hybrid or placebo.")] = "real",
    pool: Annotated[Path | None, typer.Option(help="Synthetic images for hybrid and placebo.")] = None,
    fill_to: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Arms that enlarge fill every class up to this.", show_default="the largest class"
        ),
    ] = None,
    augment: Annotated[
        str | None, typer.Option("--augment", metavar="POLICY", help="Policy of classical.", show_default="strong")
    ] = None,
    kimg: Annotated[float, typer.Option(metavar="N", help="Budget in thousands of images.")] = 40.0,
    settings: Settings = None,
    seed: Seed = 0,
    force: Force = False,
    threads: Threads = CORES,
) -> None:
    """Train a classifier on one arm and predict val and test."""
    from dermsynth.classifiers.config import FitConfig
    from dermsynth.classifiers.fit import fit as run
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.augment import ClassicalAugmentation
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.config import nearest, parse
    from dermsynth.core.errors import ConfigError
    from dermsynth.training.device import set_threads
    from dermsynth.trials.arms import ARMS, NEEDS_POOL, Material

    if arm not in ARMS or arm == "oracle":
        raise ConfigError(f"--arm {arm}: {nearest(arm, [name for name in ARMS if name != 'oracle'])}")
    if arm in NEEDS_POOL and pool is None:
        raise ConfigError(f"--arm {arm}: needs synthetic images; give a pool from 'dermsynth sample' with --pool")
    if arm not in NEEDS_POOL and pool is not None:
        raise ConfigError(f"--pool {pool}: arm '{arm}' adds no pool; leave it out or choose --arm hybrid or placebo")
    instead = {"model": "the argument MODEL", "seed": "--seed", "budget_kimg": "--kimg", "policy": "--augment"}
    given = parse_settings(settings, instead)
    altering = {key: given.pop(key) for key in list(given) if key in ClassicalAugmentation.model_fields}
    altering |= {} if augment is None else {"policy": augment}
    if altering and arm != "classical":
        unused = ", ".join(instead.get(key, f"--set {key}") for key in altering)
        raise ConfigError(f"--arm {arm}: alters no image; leave out {unused}, or choose --arm classical")
    augmentation = parse(ClassicalAugmentation, altering, "settings of the augmentation")
    config = parse(FitConfig, {"model": model, "seed": seed, "budget_kimg": kimg, **given}, "settings of the fit")
    real = Cohort.open(cohort)
    target = fill_to or max(real.part("train").counts().values())
    chosen = ARMS[arm](Material(real, target, seed, Cohort.open(pool) if pool else None, augmentation=augmentation))
    set_threads(threads)
    with bar(f"{model} on {arm}") as progress:
        run(
            chosen.cohort,
            real.part("val"),
            real.part("test"),
            config,
            out,
            rows=chosen.rows,
            augmentation=chosen.augmentation,
            facts={"arm": arm, "train_counts": chosen.counts()},
            force=force,
            progress=progress,
        )
    typer.echo(f"{out}: predictions for val and test in {out / 'predictions.parquet'}")


@command(trial_app, "run")
def trial_run(
    protocol: Annotated[
        str, typer.Argument(help="A YAML file that declares the trial, or a preset: demo or ham10000-quick.")
    ],
    out: Out,
    seed: Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Instead of the protocol's.")] = None,
    force: ForceTrial = False,
    threads: Workers = CORES,
) -> None:
    """Run a trial; the same command continues a stopped one."""
    from dermsynth.trials.protocol import load_protocol

    declared = load_protocol(protocol)
    _run(declared if seed is None else declared.changed(seed=seed), out, force=force, threads=threads)


@command(trial_app, "report")
def trial_report(trial: Annotated[Path, typer.Argument(help="A finished trial.")]) -> None:
    """Judge a finished trial again and write its report.

    Nothing is trained: the verdict follows from the trial's prediction files and frozen protocol.
    """
    from dermsynth.reports.report import write_report
    from dermsynth.trials.run import judge_trial

    verdict = judge_trial(trial)
    typer.echo(f"{verdict.sentence}\n{write_report(trial)}")


@command(app, "demo")
def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")] = Path("demo"),
    seed: Seed = 0,
    force: ForceTrial = False,
    threads: Workers = CORES,
) -> None:
    """Run a small trial on procedural lesions; needs no data.

    The same command continues a stopped one.
    """
    from dermsynth.trials.protocol import load_protocol

    _run(load_protocol("demo").changed(seed=seed), out, force=force, threads=threads)


def _run(protocol: Protocol, out: Path, *, force: bool, threads: int) -> None:
    from dermsynth.cli.progress import job_table
    from dermsynth.reports.report import write_report
    from dermsynth.trials.run import run_trial

    with job_table(out / "jobs") as watch:
        verdict = run_trial(protocol, out, threads=threads, force=force, watch=watch)
    report = write_report(out)
    typer.echo(f"{verdict.sentence}\n\nReport: {report}")
