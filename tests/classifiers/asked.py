"""A fit of a cohort on disk, and photos, for tests of what is asked of finished fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.classifiers.discs import CLASSES, QUICK, TEST, TRAIN, VAL

from dermsynth.classifiers.fit import fit
from dermsynth.cohorts.cohort import Cohort

CHAIN = [{"step": "gamma", "gamma": 1.2}, {"step": "resize", "fit": "crop", "interpolation": "bicubic"}]


def saved(part: Cohort, folder: Path, chain: list[dict[str, Any]] | None = CHAIN) -> Cohort:
    """Return a part as a cohort of its own, whose card says how its photos were preprocessed."""
    return part.save(folder, facts={"config": {"preprocessing": chain}})


def fitted(folder: Path, chain: list[dict[str, Any]] | None = CHAIN, **settings: Any) -> Path:
    """Return a fit in `folder/fit`, whose val and test parts are saved beside it."""
    val, test = saved(VAL, folder / "val", chain), saved(TEST, folder / "test", chain)
    return fit(TRAIN, val, test, QUICK.changed(calibration="temperature", **settings), folder / "fit")


def planted(name: str, count: int, corner: int, *, seed: int = 0) -> Cohort:
    """Return noise of 32 px in which nothing but a bright square of 8 px tells the classes apart.

    It is red, green or blue as the class says, `corner` px from the left and the top edge.
    """
    import polars as pl

    generator = np.random.default_rng([seed, count])
    labels = np.arange(count) % len(CLASSES)
    images = generator.normal(110, 25, (count, 32, 32, 3))
    square = slice(corner, corner + 8)
    for row, label in enumerate(labels):
        images[row, square, square, label] += 120
    ids = [f"{name}{number:04d}" for number in range(count)]
    table = pl.DataFrame({"image_id": ids, "lesion_id": ids, "sha256": ids}).with_columns(
        label=pl.Series([CLASSES[label] for label in labels]),
        patient_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("test"),
        origin=pl.lit("real"),
    )
    return Cohort.in_memory(table, images.clip(0, 255).astype(np.uint8), CLASSES)
