"""A read-only stack of images that lie in one or several arrays, in memory or memory-mapped.

Selecting and joining cohorts only moves row numbers; pixels are read when they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class ImageStack:
    """N arrays of equal shape and dtype, addressed by row like the first axis of one array."""

    def __init__(self, parts: Sequence[NDArray[np.uint8]], part_of_row: Rows, row_in_part: Rows) -> None:
        self._parts = list(parts)
        self._part_of_row = part_of_row
        self._row_in_part = row_in_part

    @classmethod
    def of(cls, array: NDArray[np.uint8]) -> ImageStack:
        """Return the stack of all rows of one array (no copy)."""
        rows = np.arange(len(array), dtype=np.int64)
        # A memory map seen as a plain array: the subclass costs more per batch than the copy of its pixels.
        return cls([np.asarray(array)], np.zeros_like(rows), rows)

    @classmethod
    def concat(cls, stacks: Sequence[ImageStack]) -> ImageStack:
        """Return the rows of several stacks, one after the other (no copy)."""
        first_part = np.cumsum([0] + [len(stack._parts) for stack in stacks[:-1]])
        return cls(
            [part for stack in stacks for part in stack._parts],
            np.concatenate([stack._part_of_row + first for stack, first in zip(stacks, first_part, strict=True)]),
            np.concatenate([stack._row_in_part for stack in stacks]),
        )

    def take(self, rows: Rows) -> ImageStack:
        """Return the stack of these rows, in this order (no copy)."""
        return ImageStack(self._parts, self._part_of_row[rows], self._row_in_part[rows])

    def __len__(self) -> int:
        return len(self._row_in_part)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, ...) of the equivalent array."""
        return (len(self), *self._parts[0].shape[1:])

    def __getitem__(self, rows: SupportsIndex | slice | Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return one image for an integer, else a new array of the images of these rows."""
        if isinstance(rows, SupportsIndex) and not isinstance(rows, np.ndarray):
            row = rows.__index__()
            return np.array(self._parts[self._part_of_row[row]][self._row_in_part[row]])
        wanted = self._row_in_part[rows]
        parts = self._part_of_row[rows]
        if len(self._parts) == 1:
            return self._parts[0][wanted]
        found = np.empty((len(wanted), *self._parts[0].shape[1:]), dtype=self._parts[0].dtype)
        for number in np.unique(parts):
            here = parts == number
            found[here] = self._parts[number][wanted[here]]
        return found
