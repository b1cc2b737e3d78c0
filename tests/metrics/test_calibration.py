"""Calibration: what perfect probabilities score, bins with ties and without images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.core.errors import InputError
from dermsynth.metrics.calibration import Reliability, brier_score, brier_terms, calibration_error, equal_mass_edges


def true_to_their_word(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(3), n)
    return (generator.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1), probabilities


def test_brier_is_0_for_certain_truth_2_for_certain_error_and_known_for_no_opinion() -> None:
    terms = brier_terms(np.array([0, 1, 0]), np.array([[1, 0], [1, 0], [0.5, 0.5]]))
    assert terms.tolist() == [0, 2, 0.5]


def test_doubt_that_is_deserved_costs_less_than_false_certainty() -> None:
    labels, probabilities = true_to_their_word(2000)
    sharper = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    assert brier_score(labels, probabilities) < brier_score(labels, sharper)
    assert calibration_error(labels, probabilities) < 0.05 < calibration_error(labels, sharper)


@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_floor_is_what_true_probabilities_score(equal_mass: bool) -> None:
    found = [Reliability.of(*true_to_their_word(150, seed), equal_mass=equal_mass) for seed in range(200)]
    errors, floors = [one.error for one in found], [one.floor for one in found]
    assert np.mean(floors) == pytest.approx(np.mean(errors), rel=0.08)
    assert np.mean(floors) > 0.04


def test_the_error_is_the_weighted_gap_of_the_curve() -> None:
    labels, probabilities = true_to_their_word(100)
    found = Reliability.of(labels, probabilities)
    filled = found.images > 0
    gaps = np.abs(found.accuracy - found.confidence)[filled]
    assert not filled.all()
    assert np.isnan(found.accuracy[~filled]).all()
    assert (gaps * found.images[filled]).sum() / 100 == pytest.approx(found.error)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=40), st.integers(1, 15))
def test_equal_confidences_share_a_bin_and_none_is_lost(confidences: list[float], n_bins: int) -> None:
    edges = equal_mass_edges(np.array(confidences), n_bins)
    assert (np.diff(edges) > 0).all()
    assert (edges[0], edges[-1]) == (0, 1)
    assert len(edges) - 1 <= n_bins
    both = np.column_stack([confidences, 1 - np.array(confidences)])
    found = Reliability.of(np.zeros(len(confidences), dtype=np.int64), both, equal_mass=True, n_bins=n_bins)
    assert found.images.sum() == len(confidences)
    for value in set(found.confidences.tolist()):
        assert len(set(found.of_image[found.confidences == value].tolist())) == 1


def test_one_bin_compares_mean_confidence_with_accuracy() -> None:
    labels, probabilities = true_to_their_word(60)
    gap = probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == labels).mean()
    assert calibration_error(labels, probabilities, n_bins=1) == pytest.approx(abs(gap))


def test_no_bin_is_refused() -> None:
    with pytest.raises(InputError, match="n_bins is 0; a calibration error needs at least 1 bin"):
        calibration_error(*true_to_their_word(5), n_bins=0)
