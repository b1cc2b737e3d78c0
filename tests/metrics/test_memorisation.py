"""The share of synthetic images nearer to train than to a holdout."""

from __future__ import annotations

import numpy as np
import pytest

from dermsynth.core.errors import InputError
from dermsynth.metrics.memorisation import share_nearer_to_train


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6))


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
