"""What every distance between two sets of features demands of its input, and the distances of their rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 1024
_ROUNDING = 1e-12
"""Squared distances below this share of the squared lengths are rounding: encoders compute in float32."""


def checked_features(name: str, features: npt.ArrayLike, *, at_least: int) -> FloatArray:
    """Return float64 (n, d) features.

    Raises:
        InputError: not two-dimensional, fewer than `at_least` rows, no column, or a value that is not finite.
    """
    found = np.asarray(features, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] == 0:
        raise InputError(f"{name}: features of shape {found.shape}; expected (images, dimensions)")
    if len(found) < at_least:
        raise InputError(f"{name}: {len(found)} images; this distance needs at least {at_least}")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise InputError(f"{name}: the features of row {row} are not finite; encode the images again")
    return found


def checked_pair(a: npt.ArrayLike, b: npt.ArrayLike, *, at_least: int) -> tuple[FloatArray, FloatArray]:
    """Return both sets as `checked_features` does; raises InputError also if their dimensions differ."""
    first, second = (
        checked_features("first set", a, at_least=at_least),
        checked_features("second set", b, at_least=at_least),
    )
    if first.shape[1] != second.shape[1]:
        raise InputError(f"{first.shape[1]} and {second.shape[1]} dimensions; encode both sets with the same encoder")
    return first, second


def squared_distances(x: FloatArray, y: FloatArray) -> Iterator[FloatArray]:
    """Yield the squared distances of the rows of x to those of y, some rows of x at a time; equal rows are 0 apart.

    They lose fewer digits around the origin: subtract a common centre first.
    """
    squares = (y**2).sum(axis=1)
    for start in range(0, len(x), _ROWS_AT_ONCE):
        block = x[start : start + _ROWS_AT_ONCE]
        lengths = (block**2).sum(axis=1)[:, None] + squares
        distances = block @ y.T
        distances *= -2
        distances += lengths
        lengths *= _ROUNDING
        distances[distances < lengths] = 0.0
        yield distances


def nearest_rows(x: FloatArray, y: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return for each row of x its Euclidean distance to the nearest row of y, and the number of that row."""
    centre = y.mean(axis=0)
    found = [(block.min(axis=1), block.argmin(axis=1)) for block in squared_distances(x - centre, y - centre)]
    squared, rows = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return np.sqrt(squared), rows.astype(np.int64)


def neighbour_distances(x: FloatArray, ks: tuple[int, ...]) -> FloatArray:
    """Return the Euclidean distances of each of n rows to its k-th nearest other row, for every k < n: (ks, n)."""
    centred = x - x.mean(axis=0)
    last = max(ks)
    # A row is its own nearest one, at distance 0, so its k-th other neighbour comes at place k. Picking the places
    # copies them: a view would keep the whole block.
    found = [
        np.sort(np.partition(block, last, axis=1)[:, : last + 1], axis=1)[:, ks]
        for block in squared_distances(centred, centred)
    ]
    return np.sqrt(np.concatenate(found).T)
