"""Whether what learnt from some images can be judged on a cohort: none of them may be among its val and test images."""

from __future__ import annotations

import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import LeakageError

SEEN = "seen.parquet"
"""In the folder of a run or a pool: what the networks learnt from."""


def check_unseen(cohort: Cohort, seen: pl.DataFrame, where: str) -> None:
    """Raise LeakageError if an image, a lesion or a patient of the cohort's val or test part is among those `seen`.

    Args:
        cohort: Has a split.
        seen: Columns `image_id`, `lesion_id`, `patient_id`, `sha256`.
        where: The pool or the run that saw them.
    """
    held_out = cohort.table.filter(pl.col("split").is_in(["val", "test"]))
    # A leaky split was asked for: its lesions stand on both sides. The images themselves still must not.
    columns = ("image_id", "sha256") if cohort.leaky else ("lesion_id", "patient_id", "image_id", "sha256")
    for column in columns:
        known = seen[column].drop_nulls()
        leaked = held_out.filter(pl.col(column).is_in(known.implode()))
        if leaked.height:
            first = leaked.row(0, named=True)
            raise LeakageError(
                f"{where}: its generator saw {column} '{first[column]}', which is in the {first['split']} part "
                f"({leaked.height} such images in all); train the generator on this split's train part"
            )
