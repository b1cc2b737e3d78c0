"""The figure of preprocessing shows every step on photos of every class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.cohorts.sources.layouts import make_tree

from dermsynth.cohorts.preprocess import chain_of
from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.core.errors import InputError
from dermsynth.reports.preprocessing import TILE_PX, rows
from dermsynth.reports.sheets import drawn

CHAIN = chain_of(["gamma", "resize"])


def test_a_row_has_the_photo_and_every_step_of_it(tmp_path: Path) -> None:
    source = make_source(source_config("folder", {"root": str(make_tree(tmp_path, {"mel": 3, "nv": 3}))}))
    (row,) = rows(source, CHAIN, 16, count=1)
    assert row.captions == ["24 × 16 px", "gamma", "resize, 16 px"]
    assert row.images.shape[0] == 3
    assert row.images.shape[2] == TILE_PX
    assert (row.images[1].astype(int) >= row.images[0]).all()  # gamma 1.5 brightens


def test_classes_come_in_turn() -> None:
    source = make_source(source_config("phantom", {"counts": {"bcc": 5, "mel": 5, "nv": 5}}))
    names = [row.name for row in rows(source, CHAIN, 16, count=6)]
    assert sorted(names[:3]) == sorted(names[3:]) == ["bcc", "mel", "nv"]


def test_photos_that_cannot_be_decoded_are_left_out(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"mel": 3, "nv": 3})
    for path in (root / "mel").iterdir():
        path.write_bytes(b"")
    source = make_source(source_config("folder", {"root": str(root)}))
    assert {row.name for row in rows(source, CHAIN, 16, count=3)} == {"nv"}
    for path in (root / "nv").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no photo of the source can be decoded"):
        rows(source, CHAIN, 16)


def test_the_sheet_is_as_high_as_its_rows() -> None:
    import io

    from PIL import Image

    source = make_source(source_config("phantom", {"counts": {"mel": 5, "nv": 5}}))
    two, four = (Image.open(io.BytesIO(drawn(rows(source, CHAIN, 64, count=n)))) for n in (2, 4))
    assert four.width == two.width
    assert 1.8 < four.height / two.height < 2
    assert np.asarray(two.convert("L")).std() > 20
