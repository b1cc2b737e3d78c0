"""Thresholds and net benefit: against search by hand, at ties, and at input without an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.core.errors import InputError
from dermsynth.metrics.operating import (
    at_threshold,
    net_benefit,
    net_benefit_of_all,
    threshold_for_sensitivity,
    threshold_for_specificity,
)

SCORED = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30).filter(
    lambda pairs: len({positive for positive, _ in pairs}) == 2
)


def arrays(pairs: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([positive for positive, _ in pairs]), np.array([score for _, score in pairs]) / 6


@settings(max_examples=100, deadline=None)
@given(SCORED, st.floats(0.05, 0.95))
def test_thresholds_are_those_of_a_search_over_all(pairs: list[tuple[bool, int]], share: float) -> None:
    positive, scores = arrays(pairs)
    tried = [*np.unique(scores), 2.0]
    found = threshold_for_specificity(positive, scores, share)
    allowed = [t for t in tried if at_threshold(positive, scores, t)[1] >= share]
    assert at_threshold(positive, scores, found) == at_threshold(positive, scores, min(allowed))
    found = threshold_for_sensitivity(positive, scores, share)
    allowed = [t for t in tried if at_threshold(positive, scores, t)[0] >= share]
    assert at_threshold(positive, scores, found) == at_threshold(positive, scores, max(allowed))


def test_a_share_that_is_met_exactly_is_met() -> None:
    positive, scores = np.arange(20) >= 10, np.arange(20) / 20
    assert at_threshold(positive, scores, threshold_for_specificity(positive, scores, 0.7))[1] == 0.7
    assert at_threshold(positive, scores, threshold_for_sensitivity(positive, scores, 0.7))[0] == 0.7


def test_a_constant_score_calls_nothing_for_a_specificity_and_everything_for_a_sensitivity() -> None:
    positive, scores = np.array([True, False, False]), np.full(3, 0.4)
    assert at_threshold(positive, scores, threshold_for_specificity(positive, scores, 0.9)) == (0, 1)
    assert at_threshold(positive, scores, threshold_for_sensitivity(positive, scores, 0.9)) == (1, 0)


def test_a_threshold_chosen_on_the_test_set_looks_better_than_it_is() -> None:
    generator = np.random.default_rng(0)
    honest, looked = [], []
    for _ in range(200):
        positive, scores = np.arange(60) < 15, generator.normal(0, 1, (2, 60))
        scores[:, :15] += 1
        looked.append(at_threshold(positive, scores[1], threshold_for_specificity(positive, scores[1], 0.9)))
        honest.append(at_threshold(positive, scores[1], threshold_for_specificity(positive, scores[0], 0.9)))
    assert min(specificity for _, specificity in looked) >= 0.9
    assert min(specificity for _, specificity in honest) < 0.85


@settings(max_examples=60, deadline=None)
@given(SCORED, st.floats(0, 0.98))
def test_net_benefit_is_its_definition_and_never_above_the_share_of_positives(
    pairs: list[tuple[bool, int]], threshold: float
) -> None:
    positive, scores = arrays(pairs)
    called = scores >= threshold
    odds = threshold / (1 - threshold)
    expected = sum(1 if p else -odds for p, c in zip(positive, called, strict=True) if c) / len(called)
    assert net_benefit(positive, scores, np.array([threshold])) == pytest.approx([expected], abs=1e-9)
    assert expected <= positive.mean() + 1e-12


def test_calling_everything_is_the_net_benefit_of_a_score_above_all_thresholds() -> None:
    positive, thresholds = np.array([True, False, False, True]), np.array([0.0, 0.1, 0.5, 0.9])
    assert net_benefit(positive, np.ones(4), thresholds) == pytest.approx(net_benefit_of_all(0.5, thresholds))
    assert net_benefit(positive, np.zeros(4), thresholds[1:]).tolist() == [0, 0, 0]


def test_input_without_an_answer_is_refused() -> None:
    positive, scores = np.array([True, True]), np.array([0.1, 0.2])
    with pytest.raises(InputError, match=r"no image is negative.*choose it on images of other classes"):
        threshold_for_specificity(positive, scores, 0.9)
    with pytest.raises(InputError, match=r"no image is positive.*choose it on images of the class"):
        threshold_for_sensitivity(~positive, scores, 0.9)
    with pytest.raises(InputError, match="2 of 2 images are positive; score a part that holds both kinds"):
        at_threshold(positive, scores, 0.5)
    with pytest.raises(InputError, match=r"specificity is 1; expected a share between 0 and 1, such as 0\.9"):
        threshold_for_specificity(positive, scores, 1.0)
    with pytest.raises(InputError, match="sensitivity is 90; expected a share"):
        threshold_for_sensitivity(positive, scores, 90)
    with pytest.raises(InputError, match="threshold is 1; expected a probability from 0 to below 1"):
        net_benefit(positive, scores, np.array([0.5, 1.0]))
