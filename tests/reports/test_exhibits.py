"""The numbers behind the figures of a page, as files to download."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
import shutil
from pathlib import Path

import pytest

from dermsynth.reports import exhibits
from dermsynth.reports.evidence import read_trial
from dermsynth.reports.report import render, write_report

LINK = re.compile(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]+)"')


def rows_of(encoded: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(base64.b64decode(encoded).decode())))


@pytest.fixture(scope="module")
def page(rich_trial: Path) -> str:
    return render(read_trial(rich_trial))


def test_a_file_holds_the_rows_whatever_is_in_their_names() -> None:
    found = exhibits.data("x", ("name", "value"), [('a, "b"\nc', 0.123456789), ("é", None), ("none", -0.0)])
    assert found.file == "x.csv"
    told = rows_of(found.url.partition("base64,")[2])
    assert told == [["name", "value"], ['a, "b"\nc', "0.123457"], ["é", ""], ["none", "0"]]


def test_every_figure_has_its_numbers_beside_it(page: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", page, flags=re.DOTALL)
    assert len(figures) > 10
    # The strip repeats the numbers above it, a confusion matrix is a table with one file for all, samples are pictures.
    others = ('class="strip"', 'class="confusion"', 'class="film"')
    assert [one[:200] for one in figures if "download=" not in one and not any(name in one for name in others)] == []


def test_every_file_has_a_name_of_its_own_and_rows_as_long_as_its_header(page: str) -> None:
    found = [(html.unescape(name), rows_of(encoded)) for name, encoded in LINK.findall(page)]
    names = [name for name, _ in found]
    assert len(set(names)) == len(names) >= 15
    for name, (header, *rows) in found:
        assert rows, name
        assert {len(row) for row in rows} == {len(header)}, name


def test_the_file_of_comparisons_has_the_numbers_of_the_verdict(rich_trial: Path, page: str) -> None:
    encoded = dict(LINK.findall(page))["comparisons.csv"]
    told = {
        (row["arm"], row["against"]): row for row in csv.DictReader(io.StringIO(base64.b64decode(encoded).decode()))
    }
    comparisons = read_trial(rich_trial).verdict["comparisons"]
    assert len(told) == len(comparisons)
    for one in comparisons:
        row = told[one["arm"], one["against"]]
        assert float(row["low"]) == pytest.approx(one["low"], rel=1e-5)
        assert float(row["seed_1"]) == pytest.approx(one["by_seed"][1], rel=1e-5)
        assert row["outcome"] == one["outcome"]


def test_a_rich_page_is_the_same_bytes_again(rich_trial: Path, page: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(rich_trial, tmp_path / "elsewhere"))
    assert write_report(copy).read_text(encoding="utf-8") == page
