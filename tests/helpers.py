"""Small cohorts for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort

CLASSES = ("bkl", "mel", "nv")


def make_cohort(
    counts: Sequence[int] = (12, 16, 32), *, size_px: int = 16, seed: int = 0, split: bool = True, prefix: str = "i"
) -> Cohort:
    """Return a cohort of `CLASSES` whose classes differ in colour; a third of each class is val, a third test."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    base = np.array([[200, 90, 90], [90, 200, 90], [90, 90, 200]])[labels]
    noise = generator.normal(0, 20, (len(labels), size_px, size_px, 3))
    images = np.clip(base[:, None, None] + noise, 0, 255).astype(np.uint8)
    ids = [f"{prefix}{number}" for number in range(len(labels))]
    table = pl.DataFrame(
        {
            "image_id": ids,
            "label": [CLASSES[label] for label in labels],
            "lesion_id": [f"{prefix}l{number}" for number in range(len(labels))],
            "patient_id": pl.Series([None] * len(labels), dtype=pl.String),
            "source": "test",
            "origin": "real",
            "sha256": ids,
        }
    )
    if split:
        part = np.array(["train", "train", "val", "test"])[np.arange(len(labels)) % 4]
        table = table.with_columns(split=pl.Series(part))
    return Cohort.in_memory(table, images, CLASSES)


def saved_cohort(folder: Path, **kwargs: object) -> Cohort:
    """Return `make_cohort` saved to and opened from `folder`."""
    return make_cohort(**kwargs).save(folder)  # type: ignore[arg-type]


def make_pool(
    folder: Path, cohort: Cohort, counts: dict[str, int], *, seen: pl.DataFrame | None = None, size_px: int = 16
) -> Cohort:
    """Return a pool in `folder` whose generator claims to have seen the train part, or `seen`."""
    from dermsynth.cohorts.cohort import writing_cohort

    labels = [name for name, count in counts.items() for _ in range(count)]
    ids = [f"fake{number}" for number in range(len(labels))]
    table = pl.DataFrame({"image_id": ids, "label": labels, "lesion_id": ids, "sha256": ids}).with_columns(
        patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("test"), origin=pl.lit("synthetic")
    )
    images = np.random.default_rng(1).integers(0, 256, (len(ids), size_px, size_px, 3), dtype=np.uint8)
    known = cohort.part("train").table if seen is None else seen
    with writing_cohort(folder, cohort.classes) as writer:
        writer.append(table, images)
        known.select("image_id", "lesion_id", "patient_id", "sha256").write_parquet(writer.folder / "seen.parquet")
    return Cohort.open(folder)
