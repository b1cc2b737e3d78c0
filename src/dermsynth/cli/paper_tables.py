"""`trial tables`: a paper's tables beside what trials found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermsynth.cli.app import Force, Out, command, trial_app


@command(trial_app, "tables")
def trial_tables(
    paper: Annotated[str, typer.Argument(help="001, 002-refined, 002-translated or 003.")],
    out: Out,
    published: Annotated[
        Path | None, typer.Option("--published", metavar="TRIAL", help="A finished trial of its variant as-published.")
    ] = None,
    honest: Annotated[
        Path | None, typer.Option("--honest", metavar="TRIAL", help="A finished trial of the preset as it stands.")
    ] = None,
    force: Force = False,
) -> None:
    """Set a paper's printed tables beside the same numbers found here.

    Markdown, LaTeX and HTML, in the paper's own layout, with what the audit says of each table.
    """
    from dermsynth.core import artefacts
    from dermsynth.reports import printed_tables
    from dermsynth.trials.printed import tables_of

    artefacts.check_free(out, force=force)
    found = tables_of(paper, published=published, honest=honest)
    with artefacts.creating(out, "tables", force=force) as draft:
        for name, text in (
            ("tables.md", printed_tables.markdown(found)),
            ("tables.tex", printed_tables.latex(found)),
            ("tables.html", printed_tables.html(found)),
        ):
            artefacts.write_atomically(draft.path / name, text.encode())
        draft.card.update(paper=found.paper, trials=dict(found.trials))
    typer.echo(f"{out}: {len(found.tables)} tables as tables.md, tables.tex and tables.html")
