"""ISIC 2019: eight classes and UNK, lesions that may be unknown, and the clinic that an image comes from."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, make_isic2019, opened, rows_of

TRUTH, FACTS = "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Metadata.csv"


def test_labels_lesions_and_clinics_are_read(tmp_path: Path) -> None:
    source = opened("isic2019", make_isic2019(tmp_path))
    photos = everything(source)
    assert photos.table["label"].to_list() == [*source.classes, "mel", "nv"]
    assert photos.table["lesion_id"].to_list()[:4] == ["HAM_0001", "BCN_0002", "MSK4_0003", "ISIC_Tr00003"]
    assert photos.table["source"].to_list()[:4] == ["ham10000", "bcn20000", "msk", "unknown"]
    assert photos.table.select("age", "sex", "localization").row(0) == (55.0, "male", "back")


def test_images_of_the_class_unk_are_left_out_and_counted(tmp_path: Path) -> None:
    source = opened("isic2019", make_isic2019(tmp_path, test=18))
    rows = source.check()
    assert source.left_out == {"class UNK: none of the eight": 2}
    assert rows.group_by("part").len().sort("part").rows() == [("test", 16), ("train", 10)]
    assert "unk" not in source.classes


def test_test_images_count_as_lesions_of_their_own(tmp_path: Path) -> None:
    rows = opened("isic2019", make_isic2019(tmp_path, test=9)).check().filter(pl.col("part") == "test")
    assert rows["lesion_id"].to_list() == rows["image_id"].to_list()
    assert set(rows["source"]) == {"unknown"}


def test_one_photo_per_lesion_keeps_those_without_lesion_id(tmp_path: Path) -> None:
    source = opened("isic2019", make_isic2019(tmp_path, train=32), one_per_lesion=True)
    assert [row[0] for row in rows_of(source, "image_id")][:4] == [f"ISIC_Tr0000{number}" for number in range(4)]
    assert source.check().height == 3 + 8


def test_extra_columns_of_the_metadata_change_nothing(tmp_path: Path) -> None:
    make_isic2019(tmp_path / "plain")
    root = make_isic2019(tmp_path / "more")
    lines = (root / FACTS).read_text().splitlines()
    (root / FACTS).write_text("\n".join([f"{lines[0]},target", *(f"{line},0" for line in lines[1:])]) + "\n")
    assert opened("isic2019", root).check().equals(opened("isic2019", tmp_path / "plain").check())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda lines: lines[:-1],
            rf"{TRUTH}: line 11: image 'ISIC_Tr00009' has no row in ISIC_2019_Training_Metadata",
        ),
        (lambda lines: [*lines, lines[1]], rf"{FACTS}: line 12: image 'ISIC_Tr00000' stands in two rows; keep one"),
    ],
    ids=["absent", "twice"],
)
def test_a_mistake_in_the_metadata_is_named(tmp_path: Path, spoil: object, message: str) -> None:
    root = make_isic2019(tmp_path)
    lines = (root / FACTS).read_text().splitlines()
    (root / FACTS).write_text("\n".join(spoil(lines)) + "\n")  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        opened("isic2019", root).check()


def test_the_real_labels_have_the_published_counts(real_data: Path) -> None:
    rows = opened("isic2019", real_data / "isic2019").rows  # type: ignore[attr-defined]
    counts = dict(rows.group_by("label").len().iter_rows())
    assert counts == {
        "nv": 12875, "mel": 4522, "bcc": 3323, "bkl": 2624, "ak": 867, "scc": 628, "vasc": 253, "df": 239
    }  # fmt: skip
    clinics = dict(rows.group_by("source").len().iter_rows())
    assert clinics == {"bcn20000": 12413, "ham10000": 10015, "unknown": 2084, "msk": 819}
    known = rows.filter(pl.col("lesion_id") != pl.col("image_id"))
    assert (known.height, known["lesion_id"].n_unique()) == (23_247, 11_847)
    assert known.group_by("lesion_id").agg(pl.col("label").n_unique())["label"].max() == 1
