"""`tune`: search the values that do best on val, before a trial is run with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, Out, Workers, app, command

if TYPE_CHECKING:
    from dermsynth.trials.tries import Try, Tuning


@command(app, "tune")
def tune(
    protocol: Annotated[str, typer.Argument(help="A YAML file that declares a trial, or a preset.")],
    over: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=RANGE",
            help="A dotted key with LOW..HIGH, LOW..HIGH:log or A,B,C; repeatable.",
            show_default=False,
        ),
    ],
    out: Out,
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="Tries for every arm.")] = 20,
    arm: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM", help="Only this arm; repeatable.", show_default="all that a key acts on"),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FILE",
            help="Where the tries are kept: a database's URL, a .db file, or a journal.",
            show_default="a journal in --out",
        ),
    ] = None,
    threads: Workers = CORES,
) -> None:
    """Search the values of a protocol's keys that do best on val.

    The test part is not there. Every arm gets the same number of tries. The same command continues a stopped search,
    also in several processes at once.
    """
    from dermsynth.cli.progress import console
    from dermsynth.core.artefacts import explained_disk_errors, write_atomically
    from dermsynth.reports.slices import slices
    from dermsynth.trials.loading import load_protocol
    from dermsynth.trials.space import parse_space
    from dermsynth.trials.tune import tune as search
    from dermsynth.trials.tuned import write_results

    declared = load_protocol(protocol)
    space = parse_space(over, declared)

    def tell(one: Try) -> None:
        console.print(_line(one, trials), highlight=False, markup=False, soft_wrap=True)

    found = search(declared, space, out, trials=trials, arms=arm or (), storage=storage, threads=threads, tell=tell)
    with explained_disk_errors(out):
        write_results(found, declared, out)
        write_atomically(out / "slices.svg", slices(found).encode())
    _show(found, protocol, out)


def _line(one: Try, wanted: int) -> str:
    values = ", ".join(f"{key}={_short(value)}" for key, value in one.values.items())
    result = f"{100 * one.score:.1f} %" if one.score is not None else f"failed: {one.reason}"
    return f"{one.arm}, try {one.number + 1} of {wanted}: {result} with {values}"


def _show(found: Tuning, protocol: str, out: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dermsynth.trials.tuned import file_name

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("arm", "tries", "own, %", "best, %", "best values"):
        table.add_column(heading, overflow="fold")
    for arm in found.arms:
        tries, best = found.of(arm), found.best(arm)
        values = "\n".join(f"{key}={_short(value)}" for key, value in best.values.items()) if best else "–"
        tried = str(sum(one.state in ("done", "failed") for one in tries))
        own = found.own_score(arm)
        table.add_row(*map(Text, (arm, tried, _percent(own), _percent(best.score if best else None), values)))
    Console(highlight=False).print(table)
    typer.echo(f"{found.metric.replace('_', ' ')} on val; own: with the values of {protocol}")
    if not found.finished:
        typer.echo("other processes are still at it: run the same command again for the whole table")
    for arm in found.arms:
        if found.best(arm):
            typer.echo(f"{out / f'tuned-{file_name(arm)}.yaml'}: the protocol with the best values for '{arm}'")


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{100 * score:.1f}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
