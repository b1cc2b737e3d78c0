"""Checks of what goes with the class although it is not the lesion: the source of an image, and its artefacts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from dermsynth.audits.association import Association, association
from dermsynth.audits.finding import Finding, singles
from dermsynth.metrics.artefacts import ARTEFACTS


def class_by_source(table: pl.DataFrame, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return real images per class (a row each, column `label`) and source (a column each)."""
    real = table.filter(pl.col("origin") == "real")
    sources = sorted(real["source"].unique().to_list())
    counted = {(label, source): count for label, source, count in real.group_by("label", "source").len().iter_rows()}
    columns = {source: [counted.get((label, source), 0) for label in classes] for source in sources}
    return pl.DataFrame({"label": classes, **columns})


def class_by_artefact(table: pl.DataFrame, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return per class `label`, `images`, and how many of them have each artefact; no column if none was measured."""
    measured = [name for name in ARTEFACTS if name in table.columns]
    present = [(pl.col(name) >= ARTEFACTS[name][1]).sum().alias(name) for name in measured]
    counted = table.group_by("label").agg(pl.len().alias("images"), *present)
    return pl.DataFrame({"label": classes}).join(counted, on="label", how="left", maintain_order="left").fill_null(0)


def check_confounding(table: pl.DataFrame, classes: tuple[str, ...]) -> Iterable[Finding]:
    """Yield which properties of an image go with its class."""
    sources = class_by_source(table, classes)
    found = association(sources.drop("label").to_numpy())
    if found.notable:
        most = ", ".join(
            _most(label, counts, sources.columns[1:]) for label, *counts in sources.iter_rows() if any(counts)
        )
        detail = f"sources; a classifier may learn the source instead of the lesion ({_strength(found)}): {most}"
        yield Finding("warning", "class and source go together", sources.width - 1, detail)
    artefacts = class_by_artefact(table, classes)
    for name in artefacts.columns[2:]:
        having = artefacts[name].to_numpy()
        found = association(np.stack([having, artefacts["images"].to_numpy() - having], axis=1))
        if found.notable:
            shares = artefacts.filter(pl.col("images") > 0).select("label", pl.col(name) / pl.col("images"))
            listed = ", ".join(f"{label} {share:.0%}" for label, share in shares.iter_rows())
            detail = f"images with it; a classifier may learn it instead of the lesion ({_strength(found)}): {listed}"
            worst = table.filter(pl.col(name) >= ARTEFACTS[name][1]).sort(name, descending=True, maintain_order=True)
            ids = worst["image_id"].to_list()
            yield Finding("warning", f"class and {name} go together", int(having.sum()), detail, singles(ids))


def _most(label: str, counts: list[int], sources: list[str]) -> str:
    """Return where most images of a class are from: `mel 93% clinic`."""
    count, source = max(zip(counts, sources, strict=True))
    return f"{label} {count / sum(counts):.0%} {source}"


def _strength(found: Association) -> str:
    return f"chi-square {found.chi_square:.0f}, p < 0.001, Cramér's V {found.cramers_v:.2f}"
