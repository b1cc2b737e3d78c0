"""Progress where there is no terminal: a line now and then, and one at the end."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from dermsynth.cli import progress


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed to a file."""
    file = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=file, width=100))
    return file


def test_the_last_line_says_how_fast_it_went(printed: io.StringIO) -> None:
    with progress.bar("images") as show:
        show(100, 4000)
        show(4000, 4000)
    assert re.fullmatch(r"images: 4,000 of 4,000, [\d,]+ images/s\n", printed.getvalue())


def test_a_single_call_has_no_speed_and_no_blank_at_the_end(printed: io.StringIO) -> None:
    with progress.bar("images") as show:
        show(5, 5)
    assert printed.getvalue() == "images: 5 of 5\n"


def test_a_transfer_says_how_much_came_first_and_last(printed: io.StringIO) -> None:
    with progress.transfers() as show:
        show("a.zip", 0, 9_100_000)
        show("a.zip", 4_000_000, 9_100_000)
        show("a.zip", 9_100_000, 9_100_000)
        show("b.csv", 50_000_000, None)
    assert printed.getvalue() == "a.zip: 0 of 9 MB\na.zip: 9 of 9 MB\n"
