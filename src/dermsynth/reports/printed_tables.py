"""A paper's tables beside what trials found, in the paper's layout: Markdown, LaTeX and HTML."""

from __future__ import annotations

from dermsynth.classifiers.scorecard import Value
from dermsynth.reports.report import environment
from dermsynth.trials.printed import PrintedTable, PrintedTables

_ROWS = {"printed": "printed", "published": "as published, here", "honest": "honest, here"}
_NONE = "–"
_LATEX = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "–": "--", "−": "$-$", "±": r"$\pm$"})


def cell(value: Value | str | None) -> str:
    """Return a printed number as it stands, or a share with its interval: `0.712 (0.68 to 0.74)`."""
    if value is None:
        return _NONE
    return value if isinstance(value, str) else f"{value.value:.3f} ({value.low:.2f} to {value.high:.2f})"


def grid(table: PrintedTable) -> list[tuple[str, str, list[str]]]:
    """Return (the paper's row, whose numbers, cells) of every row that has numbers."""
    found = []
    for line in table.lines:
        for key, what in _ROWS.items():
            values = getattr(line, key)
            if any(value is not None for value in values):
                found.append((line.name if key == "printed" else "", what, [cell(value) for value in values]))
    return found


def markdown(tables: PrintedTables) -> str:
    """Return all tables as Markdown."""
    parts = [f"# {tables.paper}", "", *(f"- {_ROWS[what]}: {told}" for what, told in tables.trials.items()), ""]
    for table in tables.tables:
        heads = ["", "", *table.columns]
        parts += [f"## {table.where}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        parts += [f"| {' | '.join([name, what, *cells])} |" for name, what, cells in grid(table)]
        parts += ["", *(f"- {found.severity}: {found.finding}" for found in table.findings)]
        parts += [""] if table.findings else []
    return "\n".join(parts).rstrip() + "\n"


def latex(tables: PrintedTables) -> str:
    """Return all tables as LaTeX, each a `table` with `booktabs` rules."""
    parts = [f"% {tables.paper}", "% needs \\usepackage{booktabs}"]
    for table in tables.tables:
        caption = "; ".join([table.where, *(f"{_ROWS[what]}: {told}" for what, told in tables.trials.items())])
        parts += [
            r"\begin{table}",
            f"\\caption{{{caption.translate(_LATEX)}}}",
            f"\\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
            r"\toprule",
            " & ".join(["", "", *(name.translate(_LATEX) for name in table.columns)]) + r" \\",
            r"\midrule",
            *(
                " & ".join(text.translate(_LATEX) for text in [name, what, *cells]) + r" \\"
                for name, what, cells in grid(table)
            ),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    return "\n".join(parts)


def html(tables: PrintedTables) -> str:
    """Return all tables as one HTML page that needs nothing else."""
    shown = [
        {"where": table.where, "columns": table.columns, "rows": grid(table), "findings": table.findings}
        for table in tables.tables
    ]
    trials = {_ROWS[what]: told for what, told in tables.trials.items()}
    template = environment().get_template("printed_tables.html.j2")
    return template.render(paper=tables.paper, tables=shown, trials=trials)
