"""`audit`: what is wrong with a cohort, before anybody trains on it, or with the numbers of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermsynth.cli.app import CORES, Threads, app, command

if TYPE_CHECKING:
    from dermsynth.audits.paper import Finding

audit_app = typer.Typer(help="Look for what would make results wrong.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")

ERRORS_FOUND = 1


@command(audit_app, "cohort")
def audit_cohort(
    path: Annotated[Path, typer.Argument(help="A cohort or a pool.")],
    against: Annotated[
        Path | None, typer.Option(help="Another cohort that should share nothing with it, such as an external test.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the findings as one HTML page.")] = None,
    threads: Threads = CORES,
) -> None:
    """List what is wrong with a cohort or a pool.

    Leakage, duplicates and near-duplicates, contradicting labels, rare classes, odd images, and what else goes with the
    class; the exit code is 1 if there are errors.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dermsynth.audits.cohort import examine
    from dermsynth.cli.progress import bar
    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.core.artefacts import explained_disk_errors, write_atomically
    from dermsynth.reports.audit import render_audit

    cohort, other = Cohort.open(path), Cohort.open(against) if against else None
    with bar("looking for near-duplicates") as progress:
        audit = examine(cohort, other, threads=threads, progress=progress)
    findings = audit.findings
    if findings:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("severity", "finding", "count", "detail"):
            table.add_column(heading, justify="right" if heading == "count" else "left")
        for found in findings:
            table.add_row(*map(Text, (found.severity, found.finding, f"{found.count:,}", found.detail)))
        Console().print(table)
    counts = {kind: sum(found.severity == kind for found in findings) for kind in ("error", "warning", "note")}
    told = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    if html:
        with explained_disk_errors(html):
            write_atomically(html, render_audit(audit, cohort, other).encode())
        typer.echo(f"wrote {html}", err=True)
    typer.echo(f"{path}: {len(cohort):,} images, {told}")
    if counts["error"]:
        raise typer.Exit(ERRORS_FOUND)


@command(audit_app, "paper")
def audit_paper(
    numbers: Annotated[Path | None, typer.Argument(help="A YAML file with the numbers of a paper.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Write a commented template to NUMBERS and leave.")] = False,
    example: Annotated[
        str | None, typer.Option(metavar="NAME", help="A paper that comes with dermsynth; with --new, a copy of it.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the findings as JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the findings as one HTML page.")] = None,
) -> None:
    """Say which printed numbers of a paper contradict each other.

    Every finding shows its arithmetic; the exit code is 1 if numbers cannot all be true.
    """
    from dermsynth.audits import paper as audit
    from dermsynth.core.artefacts import explained_disk_errors, json_bytes, write_atomically
    from dermsynth.core.errors import ArtefactError, ConfigError
    from dermsynth.reports.paper import render_paper, summary

    if new:
        text, numbers = audit.example_text(example or audit.TEMPLATE), numbers or Path("numbers.yaml")
        if numbers.exists():
            raise ArtefactError(f"{numbers}: already exists; give the path of a file to make")
        write_atomically(numbers, text.encode())
        typer.echo(f"{numbers}: fill in what the paper prints, then run 'dermsynth audit paper {numbers}'")
        return
    if (numbers is None) == (example is None):
        known = ", ".join(audit.example_names())
        raise ConfigError(f"give a YAML file (--new writes a template), or --example with one of {known}")
    paper = audit.load_paper(numbers) if numbers else audit.example(example or "")
    findings = audit.audit_paper(paper)
    _show(findings)
    told = {"paper": paper.paper, "source": paper.source, "findings": [finding.to_json() for finding in findings]}
    for out, content in ((json, json_bytes(told)), (html, render_paper(paper, findings).encode())):
        if out:
            with explained_disk_errors(out):
                write_atomically(out, content)
            typer.echo(f"wrote {out}", err=True)
    typer.echo(f"{numbers or example}: {summary(findings)}")
    if any(finding.severity == "impossible" for finding in findings):
        raise typer.Exit(ERRORS_FOUND)


def _show(findings: Sequence[Finding]) -> None:
    """Print findings with their arithmetic, each step indented on its own line."""
    import textwrap

    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def line(text: str, indent: int, style: str = "") -> None:
        margin = " " * indent
        filled = textwrap.fill(text, console.width, initial_indent=margin, subsequent_indent=margin)
        console.print(Text(filled, style=style))

    colours = {"impossible": "bold red", "doubtful": "bold yellow", "note": "bold"}
    for found in findings:
        console.print(Text.assemble((found.severity, colours[found.severity]), f"  {found.check} · {found.where}"))
        line(found.finding, 2, "bold")
        for step in found.steps:
            line(step, 6)
        line(f"Would resolve it: {found.resolve}.", 2, "italic")
        console.print()
