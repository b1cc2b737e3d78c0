"""Cohorts that a small network learns in seconds: a disc on noise, brighter in the colour of its class."""

from __future__ import annotations

import numpy as np
import polars as pl

from dermsynth.classifiers.config import FitConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.randomness import numpy_generator

CLASSES = ("bkl", "mel", "nv")
QUICK = FitConfig(width=4, budget_kimg=0.8, batch_size=16, evaluations=4, learning_rate=1e-2)


def cohort(name: str, counts: tuple[int, ...], *, contrast: float = 60.0, seed: int = 0) -> Cohort:
    """Noise of 32 px; each class has a disc brighter in its own colour channel."""
    generator = numpy_generator(seed, name)
    labels = np.repeat(np.arange(len(CLASSES)), counts)
    images = generator.normal(120, 30, (len(labels), 32, 32, 3))
    y, x = np.mgrid[:32, :32] - 15.5
    images[np.arange(len(labels)), :, :, labels] += contrast * (np.hypot(x, y) < 9)
    ids = [f"{name}{number:04d}" for number in range(len(labels))]
    table = pl.DataFrame(
        {
            "image_id": ids,
            "label": [CLASSES[label] for label in labels],
            "lesion_id": [f"lesion-{one}" for one in ids],
            "patient_id": [None] * len(ids),
            "source": ["test"] * len(ids),
            "origin": ["real"] * len(ids),
            "sha256": [""] * len(ids),
        },
        schema_overrides={"patient_id": pl.String},
    )
    return Cohort.in_memory(table, images.clip(0, 255).astype(np.uint8), CLASSES)


TRAIN, VAL, TEST = cohort("train", (60, 60, 60)), cohort("val", (15, 15, 15)), cohort("test", (30, 30, 30))
