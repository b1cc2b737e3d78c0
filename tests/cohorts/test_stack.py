"""The image stack behaves like one array, whatever it was selected and joined from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.cohorts.stack import ImageStack


def numbered(first: int, count: int) -> np.ndarray:
    """Return count x 2 x 2 x 3 images whose pixels are their number."""
    return np.broadcast_to(
        np.arange(first, first + count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 3)
    ).copy()


@given(st.lists(st.integers(0, 9), max_size=15), st.lists(st.integers(0, 14), max_size=10))
def test_taking_and_joining_gives_the_rows_that_one_array_would(taken: list[int], asked: list[int]) -> None:
    first, second = numbered(0, 6), numbered(6, 4)
    rows = np.array(taken, dtype=np.int64)
    stack = ImageStack.concat([ImageStack.of(first), ImageStack.of(second)]).take(rows)
    expected = np.concatenate([first, second])[rows]
    assert stack.shape == expected.shape
    assert len(stack) == len(expected)
    here = np.array([row for row in asked if row < len(expected)], dtype=np.int64)
    assert np.array_equal(stack[here], expected[here])
    assert np.array_equal(stack[1::2], expected[1::2])
    for row in range(-len(expected), len(expected)):
        assert np.array_equal(stack[row], expected[row])


def test_joining_joined_stacks_keeps_the_order() -> None:
    one, two, three = (ImageStack.of(numbered(first, 2)) for first in (0, 2, 4))
    stack = ImageStack.concat([ImageStack.concat([one, two]).take(np.array([3, 0])), three])
    assert stack[:][:, 0, 0, 0].tolist() == [3, 0, 4, 5]


def test_a_row_that_does_not_exist_is_an_error() -> None:
    stack = ImageStack.of(numbered(0, 3))
    with pytest.raises(IndexError):
        stack[3]


def test_what_is_read_is_a_copy() -> None:
    images = numbered(0, 3)
    stack = ImageStack.of(images)
    for read in (stack[0], stack[np.array([0, 1])]):
        read[...] = 99
    assert images[0, 0, 0, 0] == 0


def test_a_file_is_read_only_where_rows_are_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", numbered(0, 5))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    stack = ImageStack.concat([ImageStack.of(mapped), ImageStack.of(mapped)]).take(np.array([1, 9]))
    assert not any(part.flags.owndata for part in stack._parts)
    assert stack[:][:, 0, 0, 0].tolist() == [1, 4]
