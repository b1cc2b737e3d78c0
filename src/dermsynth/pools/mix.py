"""Joining synthetic images to a training set, with the refusals that keep a verdict honest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import SEEN, check_unseen
from dermsynth.core.errors import InputError, LeakageError


def mix(cohort: Cohort, pool: Cohort) -> Cohort:
    """Return the train part of `cohort` with all images of `pool` added to it.

    Args:
        cohort: Real images with a split.
        pool: Synthetic images, opened from the folder that `sample` made.

    Raises:
        LeakageError: the pool's generator saw an image, a lesion or a patient of val or test, or cannot say; or val or
            test hold synthetic images.
        InputError: classes or sizes differ.
    """
    check_no_synthetic_outside_train(cohort)
    check_pool(cohort, pool)
    return Cohort.concat([cohort.part("train"), replace(pool, table=pool.table.with_columns(split=pl.lit("train")))])


def check_no_synthetic_outside_train(cohort: Cohort) -> None:
    """Raise LeakageError if an image of val or test is synthetic."""
    leaked = cohort.table.filter((pl.col("origin") == "synthetic") & (pl.col("split") != "train"))
    if leaked.height:
        first = leaked.row(0, named=True)
        raise LeakageError(
            f"{cohort.path or 'cohort'}: synthetic image '{first['image_id']}' stands in the {first['split']} part; "
            "a verdict needs real images there: remove it"
        )


def check_pool(cohort: Cohort, pool: Cohort) -> None:
    """Raise LeakageError if what made the pool saw an image, a lesion or a patient of the cohort's val or test part."""
    where = pool.path or "pool"
    real = pool.table.filter(pl.col("origin") != "synthetic")
    if real.height:
        raise InputError(f"{where}: image '{real['image_id'][0]}' is not synthetic; a pool holds synthetic images only")
    if pool.path is None or not (Path(pool.path) / SEEN).exists():
        raise LeakageError(f"{where}: does not say which lesions its generator saw (seen.parquet); sample it again")
    check_unseen(cohort, pl.read_parquet(Path(pool.path) / SEEN), str(where))


def check_comparable(cohort: Cohort, pool: Cohort) -> None:
    """Raise what `check_pool` raises, and InputError for a pool of other classes or another size than the cohort's."""
    check_pool(cohort, pool)
    if (pool.classes, pool.size_px) != (cohort.classes, cohort.size_px):
        known, wanted = (f"{', '.join(each.classes)} at {each.size_px} px" for each in (pool, cohort))
        raise InputError(f"{pool.path}: has {known}, not {wanted}; give the cohort that its generator was trained on")
