"""What a report says of comparisons that are looked at together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermsynth.reports import comparisons, numbers
from dermsynth.reports.evidence import read_trial
from dermsynth.reports.report import render


@pytest.fixture(scope="module")
def verdict(finished_trial: Path) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads((finished_trial / "verdict.json").read_text())
    return found


def test_every_comparison_is_shown_with_the_p_value_it_is_decided_on(
    finished_trial: Path, verdict: dict[str, list[dict[str, object]]]
) -> None:
    shown = {(row["arm"], row["against"]): row for row in comparisons.forests(read_trial(finished_trial))["rows"]}
    assert len(shown) == len(verdict["comparisons"])
    for comparison in verdict["comparisons"]:
        row = shown[comparison["arm"], comparison["against"]]
        for entry, name in (("p", "p_value"), ("adjusted", "adjusted_p"), ("equivalence", "equivalence_p")):
            assert row[entry] == numbers.p_value(comparison[name])  # type: ignore[arg-type]
        assert row["outcome"] == comparison["outcome"]


def test_the_page_says_what_is_adjusted_and_whether_classes_differ(finished_trial: Path) -> None:
    evidence = read_trial(finished_trial)
    page = " ".join(render(evidence).split())  # splits at narrow spaces too
    told = " ".join(numbers.equals_p(evidence.primary["classes"]["p_value"]).split())
    assert "outcomes of the others are adjusted for their number (Holm)" in page
    assert f"{told} (Cochran’s Q" in page
    assert page.count('<th scope="col">p, adjusted</th>') == 2
    assert "not corrected" not in page
