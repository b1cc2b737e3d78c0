"""Which rows a step sees."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import make_cohort

from dermsynth.training.device import make_fabric, to_network, to_pixels
from dermsynth.training.feed import Feed, by_class, in_epochs


@given(rows=st.integers(1, 50), batch=st.integers(1, 70), epochs=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_every_row_is_seen_once_before_any_is_seen_twice(rows: int, batch: int, epochs: int) -> None:
    draw = in_epochs(np.arange(rows), batch, seed=0)
    steps = -(-rows * epochs // batch)
    seen = np.concatenate([draw(step) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(seen[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_a_batch_does_not_depend_on_the_batches_before_it() -> None:
    rows = np.arange(37)
    after_others = in_epochs(rows, 10, seed=3)
    for step in range(9):
        after_others(step)
    np.testing.assert_array_equal(after_others(9), in_epochs(rows, 10, seed=3)(9))


def test_a_row_that_stands_twice_is_seen_twice_an_epoch() -> None:
    draw = in_epochs(np.array([0, 1, 1]), 3, seed=0)
    assert sorted(draw(0)) == [0, 1, 1]


def test_by_class_follows_the_shares_and_never_picks_another_class() -> None:
    labels = np.array([0] * 5 + [2] * 100 + [1] * 20)
    draw = by_class(labels, np.array([0.5, 0.5, 0.0]), 1000, seed=0)
    picked = labels[np.concatenate([draw(step) for step in range(20)])]
    assert set(picked) == {0, 1}
    assert abs((picked == 0).mean() - 0.5) < 0.02


def test_a_batch_holds_the_images_of_its_rows_between_minus_one_and_one() -> None:
    cohort = make_cohort()
    fabric = make_fabric("fp32")
    draw = in_epochs(np.arange(len(cohort)), 8, seed=0)
    images, labels = Feed(cohort.images, cohort.labels, draw, fabric).batch(2)
    rows = draw(2)
    np.testing.assert_array_equal(labels.numpy(), cohort.labels[rows])
    expected = torch.from_numpy(cohort.images[rows]).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(images, expected)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_pixels_survive_the_way_to_the_network_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    torch.testing.assert_close(to_pixels(to_network(values, make_fabric("fp32"))), values)
