"""A sheet of translated images beside what they were made from, of one pool or of several from the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError
from dermsynth.reports.sheets import Row


def rows(cohort: Cohort, pools: Sequence[Cohort], count: int = 6) -> list[Row]:
    """Return a row per source image: itself, then its translation in every pool, with the pools' folders as captions.

    Args:
        cohort: The cohort, or the staged one, whose images were translated.
        pools: Pools that `translate` made, opened from their folders. Images are shown that all of them translated, in
            the order of the first.
        count: Most rows.

    Raises:
        InputError: a pool was not translated, no image was translated in all of them, the cohort does not have it, or
            sizes differ.
    """
    for pool in pools:
        if "translated_from" not in pool.table.columns:
            raise InputError(f"{pool.path}: was drawn from noise, so no image has a source; give translated pools")
        if pool.size_px != cohort.size_px:
            raise InputError(
                f"{pool.path}: has images of {pool.size_px} px, and {cohort.path} of {cohort.size_px} px; "
                "give the cohort that was translated"
            )
    sources = pools[0].table["translated_from"]
    for pool in pools[1:]:
        sources = sources.filter(sources.is_in(pool.table["translated_from"].implode()))
    if not len(sources):
        raise InputError(f"no image was translated in all of {', '.join(str(pool.path) for pool in pools)}")
    captions = ["source", *(pool.path.name if pool.path else "pool" for pool in pools)]
    return [_row(cohort, pools, name, captions) for name in sources.head(count)]


def _row(cohort: Cohort, pools: Sequence[Cohort], source: str, captions: Sequence[str]) -> Row:
    found = cohort.table.with_row_index("row").filter(pl.col("image_id") == source)
    if not found.height:
        raise InputError(f"{cohort.path}: has no image '{source}', from which {pools[0].path} was translated")
    images = [cohort.images[[found["row"][0]]]]
    for pool in pools:
        row = pool.table.with_row_index("row").filter(pl.col("translated_from") == source)
        images.append(pool.images[[row["row"][0]]])
    target = pools[0].table.filter(pl.col("translated_from") == source)["label"][0]
    return Row(f"{found['label'][0]} → {target}", source, np.concatenate(images), captions)
