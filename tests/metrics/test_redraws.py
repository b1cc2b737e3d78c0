"""The lesion bootstrap: against plain formulas and a loop, by its laws, and by simulation with a known truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats
from tests.metrics.guessed import guessed

from dermsynth.core.errors import InputError
from dermsynth.metrics import calibration, operating, ranking, scores, tables
from dermsynth.metrics.judged import (
    BENEFIT_THRESHOLDS,
    BenefitScores,
    CalibrationScores,
    Judged,
    OperatingScores,
    RankingScores,
    TableScores,
    chosen_thresholds,
)
from dermsynth.metrics.lesions import Lesions
from dermsynth.metrics.redraws import Scale, Score, Spread, redraws, spreads

THRESHOLDS = np.array([[[0.5, 0.3]] * 3])


def judged_of(labels: np.ndarray, lesions: np.ndarray, probabilities: np.ndarray) -> Judged:
    n_classes = probabilities.shape[2]
    return Judged(labels, probabilities, Lesions.of(labels, lesions, n_classes), np.eye(n_classes, dtype=bool))


def all_scores(judged: Judged) -> list[Score]:
    thresholds = np.repeat(THRESHOLDS, len(judged.probabilities), axis=0)
    return [
        TableScores(judged),
        RankingScores(judged),
        CalibrationScores(judged),
        OperatingScores(judged, thresholds),
        BenefitScores(judged),
    ]


def spreads_of(judged: Judged, resamples: int = 100, seed: int = 0) -> dict[str, Spread]:
    return spreads(all_scores(judged), judged.lesions, resamples=resamples, seed=seed)


def plain(labels: np.ndarray, probabilities: np.ndarray) -> Mapping[str, object]:
    """Return the scores of one fit from the functions for one set of images."""
    table = scores.confusion_matrix(labels, probabilities.argmax(axis=1), 3)
    each = tables.one_vs_rest(table)
    at = [
        [operating.at_threshold(labels == c, probabilities[:, c], t) for c in range(3)]
        for t in THRESHOLDS[0, 0].tolist()
    ]
    areas = [ranking.average_precision(labels == c, probabilities[:, c]) for c in range(3)]
    return {
        "balanced_accuracy": [scores.balanced_accuracy(labels, probabilities.argmax(axis=1), 3)],
        "accuracy": [tables.accuracy(table)],
        "f1_macro": [each.f1.mean()],
        "f1_weighted": [tables.averaged(each.f1, table, "weighted")],
        "precision_macro": [each.precision.mean()],
        "precision_weighted": [tables.averaged(each.precision, table, "weighted")],
        "specificity_macro": [each.specificity.mean()],
        "mcc": [tables.matthews(table)],
        "kappa": [tables.kappa(table)],
        "sensitivity": each.sensitivity,
        "specificity": each.specificity,
        "precision": each.precision,
        "f1": each.f1,
        "auc": scores.class_aucs(labels, probabilities),
        "auc_macro": [scores.macro_auc(labels, probabilities)],
        "average_precision": areas,
        "average_precision_macro": [np.mean(areas)],
        "brier": [calibration.brier_score(labels, probabilities)],
        "ece": [calibration.calibration_error(labels, probabilities)],
        "ece_equal_mass": [calibration.calibration_error(labels, probabilities, equal_mass=True)],
        "sensitivity_at_specificity": [sensitivity for sensitivity, _ in at[0]],
        "specificity_reached": [specificity for _, specificity in at[0]],
        "sensitivity_reached": [sensitivity for sensitivity, _ in at[1]],
        "specificity_at_sensitivity": [specificity for _, specificity in at[1]],
        "net_benefit": np.concatenate(
            [operating.net_benefit(labels == c, probabilities[:, c], BENEFIT_THRESHOLDS) for c in range(3)]
        ),
    }


@pytest.mark.parametrize("decimals", [None, 1])
def test_values_are_those_of_the_plain_functions(decimals: int | None) -> None:
    labels, lesions, probabilities = guessed(photos=2, fits=2, decimals=decimals)
    found = spreads_of(judged_of(labels, lesions, probabilities), resamples=2)
    for fit in range(2):
        expected = plain(labels, probabilities[fit])
        assert set(found) == set(expected) | {"reliability"}
        for name, values in expected.items():
            assert found[name].values[:, fit] == pytest.approx(np.array(values), abs=1e-12), name


@pytest.mark.parametrize("decimals", [None, 1])
def test_a_redraw_is_the_score_of_images_taken_that_often(decimals: int | None) -> None:
    labels, lesions, probabilities = guessed(photos=2, decimals=decimals)
    judged = judged_of(labels, lesions, probabilities)
    times = np.random.default_rng(0).integers(0, 4, (len(judged.lesions.stratum), 1))
    rows = np.repeat(np.arange(len(labels)), times[judged.lesions.of_image, 0])
    expected = plain(labels[rows], probabilities[0][rows])
    for score in all_scores(judged):
        for name, found in score.of(times.astype(float)).items():
            if name not in ("reliability", "ece_equal_mass"):  # bins of equal numbers stay where they were
                assert found[:, 0, 0] == pytest.approx(np.array(expected[name]), abs=1e-12), name


def test_lesions_of_a_class_keep_their_sum_and_a_single_one_is_kept() -> None:
    lesions = Lesions.of(np.array([0, 1, 1, 1, 2, 2]), np.array([0, 1, 2, 3, 4, 4]), 3)
    (weights,) = redraws(lesions, 50, 0)
    assert weights.shape == (5, 50)
    assert (weights[[0, 4]] == 1).all()
    assert weights[1:4].sum(axis=0) == pytest.approx(np.full(50, 3))
    assert set(np.unique(weights[1:4]).tolist()) == {0, 1.5, 3}


def test_the_variance_of_a_recall_is_that_of_a_sample() -> None:
    labels, lesions, probabilities = guessed((8, 30, 60))
    found = spreads_of(judged_of(labels, lesions, probabilities), resamples=8000)["sensitivity"]
    p, n = found.values[:, 0], np.array([8, 30, 60])
    assert found.covariance[:, 0, 0] == pytest.approx(p * (1 - p) / (n - 1), rel=0.08)


def test_the_spread_is_that_of_a_loop_over_lesions() -> None:
    labels, lesions, probabilities = guessed((12, 12, 20), photos=3, fits=2)
    judged = judged_of(labels, lesions, probabilities)
    found = spreads_of(judged, resamples=4000)
    generator, looped = np.random.default_rng(0), []
    of_class = [np.flatnonzero(judged.lesions.stratum == c) for c in range(3)]
    images_of = [np.flatnonzero(judged.lesions.of_image == lesion) for lesion in range(44)]
    for _ in range(600):
        drawn = np.concatenate([generator.choice(members, len(members) - 1) for members in of_class])
        rows = np.concatenate([images_of[lesion] for lesion in drawn])
        looped.append([(wins(labels[rows], one[rows]), brier(labels[rows], one[rows])) for one in probabilities])
    for m, name in enumerate(("auc_macro", "brier")):
        expected = np.cov(np.array(looped)[:, :, m], rowvar=False)
        assert found[name].covariance[0] == pytest.approx(expected, rel=0.2)


def wins(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the share of pairs of a class and the rest that are ranked right, mean over classes."""
    sides = [(probabilities[labels == c, c], probabilities[labels != c, c]) for c in range(probabilities.shape[1])]
    return float(np.mean([(positive[:, None] > negative).mean() for positive, negative in sides]))


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1).mean())


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    judged = judged_of(*guessed(photos=2))
    first, again, other = (spreads_of(judged, seed=seed) for seed in (0, 0, 1))
    for name in first:
        assert first[name].covariance.tobytes() == again[name].covariance.tobytes(), name
    assert first["auc"].covariance.tobytes() != other["auc"].covariance.tobytes()


