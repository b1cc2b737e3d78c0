"""Join: several cohorts become one, for a larger training set or for a test set from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import InputError


def join(
    cohorts: Sequence[Path | str], out: Path | str, *, test: Sequence[Path | str] = (), force: bool = False
) -> Cohort:
    """Write the images of several cohorts as one cohort and return it opened.

    With `test` the column `part` says `test` for the images of those cohorts and `train` for all others; the split
    scheme `official` then keeps them apart, and leaves out of train what the test shows too. Without it the parts that
    publishers fixed are forgotten. An `image_id` that stands in two cohorts gets the name of its folder put before it,
    from the second on; a `lesion_id` or `patient_id` that stands in two cohorts means the same lesion or patient,
    unless it merely repeats such an `image_id`.

    Args:
        cohorts: Folders of cohorts with the same classes and image size; a later one may lack some classes.
        out: The folder to make.
        test: Folders of cohorts that are to be the test set.
        force: Replace an existing cohort.

    Raises:
        InputError: fewer than two cohorts, other classes or another size.
        ArtefactError: no cohort, or `out` exists and `force` is false.
    """
    if len(cohorts) + len(test) < 2 or not cohorts:
        raise InputError("give two cohorts or more to join, at least one of them to train on")
    artefacts.check_free(Path(out), force=force)
    opened = [Cohort.open(path, with_split=False) for path in (*cohorts, *test)]
    classes, taken, parts = opened[0].classes, set[str](), []
    for number, cohort in enumerate(opened):
        strange = [name for name in cohort.classes if name not in classes]
        if strange:
            raise InputError(
                f"{cohort.path}: has the class '{strange[0]}', {opened[0].path} has not; ingest both with one --labels"
            )
        table = _own_names(cohort, taken)
        taken.update(table["image_id"])
        table = table.drop("part", strict=False)
        if test:
            table = table.with_columns(part=pl.lit("train" if number < len(cohorts) else "test"))
        parts.append(replace(cohort, table=table, classes=classes))
    facts: dict[str, Any] = {
        "joined": [
            {"folder": str(cohort.path), "identity": artefacts.identity(cohort.card), "test": number >= len(cohorts)}
            for number, cohort in enumerate(opened)
        ],
        "licence": " / ".join(dict.fromkeys(str(cohort.card.get("licence", "not stated")) for cohort in opened)),
        "lesions": " / ".join(dict.fromkeys(str(cohort.card.get("lesions", "not stated")) for cohort in opened)),
    }
    chains = [(cohort.card.get("config") or {}).get("preprocessing") for cohort in opened]
    if all(chain == chains[0] for chain in chains):
        facts["config"] = {"preprocessing": chains[0]}  # so that a classifier knows how to see other photos
    return Cohort.concat(parts).save(out, force=force, facts=facts)


def _own_names(cohort: Cohort, taken: set[str]) -> pl.DataFrame:
    """Return the table with a prefix before every `image_id` that is taken, also where it stands for a lesion."""
    assert cohort.path is not None
    clash = pl.col("image_id").is_in(list(taken))
    prefix = pl.lit(f"{cohort.path.name}/")
    return cohort.table.with_columns(
        image_id=pl.when(clash).then(prefix + pl.col("image_id")).otherwise("image_id"),
        lesion_id=pl.when(clash & (pl.col("lesion_id") == pl.col("image_id")))
        .then(prefix + pl.col("lesion_id"))
        .otherwise("lesion_id"),
    )
