"""ISIC 2020: patients, and the official list of duplicates as lesions."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, make_isic2020, opened, rows_of

ALONE = [f"ISIC_{number}" for number in range(6)]


def test_labels_patients_and_diagnoses_are_read(tmp_path: Path) -> None:
    photos = everything(opened("isic2020", make_isic2020(tmp_path)))
    assert photos.table["label"].to_list() == ["benign", "malignant"] * 3
    assert photos.table["patient_id"].to_list() == ["IP_0", "IP_0", "IP_1", "IP_1", "IP_2", "IP_2"]
    assert photos.table.select("age", "sex", "localization", "diagnosis").row(0) == (45.0, "male", "torso", "nevus")
    assert photos.table["lesion_id"].to_list() == ALONE


def test_duplicates_that_are_joined_over_others_are_one_lesion(tmp_path: Path) -> None:
    source = opened("isic2020", make_isic2020(tmp_path, ["ISIC_4,ISIC_2", "ISIC_0,ISIC_4", "ISIC_3,ISIC_9"]))
    assert rows_of(source, "lesion_id") == [
        (name,) for name in ("ISIC_0", "ISIC_1", "ISIC_0", "ISIC_3", "ISIC_0", "ISIC_5")
    ]
    assert source.lesions.startswith("from ISIC_2020_Training_Duplicates.csv")


def test_duplicates_with_different_labels_are_left_out_and_counted(tmp_path: Path) -> None:
    source = opened("isic2020", make_isic2020(tmp_path, ["ISIC_0,ISIC_1"]))
    assert [row[0] for row in rows_of(source, "image_id")] == ALONE[2:]
    assert source.left_out == {"duplicates with different labels": 2}


def test_duplicates_of_different_patients_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dermsynth"):
        opened("isic2020", make_isic2020(tmp_path, ["ISIC_0,ISIC_2"])).check()
    assert caplog.messages == ["1 lesions have images of several patients, who then count as one; the first: ISIC_0"]


def test_lesions_of_the_second_table_are_used_and_joined(tmp_path: Path) -> None:
    root = make_isic2020(tmp_path, ["ISIC_2,ISIC_4"])
    old, new = (root / f"ISIC_2020_Training_GroundTruth{version}.csv" for version in ("", "_v2"))
    lines = old.read_text().splitlines()
    lesions = ["lesion_id", "IL_0", "IL_1", "IL_2", "IL_1", "IL_4", ""]
    new.write_text("\n".join(f"{line},{lesion}" for line, lesion in zip(lines, lesions, strict=True)) + "\n")
    found = [row[0] for row in rows_of(opened("isic2020", root), "lesion_id")]
    assert found == ["IL_0", "IL_1", "IL_2", "IL_1", "IL_2", "ISIC_5"]


def test_the_layout_of_the_kaggle_competition_is_read(tmp_path: Path) -> None:
    root = make_isic2020(tmp_path, table="train.csv")
    (root / "jpeg").mkdir()
    (root / "ISIC_2020_Training_JPEG.zip").rename(root / "jpeg" / "train.zip")
    assert opened("isic2020", root).check().height == 6


def test_a_target_that_is_neither_0_nor_1_is_named(tmp_path: Path) -> None:
    root = make_isic2020(tmp_path)
    table = root / "ISIC_2020_Training_GroundTruth.csv"
    table.write_text(table.read_text().replace("benign,1", "benign,2", 1))
    with pytest.raises(InputError, match=r"GroundTruth.csv: line 3: target is '2', expected 0 or 1; correct it"):
        opened("isic2020", root).check()


def test_a_folder_without_the_table_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no ISIC_2020_Training_GroundTruth_v2.csv; fetch it from challenge.isic"):
        opened("isic2020", tmp_path).check()
