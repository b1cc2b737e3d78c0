"""Ingest: from the files of a data set to a cohort folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.sources import SourceConfig, make_source
from dermsynth.cohorts.sources.base import Photos
from dermsynth.core import artefacts
from dermsynth.core.cores import cores
from dermsynth.core.errors import InputError


def ingest(
    source: SourceConfig,
    size_px: int,
    out: Path | str,
    *,
    force: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cohort:
    """Read a data set into the cohort folder `out` and return it opened.

    Everything that needs no pixels is checked before the first image is decoded. Memory does not grow with the number
    of images.

    Args:
        source: Which data set, and where its files are.
        size_px: Side of the square images.
        out: The folder to make.
        force: Replace an existing cohort.
        threads: Decoding threads; all cores that this process may use by default. The result does not depend on it.
        progress: Called with images done and images in all.

    Raises:
        InputError: a file, a row or an image that cannot be used; the message names it.
        ArtefactError: `out` exists and `force` is false, or the disk is full.
    """
    if size_px < 8:
        raise InputError(f"size_px is {size_px}; images need at least 8 pixels a side")
    out = artefacts.check_free(Path(out), force=force)
    made = make_source(source)
    total = made.check()
    facts = {
        "config": {"source": source.canonical(), "size_px": size_px},
        "fingerprint": made.fingerprint(),
        "licence": made.licence,
        "preprocessing": made.preprocessing,
        "lesions": made.lesions,
    }
    done = 0
    with writing_cohort(out, made.classes, force=force, facts=facts) as writer:
        for photos in made.photos(size_px, threads or cores()):
            writer.append(_completed(photos), photos.images, photos.masks)
            done += len(photos.images)
            progress(done, total)
    return Cohort.open(out)


def _completed(photos: Photos) -> pl.DataFrame:
    """Add what every real image has, and the hash of the pixels where there is no file."""
    table = photos.table.with_columns(origin=pl.lit("real"))
    if "sha256" not in table.columns:
        hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in photos.images]
        table = table.with_columns(sha256=pl.Series(hashes))
    return table
