"""What is wrong, or worth knowing, about a cohort before anybody trains on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort

FEW_TEST_LESIONS, FEW_TRAIN_LESIONS = 30, 10
"""Below these a class is called rare: one test lesion moves its recall by more than 3 points; training sees too few."""

_CHUNK, _EXAMPLES = 256, 3
_SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: `error`: results on this cohort cannot be trusted. `warning`: they need care. `note`: good to know.
        finding: What, in a few words.
        count: How often; of what, the detail says.
        detail: One line: what was counted, what follows from it, and the first examples.
    """

    severity: Literal["error", "warning", "note"]
    finding: str
    count: int
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Return severity, finding, count and detail as a JSON object."""
        return asdict(self)


def audit_cohort(cohort: Cohort) -> list[Finding]:
    """Return what is found in the table and the pixels of a cohort, errors first; an empty list if nothing.

    Looks for: lesions, patients and identical images in two parts of the split; synthetic images in val or test; labels
    that contradict each other within a lesion or among identical images; identical files and identical pixels; classes
    with few lesions; images without a known lesion. Pixels are read chunk by chunk: memory does not grow with the
    number of images.
    """
    table = cohort.table.with_columns(pixels=_pixel_hashes(cohort))
    checks: Iterable[Callable[[pl.DataFrame, tuple[str, ...]], Iterable[Finding]]] = (
        _straddling,
        _synthetic_held_out,
        _contradictions,
        _duplicates,
        _rare_classes,
        _unknown_lesions,
    )
    found = [finding for check in checks for finding in check(table, cohort.classes)]
    return sorted(found, key=lambda finding: _SEVERITIES.index(finding.severity))


def _pixel_hashes(cohort: Cohort) -> pl.Series:
    hashes: list[bytes] = []
    for start in range(0, len(cohort), _CHUNK):
        images = cohort.images[np.arange(start, min(start + _CHUNK, len(cohort)))]
        hashes += [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
    return pl.Series(hashes, dtype=pl.Binary)


def _straddling(table: pl.DataFrame, _: tuple[str, ...]) -> Iterable[Finding]:
    if "split" not in table.columns:
        if real := table.filter(pl.col("origin") == "real").height:  # a pool is never split
            yield Finding("note", "no split", real, "images; run 'dermsynth split' to divide them into parts")
        return
    for column in ("lesion_id", "patient_id"):
        both = _in_several(table.filter(pl.col(column).is_not_null()), column, "split")
        if names := _distinct(both, column):
            thing = column.removesuffix("_id")
            detail = f"{thing}s; what is learnt from one part is then asked in another: {_examples(names)}"
            yield Finding("error", f"{thing} in two parts", len(names), detail)
    both = pl.concat([_in_several(table, column, "split") for column in ("sha256", "pixels")])
    if ids := _distinct(both, "image_id"):
        detail = f"images that have a twin in another part; remove one of each: {_examples(ids)}"
        yield Finding("error", "identical images in two parts", len(ids), detail)


def _synthetic_held_out(table: pl.DataFrame, _: tuple[str, ...]) -> Iterable[Finding]:
    if "split" in table.columns:
        ids = table.filter((pl.col("origin") == "synthetic") & (pl.col("split") != "train"))["image_id"].to_list()
        if ids:
            detail = f"images; only real images can judge a classifier: {_examples(ids)}"
            yield Finding("error", "synthetic images in val or test", len(ids), detail)


def _contradictions(table: pl.DataFrame, _: tuple[str, ...]) -> Iterable[Finding]:
    several = _in_several(table, "lesion_id", "label")
    if lesions := _distinct(several, "lesion_id"):
        labels = sorted(several.filter(pl.col("lesion_id") == lesions[0])["label"].unique())
        detail = f"lesions; correct the labels: {_examples(lesions)} (the first is {' and '.join(labels)})"
        yield Finding("error", "lesion with several labels", len(lesions), detail)
    several = pl.concat([_in_several(table, column, "label") for column in ("sha256", "pixels")])
    if ids := _distinct(several, "image_id"):
        detail = f"images whose identical twin has another label; correct or remove them: {_examples(ids)}"
        yield Finding("error", "identical images with several labels", len(ids), detail)


def _duplicates(table: pl.DataFrame, _: tuple[str, ...]) -> Iterable[Finding]:
    copies = table.filter(pl.col("sha256").is_duplicated())
    if copies.height:
        surplus = copies.height - copies["sha256"].n_unique()
        detail = f"images beyond the first of each file: {_pairs(copies, 'sha256')}"
        yield Finding("warning", "the same file again", surplus, detail)
    alike = _in_several(table, "pixels", "sha256")
    if alike.height:
        surplus = alike["sha256"].n_unique() - alike["pixels"].n_unique()
        detail = f"files that decode to the pixels of another one: {_pairs(alike, 'pixels')}"
        yield Finding("warning", "the same pixels in another file", surplus, detail)


def _rare_classes(table: pl.DataFrame, classes: tuple[str, ...]) -> Iterable[Finding]:
    if "split" not in table.columns:
        return
    for part, least, consequence in (
        ("test", FEW_TEST_LESIONS, "the interval of their recall will be wide"),
        ("train", FEW_TRAIN_LESIONS, "neither generator nor classifier can learn them well"),
    ):
        here = table.filter((pl.col("split") == part) & (pl.col("origin") == "real"))
        lesions = dict(here.group_by("label").agg(pl.col("lesion_id").n_unique()).iter_rows())
        rare = {name: lesions.get(name, 0) for name in classes if lesions.get(name, 0) < least}
        if rare:
            listed = ", ".join(f"{name} {count}" for name, count in rare.items())
            detail = f"classes with fewer than {least} {part} lesions; {consequence}: {listed}"
            yield Finding("warning", f"few {part} lesions", len(rare), detail)


def _unknown_lesions(table: pl.DataFrame, _: tuple[str, ...]) -> Iterable[Finding]:
    real = table.filter(pl.col("origin") == "real")
    alone = real.filter(pl.col("lesion_id") == pl.col("image_id"))
    if alone.height:
        which = "every image counts" if alone.height == real.height else "these images count"
        detail = f"of {real.height:,} real images; {which} as a lesion of its own, two photos of one lesion go unseen"
        yield Finding("note", "no lesion information", alone.height, detail)


def _in_several(table: pl.DataFrame, group: str, column: str) -> pl.DataFrame:
    """Return the rows of the groups that have more than one value in a column."""
    return table.filter(pl.col(column).n_unique().over(group) > 1)


def _distinct(rows: pl.DataFrame, column: str) -> list[str]:
    return rows[column].unique(maintain_order=True).to_list()


def _examples(names: list[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (", …" if len(names) > _EXAMPLES else "")


def _pairs(rows: pl.DataFrame, column: str) -> str:
    groups = rows.group_by(column, maintain_order=True).agg("image_id")["image_id"].to_list()
    return _examples([" = ".join(group[:_EXAMPLES]) for group in groups])
