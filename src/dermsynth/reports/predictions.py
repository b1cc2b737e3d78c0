"""Sheets about what classifiers say: images with maps of what they react to, and images about which two disagree."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from dermsynth.classifiers.aligned import read_aligned
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError
from dermsynth.reports.pictures import TILE_PX
from dermsynth.reports.sheets import Row
from dermsynth.reports.svg import ACCENT, INK, MUTED

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_WARM, _COLD = (215.0, 48.0, 39.0), (44.0, 104.0, 196.0)
_DENSEST = 0.75
_DPI = 100


def overlay(image: Pixels, values: npt.NDArray[np.float32]) -> Pixels:
    """Return the image in grey under the map in colour: red above 0, blue below, clear at 0.

    The strongest hundredth of the map has the densest colour, so colours of two images do not compare.

    Args:
        image: uint8 S x S x 3.
        values: float S x S.
    """
    grey = image.mean(axis=2, keepdims=True)
    strongest = float(np.quantile(np.abs(values), 0.99))
    density = _DENSEST * np.clip(np.abs(values)[..., None] / (strongest or 1.0), 0, 1)
    colour = np.where(values[..., None] > 0, np.array(_WARM), np.array(_COLD))
    return np.asarray(np.round(grey * (1 - density) + colour * density), dtype=np.uint8)


def enlarged(images: Pixels) -> Pixels:
    """Return images N x S x S x 3 at the side at which sheets show them."""
    from PIL import Image

    size = (TILE_PX, TILE_PX)
    way = Image.Resampling.NEAREST if images.shape[1] < TILE_PX else Image.Resampling.BOX
    return np.stack([np.asarray(Image.fromarray(one).resize(size, way)) for one in images])


def bars(probabilities: Mapping[str, float], marked: str | None = None) -> Pixels:
    """Draw a bar per class, 0 to 1, as a square picture of `TILE_PX`; the name of `marked` is in bold."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(TILE_PX / _DPI, TILE_PX / _DPI), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(len(probabilities), 0))
    axes.axis("off")
    points = min(7.5, 60 / len(probabilities))
    for place, (name, value) in enumerate(probabilities.items()):
        axes.barh(place + 0.5, 0.42 * value, left=0.38, height=0.7, color=ACCENT)
        weight = "bold" if name == marked else "normal"
        colour = INK if name == marked else MUTED
        shown = name if len(name) <= 8 else f"{name[:7]}…"
        axes.text(0.36, place + 0.5, shown, ha="right", va="center", fontsize=points, color=colour, weight=weight)
        axes.text(0.99, place + 0.5, f"{value:.2f}", ha="right", va="center", fontsize=points, color=colour)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return np.asarray(Image.open(buffer).convert("RGB"))


def explained_row(
    name: str, image: Pixels, values: npt.NDArray[np.float32], label: str, probabilities: Mapping[str, float]
) -> Row:
    """Return an image, its map for the class `label`, and the class probabilities."""
    pictures = enlarged(np.stack([image, overlay(image, values)]))
    shown = np.concatenate([pictures, bars(probabilities, label)[None]])
    return Row(_short(name), "", shown, ["image", f"what moves '{label}'", "probabilities"])


def disagreement(fits: tuple[Path, Path], cohort: Cohort, count: int = 12) -> list[Row]:
    """Return the test images on which two fits differ most: the image and both fits' class probabilities.

    The difference is the total variation distance, half the sum of the absolute differences of probabilities: 0 if both
    say the same, 1 if each is sure of what the other excludes. The name of the actual class is in bold.

    Args:
        fits: Two folders of fits, or predictions files, of the same test images.
        cohort: Has those images.
        count: Most rows.

    Raises:
        InputError: what `read_aligned` refuses, or a test image that the cohort does not have.
    """
    first, second = read_aligned(fits, "test")
    distances = 0.5 * np.abs(first.probabilities - second.probabilities).sum(axis=1)
    order = np.argsort(-distances, kind="stable")[:count]
    known = cohort.table.with_row_index("row").select("image_id", "row")
    wanted = pl.DataFrame({"image_id": first.image_ids[order].tolist()})
    found = wanted.join(known, on="image_id", how="left", maintain_order="left")
    if found["row"].null_count():
        missing = found.filter(pl.col("row").is_null())["image_id"][0]
        raise InputError(
            f"{cohort.path}: has no image '{missing}', which {fits[0]} predicts; give the cohort of the fits"
        )
    pictures = enlarged(cohort.images[found["row"].to_numpy().astype(np.int64)])
    rows = []
    for place, (number, picture) in enumerate(zip(order, pictures, strict=True)):
        actual = first.classes[first.labels[number]]
        told = [bars(_by_class(one.classes, one.probabilities[number]), actual) for one in (first, second)]
        captions = [actual, *(fit.name for fit in fits)]
        row = Row(
            f"{distances[number]:.2f} apart", _short(found["image_id"][place]), np.stack([picture, *told]), captions
        )
        rows.append(row)
    return rows


def _by_class(classes: Sequence[str], probabilities: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(classes, probabilities, strict=True)}


def _short(name: str) -> str:
    """Return the end of a name that fits beside a row."""
    return name if len(name) <= 20 else f"…{name[-19:]}"
