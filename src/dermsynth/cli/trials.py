"""`trial power`, `trial run`, `trial status`, `trial report` and `demo`: from a plan to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, ForceTrial, Out, Seed, Workers, app, command, trial_app

if TYPE_CHECKING:
    from dermsynth.trials.power import Forecast, Plan
    from dermsynth.trials.protocol import Protocol

DISCORDANCE, SEED_SD = 0.15, 0.015


@command(trial_app, "run")
def trial_run(
    protocol: Annotated[
        str,
        typer.Argument(
            help="A YAML file that declares the trial, or a preset (demo, ham10000-quick, 001, 002-refined, "
            "002-translated, 003, 004, low-data); :VARIANT and :SCALE follow, as in 001:as-published:cpu."
        ),
    ],
    out: Out,
    seed: Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Instead of the protocol's.")] = None,
    force: ForceTrial = False,
    threads: Workers = CORES,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            metavar="WHERE",
            help="local, dask://HOST:PORT, slurm, slurm:PARTITION or slurm:KEY=VALUE,…",
        ),
    ] = "local",
    jobs: Annotated[
        Path | None,
        typer.Option(
            "--jobs",
            metavar="FOLDER",
            help="Where the jobs are kept; trials may share it.",
            show_default="jobs/ in --out",
        ),
    ] = None,
) -> None:
    """Run a trial; the same command continues a stopped one."""
    from dermsynth.trials.loading import load_protocol

    declared = load_protocol(protocol)
    declared = declared if seed is None else declared.changed(seed=seed)
    _run(declared, out, force=force, threads=threads, executor=executor, jobs=jobs)


@command(trial_app, "plan")
def trial_plan(
    protocol: Annotated[str, typer.Argument(help="A YAML file that declares the trial, or a preset.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The trial's folder: what is done there is not planned again.")
    ] = None,
    threads: Workers = CORES,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it, every job included, as JSON.")] = False,
) -> None:
    """Say what a trial would do, how long it takes and how much disk.

    Every network is tried for some steps at its size. Nothing is written.
    """
    from rich.console import Console

    from dermsynth.cli.trial_view import overview_view
    from dermsynth.training.device import set_threads
    from dermsynth.trials.loading import load_protocol
    from dermsynth.trials.overview import overview
    from dermsynth.trials.run import jobs_folder

    set_threads(1)  # as each job will have
    found = overview(load_protocol(protocol), workers=threads, jobs=None if out is None else jobs_folder(out))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        Console(highlight=False).print(overview_view(found))


@command(trial_app, "status")
def trial_status(
    trial: Annotated[Path, typer.Argument(help="The folder of a trial, running or not.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say how far a trial is: from any terminal, while it runs or later."""
    from rich.console import Console

    from dermsynth.cli.trial_view import status_view
    from dermsynth.trials.status import read_status

    status = read_status(trial)
    if as_json:
        typer.echo(status.model_dump_json(indent=2))
    else:
        Console(highlight=False).print(status_view(status))


@command(trial_app, "report")
def trial_report(trial: Annotated[Path, typer.Argument(help="A finished trial.")]) -> None:
    """Judge a finished trial again and write its report.

    Nothing is trained: the verdict follows from the trial's prediction files and frozen protocol.
    """
    from dermsynth.reports.report import write_report
    from dermsynth.trials.run import judge_trial

    verdict = judge_trial(trial)
    typer.echo(f"{verdict.sentence}\n{write_report(trial)}")


@command(trial_app, "power")
def trial_power(
    plan: Annotated[
        str, typer.Argument(help="The planned protocol (a YAML file or a preset), or a cohort with a split.")
    ],
    like: Annotated[
        Path | None, typer.Option("--like", metavar="TRIAL", help="A finished trial whose noise is taken.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Fits of every arm.", show_default="the protocol's, or 3")
    ] = None,
    discordance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Assumed share of lesions that only one of the arms gets right.",
            show_default=str(DISCORDANCE),
        ),
    ] = None,
    seed_sd: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Assumed standard deviation over seeds of the difference in balanced accuracy.",
            show_default=str(SEED_SD),
        ),
    ] = None,
) -> None:
    """Say how small a difference a planned trial would see.

    Nothing is trained. The noise is that of an earlier trial, or assumed.
    """
    from dataclasses import replace

    from dermsynth.core.errors import ConfigError
    from dermsynth.metrics.power import Noise
    from dermsynth.trials.power import forecast, noise_like, planned

    if like is not None and (discordance is not None or seed_sd is not None):
        raise ConfigError(f"--like {like}: the noise is measured there; leave out --discordance and --seed-sd")
    chosen = planned(plan)
    if seeds is not None:
        chosen = replace(chosen, repeats=seeds)
    if like is not None:
        noise, told = noise_like(like, tuple(chosen.lesions)), f"as in {like}"
    else:
        share, deviation = (
            (DISCORDANCE if discordance is None else discordance),
            (SEED_SD if seed_sd is None else seed_sd),
        )
        noise = Noise.assumed(len(chosen.lesions), discordance=share, seed_sd=deviation)
        told = f"assumed: arms disagree on {100 * share:g} % of lesions, {100 * deviation:g} points over seeds"
    _show_forecast(chosen, forecast(chosen, noise), told)


def _show_forecast(plan: Plan, found: Forecast, noise: str) -> None:
    from dermsynth.trials.power import POWERS, TIMES

    def points(differences: tuple[float, ...]) -> str:
        return "".join(f"{'none' if one > 1 else f'{100 * one:.1f}':>12}" for one in differences)

    margin, lesions = 100 * plan.endpoint.smallest_difference, sum(plan.lesions.values())
    width = max(len("balanced accuracy"), *map(len, plan.lesions))
    typer.echo(
        f"{lesions:,} {plan.endpoint.split} lesions, {plan.repeats} seeds, margin {margin:g} points; noise {noise}"
    )
    typer.echo("\nsmallest true gain that comes out as 'helps', points")
    typer.echo(f"{'':{width}}{'lesions':>10}" + "".join(f"{f'{100 * power:g} % power':>12}" for power in POWERS))
    typer.echo(f"{'balanced accuracy':{width}}{lesions:>10,}{points(found.balanced_accuracy)}")
    for name, differences in found.recall.items():
        typer.echo(f"{name:{width}}{plan.lesions[name]:>10,}{points(differences)}")
    typer.echo(f"\nbalanced accuracy, {100 * POWERS[0]:g} % power, with other seeds and more lesions, points")
    typer.echo(f"{'seeds':>{width}}{'':10}" + "".join(f"{f'{times} x lesions':>12}" for times in TIMES))
    for seeds, differences in found.alternatives.items():
        typer.echo(f"{seeds:>{width}}{'':10}{points(differences)}")
    typer.echo(f"\nchance of 'equivalent' if there is no difference: {100 * found.equivalent:.0f} %")


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
    from dermsynth.trials.loading import load_protocol

    _run(load_protocol("demo").changed(seed=seed), out, force=force, threads=threads)


def _run(
    protocol: Protocol,
    out: Path,
    *,
    force: bool,
    threads: int,
    executor: str = "local",
    jobs: Path | None = None,
) -> None:
    from dermsynth.cli.trial_view import live_view
    from dermsynth.reports.report import write_report
    from dermsynth.trials.run import run_trial

    with live_view(out) as watch:
        verdict = run_trial(protocol, out, threads=threads, executor=executor, jobs=jobs, force=force, watch=watch)
    report = write_report(out)
    typer.echo(f"{verdict.sentence}\n\nReport: {report}")
