"""A folder of maps: what in each image moves a classifier's score, as overlays, as numbers, and as a sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.classifiers.apply import NOTICE, Answers, answers_of
from dermsynth.classifiers.explain import METHODS, maps
from dermsynth.classifiers.photos import Asked, Seen
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.export import file_names
from dermsynth.cohorts.ingest import OnBad
from dermsynth.core import artefacts
from dermsynth.core.config import nearest
from dermsynth.core.cores import cores
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.reports.predictions import explained_row, overlay
from dermsynth.reports.sheets import Row, drawn

OVERLAYS, MAPS, SHEET, TABLE = "overlays", "maps.npy", "sheet.png", "answers.parquet"
_ON_SHEET = 24
_AT_ONCE = 16


def explain(
    classifier: Path | str,
    images: Sequence[Path | str],
    out: Path | str,
    *,
    method: str = "grad-cam",
    label: str | None = None,
    on_bad: OnBad = "skip",
    threads: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Answers:
    """Write a folder of maps of what moves a classifier's score, and return what it says of the images.

    The folder holds `overlays/` with a PNG per image, `maps.npy` (float32 N x S x S, rows as in `answers.parquet`),
    `sheet.png` with the first 24 images, and a card. It shows patients if the images do.

    Args:
        classifier: A folder of `fit`.
        images: As for `predict`.
        out: The folder to make.
        method: `grad-cam`, `integrated-gradients` or `occlusion`; see `maps`.
        label: The class to explain; by default the one that is predicted for each image.
        on_bad: As for `predict`.
        threads: Decoding threads.
        force: Replace an earlier folder.
        progress: Called with images done and images in all.

    Raises:
        ArtefactError: no finished fit, or `out` exists and `force` is false.
        ConfigError: an unknown method or class, or captum is not installed.
        InputError: what `predict` and `maps` refuse.
    """
    from PIL import Image

    asked_of = TrainedClassifier.open(classifier)
    known = next((name for name in METHODS if name == method), None)
    if known is None:
        raise ConfigError(f"method '{method}': {nearest(method, METHODS)}")
    if label is not None and label not in asked_of.classes:
        raise ConfigError(f"class '{label}': {nearest(label, asked_of.classes)}")
    asked = Asked(asked_of, images)
    network = asked_of.loaded()
    tables: list[pl.DataFrame] = []
    found, rows, bad, done = [], list[Row](), list[dict[str, str]](), 0
    files = dict(zip(asked.names, file_names(pl.DataFrame({"image_id": asked.names})), strict=True))
    with artefacts.creating(Path(out), "explanation", force=force) as draft:
        (draft.path / OVERLAYS).mkdir()
        for seen in asked.read(on_bad, threads or cores()):
            for start in range(0, len(seen.images), _AT_ONCE):
                part = Seen(seen.table[start : start + _AT_ONCE], seen.images[start : start + _AT_ONCE], [])
                answers = answers_of(asked_of, part)
                answers = answers.with_columns(explained=pl.lit(label) if label else pl.col("predicted"))
                labels = np.array([asked_of.classes.index(name) for name in answers["explained"]])
                values = maps(network, part.images, labels, known)
                rows += _rows(asked_of.classes, answers, part.images, values)[: _ON_SHEET - len(rows)]
                for name, image, one in zip(answers["image_id"], part.images, values, strict=True):
                    Image.fromarray(overlay(image, one)).save(draft.path / OVERLAYS / files[name])
                tables.append(answers)
                found.append(values)
                done += len(values)
                progress(done, len(asked))
            bad += seen.bad
            done += len(seen.bad)
        if not tables:
            raise InputError(f"not one of {len(bad):,} images can be read; the first: {bad[0]['reason']}")
        table = pl.concat(tables)
        artefacts.write_parquet(draft.path / TABLE, table)
        np.save(draft.path / MAPS, np.concatenate(found), allow_pickle=False)
        artefacts.write_atomically(draft.path / SHEET, drawn(rows))
        draft.card.update(notice=NOTICE, method=method, weights_sha256=asked_of.sha256, images=len(table), bad=bad)
    return Answers(asked_of, table, bad)


def _rows(
    classes: tuple[str, ...], answers: pl.DataFrame, images: NDArray[np.uint8], values: NDArray[np.float32]
) -> list[Row]:
    probabilities = answers.select([f"p_{name}" for name in classes]).to_numpy()
    return [
        explained_row(name, image, one, label, dict(zip(classes, each.tolist(), strict=True)))
        for name, label, image, one, each in zip(
            answers["image_id"], answers["explained"], images, values, probabilities, strict=True
        )
    ]
