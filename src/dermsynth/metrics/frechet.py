"""Frechet distance between two sets of features, as if both were Gaussian (FID where the features are Inception's).

    |mean_a - mean_b|² + tr(A) + tr(B) - 2 tr((A B)^½),   A, B the covariances with n-1

(Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500.) The trace of the root is the sum of the singular values
of A^½ B^½. With few images it is that of the centred features themselves, X Yᵀ / sqrt((n-1)(m-1)), which is exact and
needs an n x m matrix instead of a d x d one; with many, eigenvalues of a symmetric product. Neither takes the root of
a non-symmetric matrix, so nothing becomes complex.

The distance of two samples of the same images is not 0 but falls with their number: print it beside `real_floor`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator
from dermsynth.metrics.features import FloatArray, checked_features, checked_pair


def frechet_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the squared Frechet distance, >= 0, of float features (n, d) and (m, d).

    Raises:
        InputError: fewer than 2 rows, a value that is not finite, or different dimensions.
    """
    first, second = checked_pair(a, b, at_least=2)
    shift = first.mean(axis=0) - second.mean(axis=0)
    x = (first - first.mean(axis=0)) / np.sqrt(len(first) - 1)
    y = (second - second.mean(axis=0)) / np.sqrt(len(second) - 1)
    few = min(len(x), len(y)) <= x.shape[1]
    root_trace = _root_trace_of_few(x, y) if few else _root_trace_of_many(x.T @ x, y.T @ y)
    distance = float(shift @ shift + (x**2).sum() + (y**2).sum() - 2 * root_trace)
    return max(distance, 0.0)


def real_floor(features: npt.ArrayLike, n: int, *, seed: int = 0) -> float:
    """Return the Frechet distance of two disjoint random samples of n rows each: what equal distributions score at n.

    Raises:
        InputError: fewer than 2n rows, n < 2, or a value that is not finite.
    """
    found = checked_features("features", features, at_least=2)
    if n < 2 or 2 * n > len(found):
        raise InputError(
            f"two disjoint samples of {n} cannot be drawn from {len(found)} rows; choose 2 to {len(found) // 2}"
        )
    rows = numpy_generator(seed, "real floor").permutation(len(found))[: 2 * n]
    return frechet_distance(found[rows[:n]], found[rows[n:]])


def _root_trace_of_few(x: FloatArray, y: FloatArray) -> float:
    return float(np.linalg.svd(x @ y.T, compute_uv=False).sum())


def _root_trace_of_many(a: FloatArray, b: FloatArray) -> float:
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum())