def test_redraws_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judged_of(*guessed())
    whole = spreads_of(judged)
    monkeypatch.setattr("dermsynth.metrics.redraws._CELLS_AT_ONCE", 1)
    monkeypatch.setattr("dermsynth.metrics.redraws._LEAST_AT_ONCE", 7)
    for name, found in spreads_of(judged).items():
        assert found.covariance == pytest.approx(whole[name].covariance, abs=1e-12), name


def test_photos_that_resemble_each_other_are_less_evidence() -> None:
    labels, lesions, probabilities = guessed()
    four = judged_of(np.repeat(labels, 4), np.repeat(lesions, 4), np.repeat(probabilities, 4, axis=1))
    as_if_independent = judged_of(four.labels, np.arange(len(four.labels)), four.probabilities)
    once, copied, narrow = (
        spreads_of(one) for one in (judged_of(labels, lesions, probabilities), four, as_if_independent)
    )
    for name in ("f1_macro", "auc_macro", "mcc", "brier"):
        whole, same, half = (one[name].estimate([0], 0, confidence=0.95) for one in (once, copied, narrow))
        assert (same.low, same.high) == pytest.approx((whole.low, whole.high)), name
        assert half.high - half.low < 0.65 * (whole.high - whole.low), name


def test_one_fit_against_itself_differs_by_nothing_but_not_with_certainty() -> None:
    labels, lesions, probabilities = guessed()
    found = spreads_of(judged_of(labels, lesions, np.concatenate([probabilities, probabilities])))
    for name in ("accuracy", "mcc", "auc_macro", "brier", "net_benefit"):
        difference = found[name].compare([1], [0], 0)
        assert (difference.value, difference.p_value) == (0, 1), name
        low, high = difference.interval(0.95)
        assert low == -high < 0, name


