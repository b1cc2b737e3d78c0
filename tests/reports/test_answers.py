"""What would change the verdict, held against judging again with that changed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import fabricate

from dermsynth.reports.answers import answers
from dermsynth.reports.evidence import Evidence, read_trial
from dermsynth.reports.robustness import Omission, Robustness
from dermsynth.trials.verdict import Endpoint, Verdict, judge


@pytest.fixture(scope="module")
def evidence(finished_trial: Path) -> Evidence:
    return read_trial(finished_trial)


@pytest.fixture(scope="module")
def asked(evidence: Evidence) -> Robustness:
    return Robustness(evidence)


@pytest.fixture(scope="module")
def omissions(asked: Robustness) -> dict[str, Omission]:
    return {one.label: one for one in asked.omissions()}


def judged_again(trial: Path, *, seeds: tuple[int, ...] = (0, 1, 2), margin: float = 0.02) -> Verdict:
    index = json.loads((trial / "index.json").read_text())
    two = {arm: {s: trial / index["fits"][arm][str(s)] for s in seeds} for arm in ("oversampled", "hybrid")}
    endpoint = Endpoint(resamples=200, smallest_difference=margin)
    return judge(two, endpoint, control="oversampled", treatment="hybrid", name="again", generators=1)


def told(evidence: Evidence) -> dict[str, str]:
    return {one["topic"]: one["text"] for one in answers(evidence)["sentences"]}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_a_seed_it_is_the_verdict_of_the_others(
    finished_trial: Path, omissions: dict[str, Omission], seed: int
) -> None:
    rest = tuple(other for other in (0, 1, 2) if other != seed)
    (again,) = judged_again(finished_trial, seeds=rest).comparisons
    found = omissions[f"without seed {seed}"]
    assert (found.found.value, found.low, found.high) == pytest.approx((again.difference, again.low, again.high))
    assert found.outcome == again.outcome


def test_without_a_class_it_is_the_mean_of_the_others(evidence: Evidence, omissions: dict[str, Omission]) -> None:
    recalls = {name: change["difference"] for name, change in evidence.primary["recall"].items()}
    for name in recalls:
        rest = [value for other, value in recalls.items() if other != name]
        assert omissions[f"without {name}"].found.value == pytest.approx(np.mean(rest))


def test_the_margin_that_is_named_is_where_the_outcome_turns(finished_trial: Path, evidence: Evidence) -> None:
    main = evidence.primary
    edge = max(abs(main["low"]), abs(main["high"]))
    assert f"{100 * edge:.1f}" in told(evidence)["The margin"]
    assert judged_again(finished_trial, margin=edge * 1.001).outcome == "equivalent"
    assert judged_again(finished_trial, margin=edge * 0.999).outcome != "equivalent"


def test_what_a_trial_sees_is_what_its_noise_lets_it_see(evidence: Evidence, asked: Robustness) -> None:
    design = asked.design(asked.seeds)
    assert design is not None
    seen = design.smallest_difference(0.8)
    assert design.chance_of_helps(seen) == pytest.approx(0.8, abs=1e-3)
    assert f"find a true gain of {100 * seen:.1f}" in told(evidence)["The size of the trial"]


def test_an_inconclusive_trial_is_told_what_it_lacks(evidence: Evidence, asked: Robustness) -> None:
    assert evidence.primary["outcome"] == "inconclusive"
    text = told(evidence)["The size of the trial"]
    times = re.search(r"about ([\d,]+) lesions \(([\d.]+) times as many\)", text)
    seeds = re.search(r"needs about (\d+) seeds", text)
    assert times or "times the lesions" in text
    truth = abs(evidence.primary["difference"])
    for found, design in (
        (times, asked.design(asked.seeds, float(times[2])) if times else None),
        (seeds, asked.design(int(seeds[1])) if seeds else None),
    ):
        if found and design:
            assert design.chance_of_helps(truth) + design.chance_of_equivalent(truth) >= 0.8


def test_a_single_seed_is_said_to_tell_nothing_of_others(tmp_path: Path) -> None:
    trial = fabricate(tmp_path / "t", seeds=(0,), arms=("oversampled", "hybrid"), size_px=16)
    said = told(read_trial(trial))
    assert said["The seeds"].startswith("One seed was trained")
    assert "The size of the trial" not in said
    assert said["The placebo"].startswith("No placebo was run")
    assert "The oracle" not in said


def test_lesions_that_would_undo_a_gain_are_counted(rich_trial: Path) -> None:
    found = read_trial(rich_trial)
    main, tested = found.primary, found.verdict["test"]["per_class"]
    assert main["outcome"] == "helps"
    fewest = min(one["lesions"] for one in tested.values())
    needed = int(np.ceil(main["low"] * len(tested) * fewest))
    assert needed <= fewest
    assert re.search(rf"\b{needed} lesions? of \w+ judged the other way", told(found)["A few lesions"])


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("helps", "more varied pictures are not all of it"),
        ("inconclusive", "cannot be told whether what the images show"),
    ],
)
def test_what_the_placebo_says_follows_its_outcome(evidence: Evidence, outcome: str, words: str) -> None:
    verdict: dict[str, Any] = json.loads(json.dumps(evidence.verdict))
    for one in verdict["comparisons"]:
        if one["against"] == "placebo":
            one["outcome"] = outcome
    assert words in told(Evidence(**{**vars(evidence), "verdict": verdict}))["The placebo"]
