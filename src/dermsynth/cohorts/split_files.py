"""The files of a split in a cohort's folder: who is in which part, and how that came about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dermsynth.cohorts.cohort import PARTS, SPLIT, SPLIT_CARD, UNUSED, Cohort, assignment_hash
from dermsynth.core import artefacts


def write_split(folder: Path, table: pl.DataFrame, classes: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Write `split.parquet` (image_id, lesion_id, split) and `split.json`, or replace both.

    Args:
        folder: Of the cohort.
        table: `image_id`, `lesion_id`, `label` and `split` of every image, in the cohort's order.
        classes: All class names.
        facts: Go into `split.json`, beside the images of each class in each part and the hash of the assignment.
    """
    counted = {(part, label): n for part, label, n in table.group_by("split", "label").len().iter_rows()}
    parts = (*PARTS, UNUSED) if (table["split"] == UNUSED).any() else PARTS
    card = {
        **facts,
        "counts": {part: {label: counted.get((part, label), 0) for label in classes} for part in parts},
        "sha256": assignment_hash(table),
    }
    files = table.select("image_id", "lesion_id", "split")
    artefacts.write_together(
        {folder / SPLIT_CARD: artefacts.json_bytes(card), folder / SPLIT: artefacts.parquet_bytes(files)}
    )


def carry_split(cohort: Cohort, table: pl.DataFrame, classes: Sequence[str], folder: Path) -> None:
    """Write the split of a cohort that was made from another one, in the way and with the mark of that one's.

    Args:
        cohort: The one it was made from.
        table: `image_id`, `lesion_id`, `label` and `split` of every image of the new one, in its order.
        classes: Its classes.
        folder: Where it is being made.
    """
    before = None if cohort.path is None else cohort.path / SPLIT_CARD
    known = json.loads(before.read_text(encoding="utf-8")) if before and before.exists() else {}
    write_split(folder, table, classes, {**known, "leaky": cohort.leaky})
