"""Looks, doses and grids on the page, where a trial has them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from fabricated import GRID

from dermsynth.reports import elsewhere
from dermsynth.reports.evidence import Evidence, read_trial
from dermsynth.reports.report import render


@pytest.fixture(scope="module")
def evidence(rich_trial: Path) -> Evidence:
    return read_trial(rich_trial)


@pytest.fixture(scope="module")
def text(evidence: Evidence) -> str:
    return " ".join(re.sub(r"<(style|svg).*?</\1>|<[^>]+>", " ", render(evidence), flags=re.DOTALL).split())


def test_every_look_is_shown_with_its_kind(evidence: Evidence) -> None:
    shown = elsewhere.looks(evidence)
    assert shown is not None
    assert [row["name"] for row in shown["rows"]] == ["resnet18", "with synthetic", "sex: female", "sex: male"]
    drawn = shown["figure"].panels[0]
    assert all(words in drawn for words in ("other classifiers", "subgroups of the test", "tested as published"))


def test_a_test_as_published_counts_for_nothing(evidence: Evidence, text: str) -> None:
    shown = elsewhere.looks(evidence)
    assert shown is not None
    assert shown["count"] == 3
    assert "Tested as published (with synthetic) , with synthetic images in the treatment’s own test" in text
    assert not [one for one in shown["decided"] if "with synthetic" in one]


def test_groups_are_asked_whether_they_differ(text: str) -> None:
    assert re.search(r"Does the difference depend on sex\? p = [\d.]+ \(Cochran’s Q", text)


def test_a_trend_is_told_over_the_whole_range(evidence: Evidence) -> None:
    shown = elsewhere.doses(evidence)
    assert shown is not None
    assert len(shown["figure"].panels) == len(shown["rows"]) == 2  # one for each rank; classes are in the file
    (first,) = [one for one in evidence.verdict["doses"] if one["metric"] == "balanced_accuracy"][:1]
    row = shown["rows"][0]
    assert row["span"] == "10 to 40"
    assert row["change"].startswith(f"{100 * 30 * first['slope']:+.1f}".replace("-", "−"))
    assert row["told"] == (first["p_value"] < 0.05)


def test_a_grid_has_a_cell_for_every_arm(evidence: Evidence, text: str) -> None:
    (grid,) = elsewhere.grids(evidence)
    assert (grid["down"], grid["across"], grid["columns"]) == ("fill_to", "rank", ["0.5", "1"])
    assert [row["value"] for row in grid["rows"]] == ["10", "20", "40"]
    assert sum(cell is not None for row in grid["rows"] for cell in row["cells"]) == len(GRID)
    assert "The largest of several is too good by chance" in text


def test_the_strongest_shade_is_the_largest_difference(evidence: Evidence) -> None:
    (grid,) = elsewhere.grids(evidence)
    cells = [cell for row in grid["rows"] for cell in row["cells"]]
    assert max(cell["share"] for cell in cells) == 100
    assert all((cell["direction"] == "up") == cell["text"].startswith("+") for cell in cells)


def test_what_the_jobs_cost_is_summed_by_kind(evidence: Evidence, text: str) -> None:
    fits = [cost for cost in evidence.costs.values() if cost.kind == "fit"]
    assert len(fits) == 2 * (4 + len(GRID)) + 4  # the further classifier has fits of two arms
    minutes, seconds = divmod(round(sum(cost.wall_s for cost in fits)), 60)
    assert re.search(rf"classifiers {len(fits)} {minutes}\Wmin {seconds:02d}\Ws", text)
    assert "500 MiB" in text


def test_costs_of_other_trials_in_a_shared_folder_are_left_out(rich_trial: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(rich_trial, tmp_path / "t"))
    costs = trial / "jobs" / "costs"
    (known,) = costs.glob("run-*.json")
    other = {**json.loads(known.read_text()), "job": "run-99998888"}
    (costs / "run-99998888.json").write_text(json.dumps(other))
    assert "run-99998888" not in read_trial(trial).costs


def test_a_verdict_of_the_schema_before_is_still_shown(finished_trial: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(finished_trial, tmp_path / "t"))
    verdict = json.loads((trial / "verdict.json").read_text())
    for name in ("looks", "doses", "chosen", "subgroups"):
        del verdict[name]
    for arm in verdict["arms"].values():
        del arm["recipe"], arm["settings"]
    (trial / "verdict.json").write_text(json.dumps({**verdict, "schema": 2}))
    found = read_trial(trial)
    assert (elsewhere.looks(found), elsewhere.doses(found), elsewhere.grids(found)) == (None, None, [])
    assert "No placebo" not in render(found)


def test_how_the_treatment_was_chosen_is_told(rich_trial: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(rich_trial, tmp_path / "t"))
    verdict = json.loads((trial / "verdict.json").read_text())
    verdict["chosen"] = {"among": {"hybrid": 0.71, GRID[0]: 0.69}, "on": "val"}
    (trial / "verdict.json").write_text(json.dumps(verdict))
    page = " ".join(render(read_trial(trial)).split())
    assert "became the treatment because it was the best on val of hybrid (71.0 %)" in page
