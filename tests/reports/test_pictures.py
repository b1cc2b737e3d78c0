from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ArtefactError
from dermsynth.reports import pictures


def cohort(images: int, size_px: int = 8, lesions: int | None = None) -> Cohort:
    table = pl.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(images)],
            "label": "mel",
            "lesion_id": [f"l{i % (lesions or images)}" for i in range(images)],
            "patient_id": pl.Series([None] * images, dtype=pl.String),
            "source": "test",
            "origin": "real",
            "sha256": [str(i) for i in range(images)],
        }
    )
    pixels = np.broadcast_to(np.arange(images, dtype=np.uint8)[:, None, None, None] + 1, (images, size_px, size_px, 3))
    return Cohort.in_memory(table, np.ascontiguousarray(pixels), ("mel", "nv"))


def pixels_of(picture: pictures.Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.url.removeprefix("data:image/png;base64,")))))


def test_a_sheet_shows_images_unchanged() -> None:
    picture, shown = pictures.sheet(cohort(4), "mel", columns=2, rows=2, purpose="test")
    assert picture is not None
    pixels = pixels_of(picture)
    assert shown == 4
    assert set(np.unique(pixels[pixels[..., 3] == 255][:, 0])) == {1, 2, 3, 4}


def test_a_sheet_shows_each_lesion_once_while_there_are_enough() -> None:
    picture, _ = pictures.sheet(cohort(12, lesions=4), "mel", columns=2, rows=2, purpose="test")
    assert picture is not None
    pixels = pixels_of(picture)
    assert {(value - 1) % 4 for value in np.unique(pixels[pixels[..., 3] == 255][:, 0])} == {0, 1, 2, 3}


def test_a_class_without_images_has_no_sheet() -> None:
    assert pictures.sheet(cohort(4), "nv", columns=2, rows=2, purpose="test") == (None, 0)


def test_large_images_are_reduced() -> None:
    picture, _ = pictures.sheet(cohort(1, size_px=300), "mel", columns=1, rows=1, purpose="test")
    assert picture is not None
    assert (picture.width_px, picture.height_px) == (pictures.TILE_PX, pictures.TILE_PX)


def test_a_snapshot_keeps_a_row_per_class(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((7 * 64, 8 * 64, 3), np.uint8)).save(tmp_path / "000001000.png")
    picture = pictures.snapshot(tmp_path / "000001000.png", 7)
    assert (picture.width_px, picture.height_px) == (128, 7 * 64)


def test_a_broken_snapshot_is_named(tmp_path: Path) -> None:
    (tmp_path / "000001000.png").write_bytes(b"no image")
    with pytest.raises(ArtefactError, match=r"000001000\.png: cannot be read as an image"):
        pictures.snapshot(tmp_path / "000001000.png", 7)
