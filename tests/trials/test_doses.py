"""Dose-response within a trial: which arms make a ladder, and what is read off it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.trials.test_trial_looks import SEEDS, fits

from dermsynth.metrics.lesions import Lesions, bootstrap_recalls
from dermsynth.trials.doses import Dose, doses_of
from dermsynth.trials.evidence import Evidence
from dermsynth.trials.verdict import ArmFacts

SHARES = {"low": 0.5, "middle": 0.6, "high": 0.7, "other": 0.6}


def curves(tmp_path: Path, facts: dict[str, ArmFacts]) -> tuple[Dose, ...]:
    labels = np.repeat([0, 1, 2], 60)
    evidence = Evidence.read(fits(tmp_path, labels, {name: SHARES[name] for name in facts}), SEEDS, "test")
    lesions = Lesions.of(evidence.labels, evidence.lesion_ids, 3)
    recalls = bootstrap_recalls(evidence.correct, lesions, resamples=100)
    return doses_of(evidence, recalls, facts, confidence=0.95, seed=0)


def test_arms_that_differ_in_their_amount_alone_are_a_ladder(tmp_path: Path) -> None:
    amounts = {"high": 400, "low": 100, "middle": 200}
    facts = {arm: ArmFacts("hybrid", {"add.mel": n, "generator.path_rank.keep": 0.5}) for arm, n in amounts.items()}
    facts["other"] = ArmFacts("hybrid", {"add.mel": 300, "generator.path_rank.keep": 1.0})
    found = curves(tmp_path, facts)
    assert [curve.metric for curve in found] == ["balanced_accuracy", "df", "mel", "nv"]
    first = found[0]
    assert (first.key, first.arms, first.doses) == ("add.mel", ("low", "middle", "high"), (100, 200, 400))
    assert first.others == {"recipe": "hybrid", "generator.path_rank.keep": 0.5}
    assert first.slope > 0
    assert first.p_value < 0.01
    assert all(low <= mean <= high for low, mean, high in zip(first.lows, first.means, first.highs, strict=True))
    assert first.slope_low < first.slope < first.slope_high
    assert first.means == pytest.approx(sorted(first.means))


def test_two_amounts_are_no_ladder(tmp_path: Path) -> None:
    facts = {"low": ArmFacts("hybrid", {"fill_to": 100}), "high": ArmFacts("hybrid", {"fill_to": 200})}
    assert curves(tmp_path, facts) == ()