def test_intervals_stay_in_their_range_and_hold_the_value_where_everything_is_right_or_wrong() -> None:
    labels, lesions, _ = guessed((2, 1, 30))
    right = np.eye(3)[labels]
    for probabilities, place in ((right, 1), (np.roll(right, 1, axis=1), 0)):
        found = spreads_of(judged_of(labels, lesions, probabilities[None]))
        for name, low, high in (
            ("accuracy", 0, 1),
            ("mcc", -1, 1),
            ("kappa", -1, 1),
            ("brier", 0, 2),
            ("f1_macro", 0, 1),
        ):
            one = found[name].estimate([0], 0, confidence=0.95)
            assert low <= one.low <= one.mean <= one.high <= high, name
            assert one.high - one.low > 0.05, name
        rare, common = (found["sensitivity"].estimate([0], m, confidence=0.95) for m in (1, 2))
        assert rare.mean == common.mean == place
        assert rare.high - rare.low > 0.7 > 0.25 > common.high - common.low


def test_seeds_that_differ_widen_the_interval() -> None:
    labels, lesions, probabilities = guessed((60, 60, 60), fits=3)
    worse = probabilities.copy()
    worse[0, ::3] = np.roll(worse[0, ::3], 1, axis=1)
    same, other = (spreads_of(judged_of(labels, lesions, one))["accuracy"] for one in (probabilities, worse))
    narrow, wide = (one.estimate([0, 1, 2], 0, confidence=0.95) for one in (same, other))
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)
    assert np.mean(wide.by_seed) == pytest.approx(wide.mean)


def test_degrees_of_freedom_are_those_of_the_classes_that_matter() -> None:
    lesions = Lesions.of(np.repeat([0, 1], [5, 400]), np.arange(405), 2)
    macro = Scale.of_lesions(lesions, np.array([[0.5, 0.5]]))
    micro = Scale.of_lesions(lesions, np.array([[5 / 405, 400 / 405]]))
    assert macro.freedom[0, 0] == pytest.approx(4, rel=0.05)
    assert micro.freedom[0, 0] == pytest.approx(403, rel=0.02)


def test_a_group_of_classes_scores_as_one_class_would() -> None:
    labels, lesions, probabilities = guessed(photos=2, decimals=2)
    grouping, merged = Lesions.of(labels, lesions, 3), (labels != 1).astype(np.int64)
    grouped = Judged(labels, probabilities, grouping, np.array([*np.eye(3, dtype=bool), [True, False, True]]))
    two = np.stack([probabilities[..., 1], probabilities[..., [0, 2]].sum(axis=-1)], axis=-1)
    alone = judged_of(merged, lesions, two)
    for kind in (
        RankingScores,
        BenefitScores,
        lambda judged: OperatingScores(judged, np.full((1, len(judged.groups), 2), 0.4)),
    ):
        ours, expected = (kind(judged).of(np.ones((len(judged.lesions.stratum), 1))) for judged in (grouped, alone))
        for name in expected:
            if not name.endswith("macro"):
                last = len(expected[name]) // 2
                assert ours[name][-last:] == pytest.approx(expected[name][-last:], abs=1e-12), name


def test_thresholds_come_from_the_images_given_and_none_from_a_class_without_any() -> None:
    labels, _, probabilities = guessed(fits=2)
    some = labels != 0
    groups = np.array([[True, False, False], [False, True, False], [True, False, True]])
    found = chosen_thresholds(labels[some], probabilities[:, some], groups, specificity=0.8, sensitivity=0.9)
    assert np.isnan(found[:, 0]).all()
    for f in range(2):
        score = probabilities[f, some] @ groups[2]
        assert operating.at_threshold(labels[some] == 2, score, found[f, 2, 0])[1] >= 0.8
        assert operating.at_threshold(labels[some] == 2, score, found[f, 2, 1])[0] >= 0.9


def test_fewer_than_two_redraws_are_refused() -> None:
    with pytest.raises(InputError, match="resamples is 1; a variance needs at least 2"):
        spreads_of(judged_of(*guessed()), resamples=1)


COVERED = ("balanced_accuracy", "f1_macro", "mcc", "kappa", "auc_macro", "average_precision_macro", "brier", "ece")
TRIALS = 100


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """The truth is the mean over test sets of this size: a calibration error is larger on few images than on many.

    Of `TRIALS` 95 % intervals 5 miss on average, and 13 or more with a chance of 0.1 % (binomial).
    """
    values: dict[str, list[tuple[float, float, float]]] = {name: [] for name in COVERED}
    for trial in range(TRIALS):
        found = spreads_of(judged_of(*guessed((15, 25, 50), photos=3, seed=trial)), resamples=150, seed=trial)
        for name in COVERED:
            one = found[name].estimate([0], 0, confidence=0.95)
            values[name].append((one.mean, one.low, one.high))
    for name, each in values.items():
        mean, low, high = np.array(each).T
        missed = int(((low > mean.mean()) | (high < mean.mean())).sum())
        assert stats.binom.sf(missed - 1, TRIALS, 0.05) > 0.002, f"{name}: missed {missed} of {TRIALS}"
        # Not by being wide: half the width would miss far more often.
        half_low, half_high = mean - (mean - low) / 2, mean + (high - mean) / 2
        assert ((half_low > mean.mean()) | (half_high < mean.mean())).sum() > 11, name
