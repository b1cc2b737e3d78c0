"""What is exported can be read by others, and read back without a changed pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.export import METADATA, export, file_names
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import source_config
from dermsynth.core.errors import ArtefactError
from tests.helpers import make_cohort, make_pool, saved_cohort


def read_back(root: Path, cohort: Cohort) -> None:
    """Assert that metadata.csv below `root` leads from every row of a cohort to its exact pixels."""
    table = pl.read_csv(root / METADATA)
    assert table["image_id"].to_list() == cohort.table["image_id"].to_list()
    assert table["label"].to_list() == cohort.table["label"].to_list()
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.png")} == set(table["file_name"])
    for row, name in enumerate(table["file_name"]):
        assert np.array_equal(np.asarray(Image.open(root / name)), cohort.images[row])


def test_a_table_leads_to_every_pixel(tmp_path: Path) -> None:
    cohort = make_cohort(split=False)
    read_back(export(cohort, tmp_path / "out"), cohort)


def test_after_a_split_every_part_has_a_folder_and_a_table(tmp_path: Path) -> None:
    cohort = make_cohort()
    out = export(cohort, tmp_path / "out")
    for part in ("train", "val", "test"):
        read_back(out / part, cohort.part(part))


def test_export_then_ingest_gives_the_same_pixels(tmp_path: Path) -> None:
    cohort = make_cohort(split=False, size_px=24)
    export(cohort, tmp_path / "out")
    again = ingest(source_config("folder", {"root": str(tmp_path / "out")}), 24, tmp_path / "again")
    order = again.table.select("image_id").with_row_index().join(cohort.table, on="image_id", maintain_order="right")
    assert np.array_equal(again.images[:][order["index"].to_numpy()], cohort.images[:])
    assert again.counts() == cohort.counts()


def test_a_pool_is_exported_like_a_cohort(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "pool", make_cohort(), {"mel": 3, "nv": 2})
    out = export(pool, tmp_path / "out")
    read_back(out, pool)
    assert pl.read_csv(out / METADATA)["origin"].unique().to_list() == ["synthetic"]


def synthetic() -> Cohort:
    cohort = make_cohort(split=False)
    table = cohort.table.with_columns(
        origin=pl.when(pl.col("label") == "mel").then(pl.lit("synthetic")).otherwise("origin"),
        algorithm=pl.lit("dcgan"),
        generator_sha256=pl.lit("abc"),
    )
    return Cohort.in_memory(table, cohort.images[:], cohort.classes)


def test_synthetic_files_say_so_in_their_metadata_and_real_ones_do_not(tmp_path: Path) -> None:
    out = export(synthetic(), tmp_path / "out")
    for path in out.rglob("*.png"):
        with Image.open(path) as image:
            image.load()
            text = dict(image.text)  # type: ignore[attr-defined]
            described = image.getexif().get(0x010E, "")
        made = path.parent.name == "mel"
        assert (text.get("dermsynth:origin") == "synthetic") == made
        assert ("trainedAlgorithmicMedia" in text.get("XML:com.adobe.xmp", "")) == made
        assert ("it shows no patient" in described) == made


def test_a_border_frames_synthetic_images_alone(tmp_path: Path) -> None:
    cohort = synthetic()
    out = export(cohort, tmp_path / "out", border=True)
    for row, (image_id, label) in enumerate(cohort.table.select("image_id", "label").iter_rows()):
        pixels = np.asarray(Image.open(out / label / f"{image_id}.png"))
        assert np.array_equal(pixels, cohort.images[row]) == (label != "mel")
        assert np.array_equal(pixels[1:-1, 1:-1], cohort.images[row][1:-1, 1:-1])
        assert (pixels[0] == (255, 0, 255)).all() == (label == "mel")


def test_an_export_is_not_overwritten_without_force(tmp_path: Path) -> None:
    export(make_cohort(), tmp_path / "out")
    with pytest.raises(ArtefactError, match="already exists"):
        export(make_cohort(), tmp_path / "out")
    export(make_cohort(counts=(4, 4, 4)), tmp_path / "out", force=True)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 12


def test_the_card_says_whose_images_these_are(tmp_path: Path) -> None:
    from dermsynth.core import artefacts

    cohort = saved_cohort(tmp_path / "cohort")
    card = artefacts.read_card(export(cohort, tmp_path / "out"), "export")
    assert (card["cohort"], card["images"]) == (cohort.identity, len(cohort))


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=8))
def test_every_image_gets_a_name_of_its_own_inside_the_folder(ids: list[str]) -> None:
    table = pl.DataFrame(
        {"image_id": ids, "label": ["a/b"] * len(ids)}, schema=dict.fromkeys(("image_id", "label"), pl.String)
    )
    names = file_names(table)
    assert len({name.lower() for name in names}) == len(ids)
    for name in names:
        label, file = name.split("/")
        assert (label, file[0] != ".") == ("a_b", True)
