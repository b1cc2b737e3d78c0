"""`trial new`, `trial schema` and `trial compare`: files around a trial, before it runs and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import command, trial_app

if TYPE_CHECKING:
    from rich.console import Console


@command(trial_app, "new")
def trial_new(
    preset: Annotated[
        str | None, typer.Argument(help="A preset, or a YAML file, whose values it starts from.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The file to make.")] = Path("trial.yaml"),
) -> None:
    """Write a commented protocol: every key with its meaning, limits and default.

    Beside it goes the JSON Schema with which an editor completes and checks it.
    """
    from dermsynth.trials.loading import load_protocol
    from dermsynth.trials.template import SCHEMA_FILE, start, write_template

    write_template(load_protocol(preset) if preset else start(), out)
    typer.echo(f"{out}: change what you need, then run 'dermsynth trial run {out} --out FOLDER'")
    typer.echo(f"{out.parent / SCHEMA_FILE}: for editors that read JSON Schema", err=True)


@command(trial_app, "schema")
def trial_schema(
    of: Annotated[
        str, typer.Option("--of", metavar="NAME", help="trial (trial.yaml) or verdict (verdict.json).")
    ] = "trial",
) -> None:
    """Print the JSON Schema of a protocol or of a verdict."""
    from dermsynth.core.artefacts import json_bytes
    from dermsynth.trials.schemas import schema_of

    typer.echo(json_bytes(schema_of(of)).decode(), nl=False)


@command(trial_app, "compare")
def trial_compare(
    trials: Annotated[list[Path], typer.Argument(metavar="TRIAL…", help="Finished trials, or verdict.json files.")],
    json: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file as JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write it to this file as one HTML page.")] = None,
) -> None:
    """Show finished trials side by side.

    What differs in their protocols, what each found, and whether the findings differ: paired where they were judged on
    the same images. Every trial is compared with the first.
    """
    from rich.console import Console

    from dermsynth.core.artefacts import explained_disk_errors, json_bytes, write_atomically
    from dermsynth.reports.side_by_side import differences, effects, render_comparison, scores
    from dermsynth.trials.compare import compare

    found = compare(trials)
    for out, content in (
        (json, json_bytes(found.to_json())),
        (html, render_comparison(found).encode() if html else b""),
    ):
        if out:
            with explained_disk_errors(out):
                write_atomically(out, content)
            typer.echo(f"wrote {out}", err=True)
    console = Console(highlight=False)
    labels = list(found.trials)
    endpoint = found.trials[labels[0]].endpoint
    _table(console, "what differs in the protocols", ["key", *labels], [[key, *row] for key, row in differences(found)])
    for label in found.without_protocol:
        console.print(f"note: the protocol of {label} is not at hand", markup=False)
    metric = endpoint.metric.replace("_", " ")
    _table(
        console,
        f"{metric} on {endpoint.split}, % ({endpoint.confidence:.0%} interval)",
        ["arm", *labels],
        [[arm, *row] for arm, row in scores(found)],
    )
    headings = ["trial", "treatment − control", "points", "interval", "p", "outcome"]
    _table(console, f"effect on {metric}", headings, [list(row) for row in effects(found)])
    for label, verdict in found.trials.items():
        typer.echo(f"{label}: {verdict.sentence}")
    typer.echo()
    for one in found.against:
        typer.echo(one.sentence)


def _table(console: Console, title: str, headings: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(title, style="bold", markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table if rows else "nothing")
