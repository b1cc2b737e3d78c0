"""How far the synthetic images of a trial are from real ones, beside how far real ones are from each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.randomness import numpy_generator
from dermsynth.encoders import handmade
from dermsynth.metrics.frechet import frechet_distance
from dermsynth.metrics.memorisation import share_nearer_to_train

_MOST = 300
"""Images of a class that are compared; what a class lacks makes all sets of the class smaller."""
_FEWEST = 8

Floats = NDArray[np.float64]


def measure_fidelity(trial: Path, index: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return `fidelity.json`: Frechet distances to train images with their floors, and a sign of copying.

    For every class, n synthetic images, n train images and n held-out (val and test) images are drawn, n as large as
    the smallest of the three sets allows and at most 300. `synthetic` is the distance of the synthetic to the train
    images, `real_floor` that of the held-out to the train images: the two have the same n, so they compare. A class
    with fewer than 8 images in one of the sets is left out.

    Args:
        trial: The trial's folder; its first pool is measured.
        index: Its `index.json`.
        seed: Picks the subsets.
    """
    cohort = Cohort.open(trial / index["cohort"])
    pool = Cohort.open(trial / next(iter(index["pools"].values())))
    parts = {
        "synthetic": pool,
        "train": cohort.part("train"),
        "held_out": cohort.select(cohort.table["split"].is_in(["val", "test"]).to_numpy()),
    }
    features: dict[str, dict[str, Floats]] = {}
    for label, name in enumerate(cohort.classes):
        rows = {part: np.flatnonzero(images.labels == label) for part, images in parts.items()}
        n = min(_MOST, *(len(found) for found in rows.values()))
        if n >= _FEWEST:
            features[name] = {
                part: _encode(parts[part], numpy_generator(seed, f"fidelity {part}", label).choice(found, n, False))
                for part, found in rows.items()
            }
    if not features:
        return {"encoder": handmade.NAME, "n": 0, "frechet": None, "classes": {}, "nearer_to_train": None}
    joined = {part: np.concatenate([sets[part] for sets in features.values()]) for part in parts}
    return {
        "encoder": handmade.NAME,
        "n": len(joined["train"]),
        "frechet": _distances(joined),
        "classes": {name: {"n": len(sets["train"]), **_distances(sets)} for name, sets in features.items()},
        "nearer_to_train": asdict(share_nearer_to_train(joined["synthetic"], joined["train"], joined["held_out"])),
    }


def _encode(cohort: Cohort, rows: NDArray[np.int64]) -> Floats:
    return handmade.encode(cohort.images[np.sort(rows)])


def _distances(sets: Mapping[str, Floats]) -> dict[str, float]:
    return {
        "synthetic": frechet_distance(sets["synthetic"], sets["train"]),
        "real_floor": frechet_distance(sets["held_out"], sets["train"]),
    }
