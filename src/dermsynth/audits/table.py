"""Checks that need no more than the table of a cohort, with a hash of every image's pixels in its column `pixels`."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from dermsynth.audits.finding import Finding, Groups, examples, singles
from dermsynth.cohorts.cohort import UNUSED

FEW_TEST_LESIONS, FEW_TRAIN_LESIONS = 30, 10
"""Below these a class is called rare: one test lesion moves its recall by more than 3 points; training sees too few."""


def check_table(table: pl.DataFrame, classes: tuple[str, ...]) -> Iterable[Finding]:
    """Yield what the table tells."""
    yield from _straddling(table)
    yield from _synthetic_held_out(table)
    yield from _contradictions(table)
    yield from _duplicates(table)
    yield from _rare_classes(table, classes)
    yield from _unknown_lesions(table)


def _straddling(table: pl.DataFrame) -> Iterable[Finding]:
    if "split" not in table.columns:
        if real := table.filter(pl.col("origin") == "real").height:  # a pool is never split
            yield Finding("note", "no split", real, "images; run 'dermsynth split' to divide them into parts")
        return
    table = table.filter(pl.col("split") != UNUSED)
    for column in ("lesion_id", "patient_id"):
        both = _in_several(table.filter(pl.col(column).is_not_null()), column, "split")
        if names := _distinct(both, column):
            thing = column.removesuffix("_id")
            detail = f"{thing}s; what is learnt from one part is then asked in another: {examples(names)}"
            yield Finding("error", f"{thing} in two parts", len(names), detail, _groups(both, column))
    twins = [_in_several(table, column, "split") for column in ("sha256", "pixels")]
    if ids := _distinct(pl.concat(twins), "image_id"):
        detail = f"images that have a twin in another part; remove one of each: {examples(ids)}"
        yield Finding("error", "identical images in two parts", len(ids), detail, _twins(twins))


def _synthetic_held_out(table: pl.DataFrame) -> Iterable[Finding]:
    if "split" in table.columns:
        fakes = table.filter((pl.col("origin") == "synthetic") & pl.col("split").is_in(["val", "test"]))
        if ids := fakes["image_id"].to_list():
            detail = f"images; only real images can judge a classifier: {examples(ids)}"
            yield Finding("error", "synthetic images in val or test", len(ids), detail, singles(ids))


def _contradictions(table: pl.DataFrame) -> Iterable[Finding]:
    several = _in_several(table, "lesion_id", "label")
    if lesions := _distinct(several, "lesion_id"):
        labels = sorted(several.filter(pl.col("lesion_id") == lesions[0])["label"].unique())
        detail = f"lesions; correct the labels: {examples(lesions)} (the first is {' and '.join(labels)})"
        yield Finding("error", "lesion with several labels", len(lesions), detail, _groups(several, "lesion_id"))
    twins = [_in_several(table, column, "label") for column in ("sha256", "pixels")]
    if ids := _distinct(pl.concat(twins), "image_id"):
        detail = f"images whose identical twin has another label; correct or remove them: {examples(ids)}"
        yield Finding("error", "identical images with several labels", len(ids), detail, _twins(twins))


def _duplicates(table: pl.DataFrame) -> Iterable[Finding]:
    copies = table.filter(pl.col("sha256").is_duplicated())
    if copies.height:
        surplus, groups = copies.height - copies["sha256"].n_unique(), _groups(copies, "sha256")
        detail = f"images beyond the first of each file: {_equations(groups)}"
        yield Finding("warning", "the same file again", surplus, detail, groups)
    alike = _in_several(table, "pixels", "sha256")
    if alike.height:
        surplus, groups = alike["sha256"].n_unique() - alike["pixels"].n_unique(), _groups(alike, "pixels")
        detail = f"files that decode to the pixels of another one: {_equations(groups)}"
        yield Finding("warning", "the same pixels in another file", surplus, detail, groups)


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


def _unknown_lesions(table: pl.DataFrame) -> Iterable[Finding]:
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


def _groups(rows: pl.DataFrame, column: str) -> Groups:
    found = rows.group_by(column, maintain_order=True).agg("image_id")["image_id"].to_list()
    return tuple(tuple(ids) for ids in found)


def _twins(twins: list[pl.DataFrame]) -> Groups:
    """Return the groups of the same file and of the same pixels, each once."""
    return tuple(dict.fromkeys(_groups(twins[0], "sha256") + _groups(twins[1], "pixels")))


def _equations(groups: Groups) -> str:
    return examples([" = ".join(group[:3]) for group in groups])
