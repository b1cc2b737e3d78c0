"""The law of the audit: numbers that were computed from real confusion matrices and rounded are never impossible."""

from __future__ import annotations

import pytest

from dermsynth.audits.paper import Paper, audit_paper
from dermsynth.core.config import parse
from tests.audits.made_up import made_up_paper

CHUNK = 130


@pytest.mark.parametrize("chunk", range(8))
def test_true_papers_hold_nothing_impossible(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        found = audit_paper(parse(Paper, made_up_paper(seed), f"seed {seed}"))
        wrong = [finding for finding in found if finding.severity == "impossible"]
        assert not wrong, (seed, wrong)


def test_most_papers_with_one_wrong_digit_are_caught() -> None:
    caught = 0
    for seed in range(40):
        values = made_up_paper(seed)
        rows = values["tables"][1]["rows"]
        first, *others = rows["arm 0"].split()
        percent = first.endswith("%")
        number = float(first.rstrip("%")) if first != "-" else 0.0
        step = 5.0 if percent else 0.05
        wrong = number - step if number > 50 * (1 if percent else 0.01) else number + step
        digits = len(first.rstrip("%").partition(".")[2])
        rows["arm 0"] = " ".join([f"{wrong:.{digits}f}{'%' if percent else ''}", *others])
        caught += any(finding.severity == "impossible" for finding in audit_paper(parse(Paper, values, f"seed {seed}")))
    assert caught >= 38
