"""`audit`: what is wrong with a cohort, before anybody trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import app, command

audit_app = typer.Typer(help="Look for what would make results wrong.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")

ERRORS_FOUND = 1


@command(audit_app, "cohort")
def audit_cohort(path: Annotated[Path, typer.Argument(help="A cohort or a pool.")]) -> None:
    """List what is wrong with a cohort or a pool.

    Leakage, duplicates, contradicting labels and rare classes; the exit code is 1 if there are errors.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dermsynth.audits.cohort import audit_cohort as run
    from dermsynth.cohorts.cohort import Cohort

    cohort = Cohort.open(path)
    findings = run(cohort)
    if findings:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("severity", "finding", "count", "detail"):
            table.add_column(heading, justify="right" if heading == "count" else "left")
        for found in findings:
            table.add_row(*map(Text, (found.severity, found.finding, f"{found.count:,}", found.detail)))
        Console().print(table)
    counts = {kind: sum(found.severity == kind for found in findings) for kind in ("error", "warning", "note")}
    told = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    typer.echo(f"{path}: {len(cohort):,} images, {told}")
    if counts["error"]:
        raise typer.Exit(ERRORS_FOUND)
