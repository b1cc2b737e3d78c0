"""Put synthetic images beside the real ones as classes of their own, for an algorithm that translates between them.

Paper 002's first experiment refines the images of an ACGAN: per class, a CycleGAN learns to translate them into real
ones. On a staged cohort that is `train cyclegan` with `source` "synthetic mel" and `target` "mel", then `translate`.
The paper's ACGAN makes 128 px and its CycleGAN 256 px, so a pool may be smaller than the cohort: it is enlarged.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.resize import resized
from dermsynth.cohorts.split_files import carry_split
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.errors import InputError
from dermsynth.pools.mix import check_no_synthetic_outside_train, check_pool
from dermsynth.training.images import IDENTIFIERS

PREFIX = "synthetic "
_CHUNK = 256


def stage(cohort: Cohort, pool: Cohort, out: Path | str, *, force: bool = False) -> Cohort:
    """Write the images of a cohort, and in train those of a pool with the classes `synthetic …`, as one cohort.

    Args:
        cohort: Real images with a split.
        pool: Synthetic images, opened from a folder; smaller ones are enlarged with bicubic interpolation.
        out: The folder to make. Its `seen.parquet` has what made the pool saw, so that what learns from the pool has
            seen it too; its card has the real classes under `base_classes`.
        force: Replace an existing cohort.

    Raises:
        LeakageError: what made the pool saw an image, a lesion or a patient of val or test.
        InputError: a pool of larger images, or unknown classes.
        ArtefactError: `out` exists and `force` is false.
    """
    check_no_synthetic_outside_train(cohort)
    check_pool(cohort, pool)
    assert pool.path is not None
    strange = [name for name, count in pool.counts().items() if count and name not in cohort.classes]
    if strange:
        raise InputError(f"{pool.path}: has images of class '{strange[0]}', which {cohort.path} does not have")
    if pool.size_px > cohort.size_px:
        raise InputError(
            f"{pool.path}: has images of {pool.size_px} px and {cohort.path or 'the cohort'} of {cohort.size_px} px; "
            f"ingest the cohort at {pool.size_px} px or more"
        )
    made = tuple(f"{PREFIX}{name}" for name, count in pool.counts().items() if count)
    classes = (*cohort.classes, *made)
    named = pool.table.with_columns(label=PREFIX + pl.col("label"), split=pl.lit("train"))
    facts = {
        "base_classes": list(cohort.classes),
        "staged": {"cohort": cohort.identity, "pool": pool.identity},
        "licence": cohort.card.get("licence"),
    }
    with writing_cohort(Path(out), classes, force=force, facts=facts) as writer:
        for table, images in ((cohort.table.drop("split"), cohort.images), (named.drop("split"), pool.images)):
            for start in range(0, len(table), _CHUNK):
                chunk = images[start : start + _CHUNK]
                writer.append(table[start : start + _CHUNK], resized(chunk, cohort.size_px))
        whole = pl.concat([cohort.table, named], how="diagonal_relaxed")
        carry_split(cohort, whole, classes, writer.folder)
        seen = pl.read_parquet(pool.path / SEEN).select(IDENTIFIERS)
        artefacts.write_parquet(writer.folder / SEEN, seen)
    return Cohort.open(out)
