"""Copies are found, new samples are not, by four measures, each against an independent count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from dermsynth.core.errors import InputError
from dermsynth.metrics.memorisation import authenticity, copying_statistic, membership_attack, share_nearer_to_train


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6))


def names(n: int, prefix: str) -> np.ndarray:
    return np.array([f"{prefix}{i}" for i in range(n)])


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([np.linalg.norm(y - row, axis=1).min() for row in x])


def test_copies_of_train_are_all_nearer_to_train() -> None:
    train = normal(50, 0)
    found = share_nearer_to_train(train + 1e-6, train, normal(50, 1))
    assert (found.share, found.high, found.images) == (1.0, 1.0, 50)
    assert found.low > 0.9


def test_new_samples_of_the_same_distribution_score_about_a_half() -> None:
    found = share_nearer_to_train(normal(400, 2), normal(300, 0), normal(300, 1))
    assert found.low < 0.5 < found.high


def test_it_counts_what_a_loop_counts() -> None:
    fakes, train, holdout = normal(30, 2), normal(20, 0), normal(20, 1)
    near = [min(np.linalg.norm(train - x, axis=1)) < min(np.linalg.norm(holdout - x, axis=1)) for x in fakes]
    assert share_nearer_to_train(fakes, train, holdout).share == pytest.approx(np.mean(near))


def test_equal_distances_count_one_half() -> None:
    train = normal(20, 0)
    assert share_nearer_to_train(normal(30, 2), train, train).share == 0.5


@pytest.mark.parametrize(
    ("fakes", "train", "holdout", "message"),
    [
        (normal(3, 0), normal(4, 1), normal(5, 2), "4 training and 5 held-out"),
        (np.zeros((3, 2)), normal(4, 1), normal(4, 2), "2 and 6 dimensions"),
        (np.zeros((0, 6)), normal(4, 1), normal(4, 2), "synthetic set: 0 images"),
        (np.full((3, 6), np.inf), normal(4, 1), normal(4, 2), "not finite"),
    ],
)
def test_unusable_sets_are_refused(fakes: np.ndarray, train: np.ndarray, holdout: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        share_nearer_to_train(fakes, train, holdout)


def test_synthetic_images_around_few_lesions_make_a_wide_interval() -> None:
    train, holdout = normal(40, 0), normal(40, 1)
    lesions = names(40, "t"), names(40, "h")
    spread = share_nearer_to_train(np.concatenate([train, holdout]), train, holdout, lesions)
    crowded = np.concatenate([train[:4], holdout[:4]]).repeat(10, axis=0)
    few = share_nearer_to_train(crowded, train, holdout, lesions)
    assert spread.share == few.share == 0.5
    eight = share_nearer_to_train(crowded[::10], train, holdout)
    assert eight.high - eight.low < few.high - few.low < 1.3 * (eight.high - eight.low)
    assert few.high - few.low > 2 * (spread.high - spread.low)


def test_where_every_synthetic_image_copies_a_lesion_of_its_own_lesions_hardly_matter() -> None:
    train, holdout = normal(400, 0), normal(400, 1)
    found = share_nearer_to_train(train, train, holdout, (names(400, "t"), names(400, "h")))
    assert found.low == pytest.approx(share_nearer_to_train(train, train, holdout).low, abs=1e-3)


def test_of_a_single_picture_nothing_can_be_said() -> None:
    train, holdout = normal(40, 0), normal(40, 1)
    found = share_nearer_to_train(train[:1].repeat(50, axis=0), train, holdout, (names(40, "t"), names(40, "h")))
    assert (found.share, found.low, found.high) == (1.0, 0.0, 1.0)


def test_an_interval_over_few_lesions_holds_a_half_of_honest_generators() -> None:
    missed = 0
    for seed in range(0, 600, 3):
        train, holdout = normal(40, seed), normal(40, seed + 1)
        pictures = normal(4, seed + 2).repeat(20, axis=0)
        found = share_nearer_to_train(pictures, train, holdout, (names(40, "t"), names(40, "h")))
        missed += not found.low <= 0.5 <= found.high
    assert missed <= 20  # of 200 intervals of 95 %


def test_authenticity_counts_what_a_loop_counts() -> None:
    fakes, train = normal(30, 2), normal(25, 0)
    expected = []
    for x in fakes:
        to_train = np.linalg.norm(train - x, axis=1)
        near = to_train.argmin()
        expected.append(to_train.min() > np.sort(np.linalg.norm(train - train[near], axis=1))[1])
    assert authenticity(fakes, train) == pytest.approx(np.mean(expected))


def test_no_copy_is_authentic() -> None:
    assert authenticity(normal(30, 0), normal(30, 0)) == 0


def test_the_copying_statistic_of_one_cell_is_a_mann_whitney_test() -> None:
    fakes, train, holdout = normal(45, 2) * 1.1, normal(60, 0), normal(50, 1)
    p = mannwhitneyu(
        nearest(fakes, train), nearest(holdout, train), use_continuity=False, method="asymptotic", alternative="less"
    ).pvalue
    found = copying_statistic(fakes, train, holdout, cells=1)
    assert found
    assert found.z == pytest.approx(norm.ppf(p))
    assert (found.cells, found.images) == (1, 45)


def test_the_copying_statistic_tells_copies_from_new_and_from_far_images() -> None:
    train, holdout = normal(200, 0), normal(150, 1)
    copies, new, far = (copying_statistic(x, train, holdout).z for x in (train + 0.01, normal(200, 2), 3 * holdout))
    assert copies < -5 < -3 < new < 3 < 5 < far


def test_a_cell_that_no_synthetic_image_reaches_is_left_out() -> None:
    train = np.concatenate([normal(60, 0), normal(60, 1) + 50])
    holdout = np.concatenate([normal(40, 2), normal(40, 3) + 50])
    found = copying_statistic(normal(40, 4), train, holdout, cells=2)
    assert found
    assert found.cells == 1
    assert copying_statistic(normal(10, 4), train, holdout, cells=2) is None


def test_the_attack_is_the_area_under_the_curve_of_distances() -> None:
    fakes, train, holdout = normal(40, 2), normal(30, 0), normal(50, 1)
    found = membership_attack(fakes, train, holdout, (names(30, "t"), names(50, "h")))
    scores = -np.concatenate([nearest(train, fakes), nearest(holdout, fakes)])
    assert found.auc == pytest.approx(roc_auc_score(np.repeat([1, 0], [30, 50]), scores))


def test_the_attack_on_new_samples_fails() -> None:
    lesions = names(300, "t"), names(300, "h")
    missed = 0
    for seed in range(0, 60, 3):
        found = membership_attack(normal(100, seed), normal(300, seed + 1), normal(300, seed + 2), lesions)
        missed += not found.low < 0.5 < found.high
    assert missed <= 3  # of 20 intervals of 95 %


def test_the_attack_on_a_memoriser_succeeds() -> None:
    train, holdout = normal(60, 0), normal(60, 1)
    found = membership_attack(train + 0.05 * normal(60, 3), train, holdout, (names(60, "t"), names(60, "h")))
    assert found.auc > 0.95
    assert found.low > 0.9


def test_photos_of_few_lesions_make_the_attack_less_certain() -> None:
    fakes, train, holdout = normal(40, 2), normal(60, 0), normal(60, 1)
    each = membership_attack(fakes, train, holdout, (names(60, "t"), names(60, "h")))
    groups = np.arange(60) // 6
    pairs = train[groups * 6] + 0.01 * train, holdout[groups * 6] + 0.01 * holdout
    few = membership_attack(fakes, *pairs, (names(10, "t")[groups], names(10, "h")[groups]))
    assert few.high - few.low > 1.5 * (each.high - each.low)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 100))
def test_the_unit_of_the_features_does_not_matter(seed: int, scale: float) -> None:
    sets = normal(30, seed), normal(25, seed + 1), normal(25, seed + 2)
    lesions = names(25, "t"), names(25, "h")
    scaled = [scale * one for one in sets]
    assert share_nearer_to_train(*scaled, lesions) == share_nearer_to_train(*sets, lesions)
    assert authenticity(*scaled[:2]) == authenticity(*sets[:2])
    assert membership_attack(*scaled, lesions).auc == pytest.approx(membership_attack(*sets, lesions).auc)
