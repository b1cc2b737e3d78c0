"""What is wrong, or worth knowing, about a cohort before anybody trains on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.audits.appearance import appearance, oddities
from dermsynth.audits.confounding import check_confounding, class_by_artefact, class_by_source
from dermsynth.audits.finding import SEVERITIES, Finding, examples, singles
from dermsynth.audits.pairs import check_against, check_pairs, joined
from dermsynth.audits.table import check_table
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.duplicates import near_duplicates
from dermsynth.core.cores import cores
from dermsynth.metrics.artefacts import MIN_SIZE_PX, artefact_scores

_CHUNK = 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Attributes:
        findings: Errors first.
        sources: Real images per class and source: `label`, then a column per source.
        artefacts: Per class `label`, `images`, and how many of them have each artefact (no such column if the images
            are too small to tell).
    """

    findings: list[Finding]
    sources: pl.DataFrame
    artefacts: pl.DataFrame


def audit_cohort(
    cohort: Cohort,
    against: Cohort | None = None,
    *,
    threads: int | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Finding]:
    """Return what `examine` finds in a cohort, errors first; an empty list if nothing."""
    return examine(cohort, against, threads=threads, progress=progress).findings


def examine(
    cohort: Cohort,
    against: Cohort | None = None,
    *,
    threads: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Audit:
    """Return what is found in the table and the pixels of a cohort.

    Looks for: lesions, patients, identical images and near-duplicates in two parts of the split; synthetic images in
    val or test; labels that contradict each other within a lesion or among images that show one photograph; identical
    files and pixels, and near-duplicates; classes with few lesions; images without a known lesion; images that are
    empty, clipped, colourless or of a colour unlike the others; sources and artefacts that go with the class. With
    `against` also for what the two cohorts share. Pixels are read chunk by chunk: of each image some hundred bytes are
    kept.

    Args:
        cohort: A cohort or a pool.
        against: Another one that is meant to be independent of it, such as an external test set.
        threads: All cores that this process may use by default. The result does not depend on it.
        progress: Called with images done and images in all, while near-duplicates are looked for.
    """
    threads = threads or cores()
    table = cohort.table.with_columns(_measured(cohort, threads))
    pairs = joined(near_duplicates(cohort.images, threads=threads, progress=progress), table, table)
    found = [
        *check_table(table, cohort.classes),
        *check_pairs(pairs),
        *_check_appearance(table),
        *check_confounding(table, cohort.classes),
    ]
    if against is not None:
        other = against.table.with_columns(_pixel_hashes(against))
        shared = near_duplicates(cohort.images, against.images, threads=threads, progress=progress)
        found += check_against(table, other, joined(shared, table, other))
    findings = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    sources, artefacts = (count(table, cohort.classes) for count in (class_by_source, class_by_artefact))
    return Audit(findings, sources, artefacts)


def _measured(cohort: Cohort, threads: int) -> list[pl.Series]:
    """Return what is measured of the pixels, a column each: their hash, the appearance and the artefacts."""
    chunks = []
    for start in range(0, len(cohort), _CHUNK):
        images = cohort.images[np.arange(start, min(start + _CHUNK, len(cohort)))]
        scores = artefact_scores(images, threads) if cohort.size_px >= MIN_SIZE_PX else {}
        chunks.append(pl.DataFrame({"pixels": _hashes(images), **appearance(images), **scores}))
    return pl.concat(chunks).get_columns()


def _pixel_hashes(cohort: Cohort) -> pl.Series:
    chunks = (cohort.images[np.arange(at, min(at + _CHUNK, len(cohort)))] for at in range(0, len(cohort), _CHUNK))
    return pl.concat([_hashes(images) for images in chunks]).alias("pixels")


def _hashes(images: NDArray[np.uint8]) -> pl.Series:
    return pl.Series([hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images], dtype=pl.Binary)


def _check_appearance(table: pl.DataFrame) -> Iterable[Finding]:
    for name, odd in oddities(table).items():
        if ids := table.filter(pl.Series(odd))["image_id"].to_list():
            detail = f"images; look at them, they may be no dermoscopy images: {examples(ids)}"
            yield Finding("warning", name, len(ids), detail, singles(ids))
