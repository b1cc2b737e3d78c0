"""A cohort whose train part also has altered copies of its images: augmentation before a generator learns."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.augment import ClassicalAugmentation, augment
from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.split_files import carry_split
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import torch_generator

_CHUNK = 64


def with_altered_copies(
    cohort: Cohort, copies: int, augmentation: ClassicalAugmentation, out: Path | str, *, seed: int = 0
) -> Cohort:
    """Write a cohort and, in its train part, altered copies of every training image.

    A copy keeps the lesion of its image, so that it is on the same side of every later division; its `image_id` ends in
    `~1`, `~2`, ….

    Args:
        cohort: Opened from a folder; has a split.
        copies: Of every training image, 1 or more.
        augmentation: How far they are altered; it must not mix images.
        out: The folder to make.
        seed: Of what is drawn for each copy.

    Raises:
        InputError: no split, no copies, or an augmentation that mixes images.
        ArtefactError: `out` exists, or the disk is full.
    """
    assert cohort.path is not None
    if copies < 1:
        raise InputError(f"copies is {copies}; give 1 or more")
    if augmentation.mixes:
        raise InputError("an augmentation with mixup or CutMix makes images without one class; leave both out")
    train = cohort.part("train")
    facts = {"copies": copies, "augmentation": augmentation.canonical(), "seed": seed, "copied": cohort.identity}
    facts |= {"licence": cohort.card.get("licence")}
    tables = [cohort.table]
    with writing_cohort(Path(out), cohort.classes, facts=facts) as writer:
        for start in range(0, len(cohort), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(cohort)))
            writer.append(cohort.table[start : rows[-1] + 1].drop("split"), cohort.images[rows])
        for copy in range(1, copies + 1):
            for start in range(0, len(train), _CHUNK):
                rows = np.arange(start, min(start + _CHUNK, len(train)))
                images = _altered(train.images[rows], augmentation, seed, copy * len(train) + start)
                table = train.table[start : rows[-1] + 1].with_columns(
                    image_id=pl.col("image_id") + f"~{copy}",
                    sha256=pl.Series([hashlib.sha256(image.tobytes()).hexdigest() for image in images]),
                )
                writer.append(table.drop("split"), images)
                tables.append(table)
        carry_split(cohort, pl.concat(tables), cohort.classes, writer.folder)
        if (cohort.path / SEEN).exists():
            shutil.copyfile(cohort.path / SEEN, writer.folder / SEEN)
    return Cohort.open(out)


def _altered(
    images: NDArray[np.uint8], augmentation: ClassicalAugmentation, seed: int, number: int
) -> NDArray[np.uint8]:
    import torch

    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    found = augment(scaled, augmentation, torch_generator(seed, "altered copies", number))
    pixels = ((found + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
