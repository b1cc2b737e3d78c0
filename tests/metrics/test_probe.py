"""A linear classifier tells what is told apart and no more, and never learns from the lesion that it is asked about."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dermsynth.core.errors import InputError
from dermsynth.metrics import probe
from dermsynth.metrics.probe import told_apart, transfer


def normal(n: int, seed: int, shift: float = 0.0, d: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def names(n: int, prefix: str, photos: int = 1) -> np.ndarray:
    return np.array([f"{prefix}{i // photos}" for i in range(n)])


def test_equal_distributions_are_told_apart_half_the_time() -> None:
    found = [told_apart(normal(60, i), normal(60, i + 1), (names(60, "a"), names(60, "b"))) for i in range(0, 40, 2)]
    assert np.mean([one.mean for one in found]) == pytest.approx(0.5, abs=0.04)
    assert sum(not one.low <= 0.5 <= one.high for one in found) <= 2


def test_different_distributions_are_told_apart() -> None:
    found = told_apart(normal(60, 0), normal(60, 1, 1), (names(60, "a"), names(60, "b")))
    assert 0.5 < found.low < found.mean < found.high <= 1


def test_it_is_the_share_that_scikit_learns_cross_validation_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(50, 0), normal(50, 1, 0.4)
    x, y = np.concatenate([a, b]), np.repeat([0, 1], 50)
    fold = np.arange(100) % 5
    monkeypatch.setattr(probe, "_folds", lambda names, side, seed: fold)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced"))
    cuts = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(5)]
    expected = (cross_val_predict(model, x, y, cv=cuts) == y).mean()
    assert told_apart(a, b, (names(50, "a"), names(50, "b"))).mean == pytest.approx(expected)


def test_a_larger_set_does_not_make_guessing_its_name_pay() -> None:
    found = told_apart(normal(400, 0), normal(40, 1), (names(400, "a"), names(40, "b")))
    assert found.low < 0.5 < found.high


def test_photos_of_a_lesion_are_in_one_fold_and_folds_are_even() -> None:
    ids = np.concatenate([names(60, "a", 3), names(40, "b", 2), names(9, "a", 3)])
    side = np.repeat([0, 1], [60, 49])
    fold = probe._folds(ids, side, 0)
    assert all(len(set(fold[ids == name])) == 1 for name in np.unique(ids))
    assert np.bincount(fold[:60]).tolist() == [12] * 5


def test_photos_of_known_lesions_would_be_recognised_but_are_not() -> None:
    # Both sets are of one distribution; every lesion has four photos that are nearly the same.
    def photos(seed: int) -> np.ndarray:
        return normal(25, seed, d=200).repeat(4, axis=0) + 0.01 * normal(100, seed + 100, d=200)

    a, b = photos(0), photos(1)
    assert told_apart(a, b, (names(100, "a"), names(100, "b"))).mean > 0.8  # each photo called a lesion: wrong
    honest = told_apart(a, b, (names(100, "a", 4), names(100, "b", 4)))
    assert honest.low < 0.5 < honest.high


def test_the_seed_deals_the_folds() -> None:
    sets = normal(60, 0), normal(60, 1), (names(60, "a"), names(60, "b"))
    assert told_apart(*sets, seed=1) == told_apart(*sets, seed=1) != told_apart(*sets, seed=2)


def test_what_is_learnt_from_one_set_is_known_of_the_other() -> None:
    labels = np.arange(90) % 3
    centres = 3 * normal(3, 9)
    known, asked = (centres[labels] + normal(90, seed) for seed in (0, 1))
    found = transfer(known, labels, asked, labels, names(90, "a"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced")).fit(known, labels)
    expected = np.mean([(model.predict(asked[labels == c]) == c).mean() for c in range(3)])
    assert found.mean == pytest.approx(expected)
    assert found.low > 1 / 3


def test_labels_without_meaning_teach_nothing() -> None:
    labels = np.arange(120) % 2
    found = transfer(normal(120, 0), labels, normal(120, 1), labels, names(120, "a"))
    assert found.low < 0.5 < found.high


def test_balanced_accuracy_counts_classes_alike() -> None:
    labels = np.repeat([0, 5], [90, 10])
    known = np.where(labels == 5, 4.0, -4.0)[:, None] + normal(100, 0)
    asked = np.where(labels == 5, -4.0, -4.0)[:, None] + normal(100, 1)
    assert transfer(known, labels, asked, labels, names(100, "a")).mean == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("learnt", "asked", "message"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0], "both sets need the same two or more"),
        ([0, 1, 0, 1], [0, 2, 0, 2], r"classes \[0, 1\] to learn from and \[0, 2\]"),
        ([0, 1, 2, 1], [0, 1, 0, 1], r"classes \[0, 1, 2\] to learn from and \[0, 1\]"),
    ],
)
def test_a_class_on_one_side_only_is_refused(learnt: list[int], asked: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        transfer(normal(4, 0), np.array(learnt), normal(4, 1), np.array(asked), names(4, "a"))


def test_too_few_lesions_for_the_folds_are_refused() -> None:
    with pytest.raises(InputError, match="4 lesions in the second set; 5 folds need 5"):
        told_apart(normal(20, 0), normal(8, 1), (names(20, "a"), names(8, "b", 2)))
