"""A sheet of the synthetic images that are most like a training image, beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.pools.encoder import pool_encoder
from dermsynth.pools.mix import check_comparable
from dermsynth.pools.nearest import nearest
from dermsynth.reports.sheets import Row


def rows(cohort: Cohort, pool: Cohort, encoder: Path | str | None = None, count: int = 10) -> list[Row]:
    """Return a row per pair, the most similar first: the synthetic image, the training image, and their difference.

    The training image is mirrored and turned as the synthetic one is. The difference is absolute, black where equal.

    Raises:
        InputError: classes or sizes differ.
        LeakageError: the generator saw a lesion of val or test.
    """
    check_comparable(cohort, pool)
    train = cohort.part("train").select(pl.col("origin") == "real")
    chosen = pool_encoder(encoder, cohort)
    found = nearest(pool.images, train.images, chosen, chosen.features(train))
    which = np.argsort(found.difference, kind="stable")[:count].astype(np.int64)
    pairs = []
    for number, one, other in zip(which, pool.images[which], found.beside(train.images, which), strict=True):
        difference = np.abs(one.astype(np.int16) - other).astype(np.uint8)
        label = train.table["label"][int(found.row[number])]
        captions = ["synthetic", f"train, {label}", "difference"]
        told = f"{found.difference[number]:.1f} grey levels"
        pairs.append(Row(told, pool.table["label"][int(number)], np.stack([one, other, difference]), captions))
    return pairs
