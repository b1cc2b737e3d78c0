"""The page of an audit: self-contained, escaped, worst first, and a word when nothing was found."""

from __future__ import annotations

from dermsynth.audits.paper import Finding, Paper, audit_paper, example
from dermsynth.reports.paper import MEANING, render_paper, summary


def test_the_page_needs_no_network() -> None:
    paper = example("001")
    page = render_paper(paper, audit_paper(paper))
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "default-src 'none'" in page


def test_severities_stand_in_order_with_their_meaning() -> None:
    paper = example("003")
    page = render_paper(paper, audit_paper(paper))
    places = [page.index(meaning) for meaning in MEANING.values()]
    assert places == sorted(places)


def test_what_a_paper_says_is_escaped() -> None:
    found = Finding("note", "trend", "T", "<b>", ("1 < 2",), "x")
    page = render_paper(Paper(paper="<script>"), [found])
    assert "<script>" not in page
    assert "&lt;b&gt;" in page
    assert "1 &lt; 2" in page


def test_a_paper_without_findings_says_so() -> None:
    assert "The printed numbers agree with each other" in render_paper(Paper(paper="x"), [])
    assert summary([]) == "0 impossible, 0 doubtful, 0 notes"
