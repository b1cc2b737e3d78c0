"""The corrected resampled t-test: against SciPy where nothing is to be corrected, and on overlapping training sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dermsynth.core.errors import InputError
from dermsynth.metrics.splits import corrected_t


def test_with_hardly_any_test_images_it_is_students_t() -> None:
    differences = np.array([0.01, 0.03, -0.01, 0.02, 0.04])
    found = corrected_t(differences, train=1e12, test=1)
    expected = stats.ttest_1samp(differences, 0)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p_value) == pytest.approx((interval.low, interval.high, expected.pvalue))


def test_the_error_grows_by_the_overlap() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.01, 10)
    plain, corrected = (corrected_t(differences, train=train, test=1) for train in (1e12, 9))
    ratio = (corrected.high - corrected.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(np.sqrt((1 / 10 + 1 / 9) / (1 / 10)))
    assert corrected.difference == plain.difference


def test_repeated_splits_without_a_difference_are_called_different_in_few_of_all() -> None:
    """Two classifiers with the same error: a plain t-test over splits of one data set finds a difference too often."""
    generator = np.random.default_rng(0)
    found: dict[str, list[bool]] = {"plain": [], "corrected": []}
    for _ in range(600):
        n, value = 60, generator.normal(size=(60, 2))
        differences = []
        for _ in range(15):
            rows = generator.permutation(n)
            train, test = value[rows[:48]], value[rows[48:]]
            models = train.mean(axis=0)  # each arm predicts its own mean; its loss is squared
            differences.append(float(((test - models) ** 2).mean(axis=0) @ [1, -1]))
        found["corrected"].append(corrected_t(np.array(differences), train=48, test=12).p_value < 0.05)
        found["plain"].append(stats.ttest_1samp(differences, 0).pvalue < 0.05)
    assert np.mean(found["corrected"]) <= stats.binom.ppf(0.999, 600, 0.05) / 600
    assert np.mean(found["plain"]) > 0.2


def test_splits_that_agree_are_certain_only_of_a_difference() -> None:
    assert corrected_t(np.array([0.25, 0.25]), train=4, test=1).p_value == 0
    assert corrected_t(np.zeros(3), train=4, test=1).p_value == 1


def test_one_split_or_an_empty_set_is_refused() -> None:
    with pytest.raises(InputError, match="1 split; a variance over splits needs at least 2"):
        corrected_t(np.array([0.1]), train=4, test=1)
    with pytest.raises(InputError, match="0 lesions to train and 1 to test"):
        corrected_t(np.array([0.1, 0.2]), train=0, test=1)
