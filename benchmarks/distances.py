"""Sections of `benchmarks/metrics.py` on distances between sets of features: their time, memory and bias."""

from __future__ import annotations

import contextlib
import io
import resource
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from common import processor_s
from dermsynth.metrics.frechet import frechet_distance, frechet_infinity
from dermsynth.metrics.kernel import kernel_interval
from dermsynth.metrics.manifold import overlap
from dermsynth.metrics.probe import told_apart

Features = npt.NDArray[np.float64]


def frechet() -> None:
    """Compare the Frechet distance of few images with SciPy's root of the product of covariances."""
    from scipy import linalg

    def by_root(a: Features, b: Features) -> float:
        first, second = (np.cov(x, rowvar=False) for x in (a, b))
        shift = a.mean(axis=0) - b.mean(axis=0)
        root = np.trace(linalg.sqrtm(first @ second)).real
        return float(shift @ shift + np.trace(first) + np.trace(second) - 2 * root)

    print(f"{'images':>8} {'features':>9} {'s':>8} {'SciPy':>8} {'times':>6}")
    for n, d in ((300, 512), (1000, 2048), (3000, 512)):
        a, b = scattered(n, d, 0), scattered(n, d, 1)
        fast, slow = (processor_s(partial(run, a, b)) for run in (frechet_distance, by_root))
        print(f"{n:>8,} {d:>9,} {fast:>8.2f} {slow:>8.2f} {slow / fast:>6.1f}")


def balls() -> None:
    """Compare precision, recall, density and coverage with the package prdc, and print the memory of many images."""
    from prdc import compute_prdc  # type: ignore[import-untyped]

    def by_package(a: Features, b: Features) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            compute_prdc(a, b, 5)

    print(f"{'images':>8} {'features':>9} {'s':>8} {'prdc':>8} {'times':>6}")
    for n, d in ((1000, 236), (2000, 512)):
        a, b = scattered(n, d, 0), scattered(n, d, 1)
        fast, slow = (processor_s(partial(run, a, b)) for run in (overlap, by_package))
        print(f"{n:>8,} {d:>9,} {fast:>8.2f} {slow:>8.2f} {slow / fast:>6.1f}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    generator = np.random.default_rng(0)
    sets = [generator.standard_normal((5000, 2048), dtype=np.float32) for _ in range(2)]
    seconds = processor_s(lambda: overlap(*sets))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{5000:>8,} {2048:>9,} {seconds:>8.2f}   peak {most / 2**20:.2f} GiB, {before / 2**20:.2f} before")


def infinity() -> None:
    """Print what each way of extrapolating leaves of the Frechet distance of two samples of one distribution."""
    print(
        f"{'images':>8} {'features':>9} {'plain':>8} {'dgm-eval':>9} {'here':>8} {'s.e. told':>10} {'s.d. found':>11}"
    )
    for n, d in ((400, 64), (1000, 236)):
        pairs = [(scattered(n, d, seed), scattered(n, d, seed + 1)) for seed in range(0, 16, 2)]
        found = [frechet_infinity(a, b) for a, b in pairs]
        values = np.array([one.value for one in found])
        plain, whole = (np.mean([way(a, b) for a, b in pairs]) for way in (frechet_distance, _of_whole_reference))
        told = np.mean([one.standard_error for one in found])
        print(f"{n:>8,} {d:>9,} {plain:>8.3f} {whole:>9.3f} {values.mean():>8.3f} {told:>10.3f} {values.std():>11.3f}")


def intervals() -> None:
    """Print how many intervals of two samples of one distribution miss the truth, where 5 % may."""
    print(f"{'images':>8} {'of a lesion':>12} {'features':>9} {'kernel distance':>16} {'told apart':>11}")
    for n, photos, d in ((40, 1, 20), (100, 4, 20), (100, 1, 236)):
        lesions = np.array([str(row // photos) for row in range(n)])
        sides = np.char.add("a", lesions), np.char.add("b", lesions)
        missed = np.zeros(2)
        turns = 100
        for seed in range(0, 2 * turns, 2):
            a, b = (_photos(n, photos, d, seed + side) for side in (0, 1))
            kernel, apart = kernel_interval(a, b, sides), told_apart(a, b, sides)
            missed += (not kernel.low <= 0 <= kernel.high, not apart.low <= 0.5 <= apart.high)
        shares = missed / turns
        print(f"{n:>8,} {photos:>12} {d:>9,} {shares[0]:>16.0%} {shares[1]:>11.0%}")


SECTIONS: dict[str, Callable[[], None]] = {
    "frechet": frechet,
    "balls": balls,
    "infinity": infinity,
    "intervals": intervals,
}


def scattered(n: int, d: int, seed: int) -> Features:
    """Return n draws of a Gaussian whose variances fall as 1/i, as those of features do."""
    return np.random.default_rng(seed).normal(size=(n, d)) / np.sqrt(np.arange(1, d + 1))


def _photos(n: int, photos: int, d: int, seed: int) -> Features:
    generator = np.random.default_rng(seed)
    lesions = generator.normal(size=(n // photos, d)).repeat(photos, axis=0)
    return 0.8 * lesions + 0.6 * generator.normal(size=(n, d))


def _of_whole_reference(a: Features, b: Features) -> float:
    """Extrapolate as dgm-eval does: the second set alone is cut, to 15 numbers from a tenth on."""
    generator = np.random.default_rng(0)
    sizes = np.linspace(len(b) // 10, len(b), 15).astype(int)
    found = [frechet_distance(a, b[generator.permutation(len(b))[:n]]) for n in sizes]
    return float(np.polyfit(1 / sizes, found, 1)[1])
