"""Predictions files of made-up fits, with cards and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.metrics.guessed import guessed

from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.core import artefacts

CLASSES = ("bkl", "mel", "nv")


def predictions(
    *, seed: int = 0, skill: float = 1.5, counts: tuple[int, ...] = (15, 30, 60), prefix: str = "t"
) -> Predictions:
    """Return predictions of one fit; the images depend on `counts` and `prefix` alone, the probabilities on all."""
    labels, lesions, _ = guessed(counts, photos=2)
    generator = np.random.default_rng([seed, len(prefix), ord(prefix[0])])
    raw = np.exp(generator.normal(0, 1, (len(labels), len(counts))) + skill * np.eye(len(counts))[labels])
    return Predictions(
        image_ids=np.array([f"{prefix}{number:04}" for number in range(len(labels))]),
        lesion_ids=np.array([f"{prefix}l{lesion}" for lesion in lesions]),
        labels=labels.astype(np.int64),
        probabilities=raw / raw.sum(axis=1, keepdims=True),
        classes=CLASSES[: len(counts)],
    )


def predictions_file(path: Path, *, val: bool = True, **made: Any) -> Path:
    """Write val and test predictions to `path`."""
    splits = {"val": predictions(prefix="v", **made)} if val else {}
    write_predictions(path, {**splits, "test": predictions(**made)})
    return path


def fit_folder(folder: Path, *, seed: int = 0, arm: str = "real", width: int = 16, **made: Any) -> Path:
    """Write a folder like that of `dermsynth fit`, as far as scoring reads it."""
    with artefacts.creating(folder, "fit") as draft:
        predictions_file(draft.path / FILE, seed=seed, **made)
        draft.card.update(
            arm=arm, config={"model": "small-cnn", "width": width, "seed": seed}, train_counts={"mel": 30}, size_px=64
        )
    return folder
