"""The audit of a paper as one HTML file that needs nothing else, and no network."""

from __future__ import annotations

from collections.abc import Sequence

from dermsynth.audits.paper import SEVERITIES, Finding, Paper
from dermsynth.reports.numbers import several
from dermsynth.reports.report import environment

MEANING = {
    "impossible": "These numbers cannot all be true as labelled, whichever way they were rounded.",
    "doubtful": "These numbers would need a coincidence, or do not carry the claim that is made with them.",
    "note": "What follows from the printed numbers.",
}


def render_paper(paper: Paper, findings: Sequence[Finding]) -> str:
    """Return the page as text; findings stand in the order given, grouped by severity."""
    groups = [
        {"severity": severity, "meaning": MEANING[severity], "findings": found}
        for severity in SEVERITIES
        if (found := [finding for finding in findings if finding.severity == severity])
    ]
    worst = groups[0]["severity"] if groups else "note"
    cells = sum(len(row.cells) for row in paper.rows)
    sizes = {
        ("set of images", "sets of images"): len(paper.sets),
        ("table", "tables"): len(paper.tables),
        ("printed metric", "printed metrics"): cells,
        ("confusion matrix", "confusion matrices"): len(paper.matrices),
        ("claim", "claims"): len(paper.comparisons),
    }
    read = [several(number, one, more) for (one, more), number in sizes.items() if number]
    return (
        environment()
        .get_template("paper.html.j2")
        .render(paper=paper, groups=groups, worst=worst, verdict=summary(findings), read=read)
    )


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings of each severity there are: `6 impossible, 5 doubtful, 2 notes`."""
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    return f"{counts['impossible']} impossible, {counts['doubtful']} doubtful, {several(counts['note'], 'note')}"
