"""`trial run`, `trial report` and `demo`: from images to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, ForceTrial, Out, Seed, Workers, app, command, trial_app

if TYPE_CHECKING:
    from dermsynth.trials.protocol import Protocol


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
