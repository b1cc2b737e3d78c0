"""Real images, synthetic ones, and the real ones that these are most like, class by class."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.stack import ImageStack
from dermsynth.encoders.chosen import Encoder
from dermsynth.pools.nearest import Nearest, nearest
from dermsynth.reports import exhibits, numbers, pictures
from dermsynth.reports.evidence import Evidence

COLUMNS, ROWS = 3, 2
"""Images of one class in a contact sheet."""
_COARSE_PX = 8
_SIDE_PX = 32
_CHUNK = 512
_COMPARED = 24
"""Held-out images of which the usual distance to the training images is known from."""

Pixels = npt.NDArray[np.uint8]
Shown = tuple[npt.NDArray[np.int64], Nearest]
"""Rows of a pool, and what each is most like."""


def grids(evidence: Evidence) -> dict[str, Any]:
    """Return contact sheets per class, how near synthetic images come, and whether the real ones show patients."""
    train = evidence.cohort.part("train")
    seed, pool = next(iter(evidence.pools.items()), (None, None))
    found, held_out = _nearest(evidence, train, pool) if pool else ({}, None)
    rows = []
    for name in evidence.cohort.classes:
        real, n_real = pictures.sheet(train, name, columns=COLUMNS, rows=ROWS, purpose="report: real images")
        row: dict[str, Any] = {"name": name, "real": real, "n_real": n_real, "synthetic": None, "n_synthetic": 0}
        if pool and name in found:
            picked, likes = found[name]
            beside = likes.beside(train.images, np.arange(len(picked)))
            row |= {
                "synthetic": pictures.tiled(pool.images[picked], COLUMNS),
                "n_synthetic": len(picked),
                "nearest": pictures.tiled(beside, COLUMNS),
                "differences": f"{likes.difference.min():.0f} to {likes.difference.max():.0f}",
                "others": ", ".join(_labels(train, likes, name)),
            }
        rows.append(row)
    source = (evidence.cohort.card.get("config") or {}).get("source") or {}
    return {
        "rows": rows,
        "seed": seed,
        "scale": max(1, pictures.TILE_PX // train.size_px),
        "sources": sorted(train.table["source"].unique().to_list()),
        "patients": source.get("kind") != "phantom",
        "licence": evidence.cohort.card.get("licence"),
        "size_px": train.size_px,
        "reduced": train.size_px > pictures.TILE_PX,
        "tile_px": pictures.TILE_PX,
        "images": COLUMNS * ROWS,
        "closest": _closest(found, held_out) if found and held_out else None,
        "data": _data(train, pool, found) if pool else None,
    }


def _nearest(evidence: Evidence, train: Cohort, pool: Cohort) -> tuple[dict[str, Shown], Nearest]:
    """Return, for every class with synthetic images, the rows shown and what they are most like; then held-out ones."""
    picked = {
        name: rows
        for name in evidence.cohort.classes
        if len(rows := pictures.drawn(pool, name, count=COLUMNS * ROWS, purpose="report: synthetic images"))
    }
    held_out = evidence.cohort.select(pl.col("split").is_in(["val", "test"]))
    asked = [_small(pool.images[rows]) for rows in picked.values()]
    asked.append(_small(held_out.images[:: max(1, len(held_out) // _COMPARED)][:_COMPARED]))
    starts = range(0, len(train), _CHUNK)
    known = np.concatenate([_small(train.images[start : start + _CHUNK]) for start in starts])
    every = nearest(ImageStack.of(np.concatenate(asked)), ImageStack.of(known), _ENCODER, _coarse(known))
    ends = np.cumsum([0, *map(len, asked)])
    parts = [
        Nearest(every.difference[a:b], every.row[a:b], every.symmetry[a:b])
        for a, b in itertools.pairwise(ends.tolist())
    ]
    return dict(zip(picked, zip(picked.values(), parts, strict=False), strict=True)), parts[-1]


def _small(images: Pixels) -> Pixels:
    """Return the images at the side at which pixels are compared: a whole cohort then fits into memory."""
    import cv2

    if images.shape[1] <= _SIDE_PX:
        return images
    side = (_SIDE_PX, _SIDE_PX)
    return np.stack([np.asarray(cv2.resize(image, side, interpolation=cv2.INTER_AREA), np.uint8) for image in images])


def _coarse(images: Pixels) -> npt.NDArray[np.float64]:
    """Return the colours of a few squares of each image: enough to propose which ones are alike."""
    import cv2

    side = (_COARSE_PX, _COARSE_PX)
    small = [cv2.resize(image, side, interpolation=cv2.INTER_AREA).ravel() for image in images]
    return np.array(small, dtype=np.float64)


_ENCODER = Encoder("coarse colours", _coarse)


def _closest(found: dict[str, Shown], real: Nearest) -> dict[str, str]:
    """Return how near the nearest pair is, beside how near held-out real images come to training images."""
    synthetic = np.concatenate([likes.difference for _, likes in found.values()])
    return {
        "shown": numbers.count(len(synthetic)),
        "least": f"{synthetic.min():.1f}",
        "median": f"{np.median(synthetic):.1f}",
        "real_least": f"{real.difference.min():.1f}",
        "real_median": f"{np.median(real.difference):.1f}",
        "real": numbers.count(len(real.difference)),
    }


def _labels(train: Cohort, likes: Nearest, name: str) -> list[str]:
    """Return the classes of the training images found, other than their own, each once."""
    labels = train.table["label"].to_numpy()[likes.row]
    return sorted({str(label) for label in labels} - {name})


def _data(train: Cohort, pool: Cohort, found: dict[str, Shown]) -> exhibits.Data:
    names, labels = train.table["image_id"].to_list(), train.table["label"].to_list()
    synthetic = pool.table["image_id"].to_list()
    rows = [
        (label, synthetic[row], names[near], labels[near], float(difference))
        for label, (picked, likes) in found.items()
        for row, near, difference in zip(picked, likes.row, likes.difference, strict=True)
    ]
    columns = ("class", "synthetic_image", "nearest_training_image", "its_class", "difference_grey_levels")
    return exhibits.data("nearest-images", columns, rows)
