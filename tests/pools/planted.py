"""Cohorts and pools whose truth is known: lesions that differ, and pools with planted defects."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort, writing_cohort

CLASSES = ("mel", "nv")
Pixels = NDArray[np.uint8]


def lesions(n: int, seed: int, size_px: int = 32) -> tuple[Pixels, NDArray[np.int64]]:
    """Return n images of dark blotches on skin, and their classes: `mel` is darker, `nv` lighter and redder."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    skin = np.array([200, 160, 140]) + generator.normal(0, 12, (n, 1, 1, 3))
    spots = generator.normal(0, 1, (n, size_px, size_px)).astype(np.float32)
    shape = np.stack([cv2.GaussianBlur(spot, (0, 0), 3) for spot in spots])
    dark = np.clip(8 * shape + 0.5, 0, 1)[..., None]
    depth = np.array([[110, 100, 80], [50, 80, 70]])[labels][:, None, None]
    noise = generator.normal(0, 2, (n, size_px, size_px, 3))
    return np.clip(skin - depth * dark + noise, 0, 255).astype(np.uint8), labels.astype(np.int64)


def real_cohort(folder: Path, n: int = 240, size_px: int = 32) -> Cohort:
    """Return a saved cohort of n lesions: half are train, a quarter val, a quarter test."""
    images, labels = lesions(n, 0, size_px)
    names = [f"r{number}" for number in range(n)]
    parts = np.array(["train", "train", "train", "train", "val", "val", "test", "test"])[np.arange(n) % 8]
    table = table_of(names, labels, "real").with_columns(split=pl.Series(parts))
    return Cohort.in_memory(table, images, CLASSES).save(folder)


def table_of(names: list[str], labels: NDArray[np.int64], origin: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "image_id": names,
            "label": [CLASSES[label] for label in labels],
            "lesion_id": names,
            "patient_id": pl.Series([None] * len(names), dtype=pl.String),
            "source": "drawn",
            "origin": origin,
            "sha256": names,
        }
    )


def planted_pool(
    folder: Path, cohort: Cohort, images: Pixels, labels: NDArray[np.int64], learnt: int | None = None
) -> Cohort:
    """Return a saved pool of these images, whose generator learnt from the train part, or the first images of it."""
    with writing_cohort(folder, CLASSES, facts={"config": {"seed": 3}}) as writer:
        writer.append(table_of([f"s{number}" for number in range(len(images))], labels, "synthetic"), images)
        seen = cohort.part("train").table.select("image_id", "lesion_id", "patient_id", "sha256")[:learnt]
        seen.write_parquet(writer.folder / "seen.parquet")
    return Cohort.open(folder)
