"""Checks of near-duplicates, within a cohort and between two, and of what two cohorts share."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from dermsynth.audits.finding import Finding, Groups, Severity, examples
from dermsynth.cohorts.cohort import UNUSED

# Pairs are a table with the columns of both images, those of the second with the suffix `_b`, and `transform`.
_ALIKE = (pl.col("sha256") == pl.col("sha256_b")) | (pl.col("pixels") == pl.col("pixels_b"))


def joined(pairs: pl.DataFrame, first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Return pairs of row numbers with the rows of their tables; identical images are left out, they are told apart."""
    sides = [
        table[pairs[side].to_numpy()].select(pl.all().name.suffix(suffix))
        for side, suffix, table in (("a", "", first), ("b", "_b", second))
    ]
    return pl.concat([pairs.select("transform"), *sides], how="horizontal").filter(~_ALIKE)


def check_pairs(pairs: pl.DataFrame) -> Iterable[Finding]:
    """Yield what near-duplicates within a cohort mean."""
    left = pairs
    if "split" in pairs.columns:
        apart = (pl.col("split") != pl.col("split_b")) & (pl.col("split") != UNUSED) & (pl.col("split_b") != UNUSED)
        straddling, left = pairs.filter(apart), pairs.filter(~apart)
        what = "pairs that look like one photograph; one part teaches what another asks; remove one of each"
        yield from _told("error", "near-duplicates in two parts", straddling, what)
    yield from _contradictions(pairs)
    drawn = pl.col("origin") == "synthetic"
    same = pl.col("lesion_id") == pl.col("lesion_id_b")
    what = "pairs; the generator repeats itself or what it learnt from"
    yield from _told("warning", "near-duplicates among synthetic images", left.filter(drawn), what)
    what = "pairs that may show one lesion, which a split by lesion takes apart; give both one lesion_id"
    yield from _told("warning", "near-duplicates of different lesions", left.filter(~drawn & ~same), what)
    what = "pairs of photographs of one lesion that show hardly more than one of them"
    yield from _told("note", "near-duplicates of one lesion", left.filter(~drawn & same), what)


def check_against(table: pl.DataFrame, other: pl.DataFrame, pairs: pl.DataFrame) -> Iterable[Finding]:
    """Yield what a cohort shares with another one that is meant to be independent of it; both have `pixels`."""
    for column, what in (("lesion_id", "lesion"), ("patient_id", "patient")):
        shared = table.filter(pl.col(column).is_not_null()).join(other, on=["source", column], how="semi")
        if names := shared[column].unique(maintain_order=True).to_list():
            detail = f"{what}s of one source; the cohorts are not independent: {examples(names)}"
            yield Finding("error", f"{what} in both cohorts", len(names), detail)
    twins = [
        table.join(other, on=column, suffix="_b").select("image_id", "image_id_b") for column in ("sha256", "pixels")
    ]
    same = pl.concat(twins).unique(maintain_order=True)
    if same.height:
        detail = f"pairs; the cohorts are not independent: {_listed(same, ' = ')}"
        yield Finding("error", "identical images in both cohorts", same.height, detail, _groups(same), across=True)
    what = "pairs that look like one photograph; the cohorts are not independent"
    yield from _told("error", "near-duplicates in both cohorts", pairs, what, across=True)
    yield from _contradictions(pairs, across=True)


def _contradictions(pairs: pl.DataFrame, *, across: bool = False) -> Iterable[Finding]:
    several = pairs.filter(pl.col("label") != pl.col("label_b"))
    what = "pairs that look like one photograph with two labels; look at them and correct one"
    yield from _told("warning", "near-duplicates with several labels", several, what, across=across)


def _told(
    severity: Severity, finding: str, pairs: pl.DataFrame, what: str, *, across: bool = False
) -> Iterable[Finding]:
    if pairs.height:
        yield Finding(severity, finding, pairs.height, f"{what}: {_listed(pairs, ' ~ ')}", _groups(pairs), across)


def _listed(pairs: pl.DataFrame, sign: str) -> str:
    made = pairs["transform"] if "transform" in pairs.columns else pl.repeat("same", pairs.height, eager=True)
    ids = zip(pairs["image_id"], pairs["image_id_b"], made, strict=True)
    return examples([f"{a}{sign}{b}" + (f" ({how})" if how != "same" else "") for a, b, how in ids])


def _groups(pairs: pl.DataFrame) -> Groups:
    return tuple(pairs.select("image_id", "image_id_b").iter_rows())
