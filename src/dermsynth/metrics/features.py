"""What every distance between two sets of features demands of its input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]


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
