"""What is measured of two sets of images: each function compares real train images with others, or looks at the others.

The others are synthetic images, or as many held-out real ones: what these score is the floor of the measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError
from dermsynth.encoders.chosen import Floats
from dermsynth.metrics.classifier_score import classifier_score
from dermsynth.metrics.coverage import mean_distance, vendi_score
from dermsynth.metrics.frechet import frechet_distance, frechet_infinity
from dermsynth.metrics.kernel import kernel_interval
from dermsynth.metrics.manifold import overlap
from dermsynth.metrics.probe import told_apart, transfer
from dermsynth.metrics.spectrum import radial_spectrum, spectrum_distance
from dermsynth.metrics.ssim import ms_ssim, random_pairs
from dermsynth.metrics.statistics import Estimate

PAIRS = 200
"""Of a class, whose similarity is averaged."""
_CHUNK = 64

Found = dict[str, float | None]
"""A `value`, and where there are some `low` and `high` of its interval or its `standard_error`."""

GROUPS: dict[str, tuple[str, ...]] = {
    "fidelity": ("frechet", "frechet_infinity", "kernel", "told_apart", "precision", "density", "spectrum"),
    "coverage": ("recall", "coverage"),
    "diversity": ("mean_distance", "vendi", "ms_ssim"),
    "classes": ("train_synthetic_test_real", "train_real_test_synthetic", "classifier_score"),
}
"""What each measure asks, in the order of tables."""


@dataclass(frozen=True, eq=False)
class Side:
    """Images that are compared, with what was computed of them.

    Attributes:
        cohort: The images.
        features: n x d.
        probabilities: n x classes, of a classifier; None where there is none.
        spectra: n x frequencies.
    """

    cohort: Cohort
    features: Floats
    probabilities: Floats | None
    spectra: Floats

    @classmethod
    def of(cls, cohort: Cohort, features: Floats, probabilities: Floats | None) -> Side:
        """Return the images with their spectra; pixels are read chunk by chunk."""
        starts = range(0, len(cohort), _CHUNK)
        spectra = np.concatenate([radial_spectrum(cohort.images[i : i + _CHUNK]) for i in starts])
        return cls(cohort, features, probabilities, spectra)

    @property
    def lesions(self) -> NDArray[np.str_]:
        """Return the lesion of every image."""
        return np.array(self.cohort.table["lesion_id"].to_list(), dtype=np.str_)

    def take(self, rows: NDArray[np.int64]) -> Side:
        """Return some of the images."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Side(self.cohort.select(rows), self.features[rows], probabilities, self.spectra[rows])

    def of_class(self, label: int) -> Side:
        """Return the images of a class."""
        return self.take(np.flatnonzero(self.cohort.labels == label))

    def by_class(self) -> list[Side]:
        """Return the images of each class that there is."""
        return [self.of_class(label) for label in np.unique(self.cohort.labels).tolist()]


def compared(train: Side, other: Side, seed: int) -> dict[str, Found]:
    """Return every measure that needs no third set, of some classes or of one.

    Where images of several classes are looked at, measures of diversity are the mean over classes: a set is not
    diverse because its classes differ.
    """
    shared = overlap(train.features, other.features)
    kernel = kernel_interval(train.features, other.features, (train.lesions, other.lesions))
    found: dict[str, Found] = {
        "frechet": {"value": frechet_distance(train.features, other.features)},
        "frechet_infinity": _extrapolated(train, other, seed),
        "kernel": {**asdict(kernel)},
        "told_apart": _interval(told_apart(train.features, other.features, (train.lesions, other.lesions), seed=seed)),
        "spectrum": {"value": spectrum_distance(train.spectra, other.spectra)},
        **{name: {"value": value} for name, value in asdict(shared).items()},
        **{name: {"value": _over_classes(other, function)} for name, function in _DIVERSITY.items()},
        "ms_ssim": {"value": _over_classes(other, lambda side: _similarity(side, seed))},
    }
    if other.probabilities is not None and len(np.unique(other.cohort.labels)) > 1:
        found["classifier_score"] = {"value": classifier_score(other.probabilities)}
    return found


def class_tests(train: Side, synthetic: Side, real: Side) -> dict[str, dict[str, float | None]]:
    """Return whether synthetic images show the classes that real ones show, with floors; nothing of one class alone."""
    if len(np.unique(train.cohort.labels)) < 2:
        return {}
    floor = _transferred(train, real)
    return {
        "train_synthetic_test_real": {**_interval(_transferred(synthetic, real)), "floor": floor.mean},
        "train_real_test_synthetic": {**_interval(_transferred(train, synthetic)), "floor": floor.mean},
    }


def with_floors(values: Mapping[str, Found], floors: Mapping[str, Found]) -> dict[str, dict[str, Any]]:
    """Return the measures in the order of `GROUPS`, each with what held-out images score."""
    known = [name for names in GROUPS.values() for name in names if name in values]
    return {name: {**values[name], "floor": floors[name]["value"]} for name in known}


def _extrapolated(train: Side, other: Side, seed: int) -> Found:
    try:
        found = frechet_infinity(train.features, other.features, seed=seed)
    except InputError:  # too few images for so many features
        return {"value": None, "standard_error": None}
    return {"value": found.value, "standard_error": found.standard_error}


def _similarity(side: Side, seed: int) -> float:
    first, second = random_pairs(len(side.cohort), PAIRS, seed=seed)
    return float(ms_ssim(side.cohort.images[first], side.cohort.images[second]).mean())


_DIVERSITY: dict[str, Callable[[Side], float]] = {
    "mean_distance": lambda side: mean_distance(side.features),
    "vendi": lambda side: vendi_score(side.features),
}


def _over_classes(side: Side, function: Callable[[Side], float]) -> float:
    return float(np.mean([function(one) for one in side.by_class()]))


def _transferred(known: Side, asked: Side) -> Estimate:
    return transfer(known.features, known.cohort.labels, asked.features, asked.cohort.labels, asked.lesions)


def _interval(found: Estimate) -> Found:
    return {"value": found.mean, "low": found.low, "high": found.high}
