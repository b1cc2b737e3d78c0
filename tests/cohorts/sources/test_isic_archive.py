"""Exports of the ISIC Archive: the class is any column, and not every image can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import image_bytes, opened, rows_of, table_of, write_files

HEAD = "isic_id,copyright_license,attribution,age_approx,diagnosis_1,diagnosis_3,image_type,lesion_id,patient_id,split"
ROWS = [
    "ISIC_1,CC-0,MSK,50,Benign,Nevus,dermoscopic,IL_1,IP_1,a",
    "ISIC_2,CC-BY,MSK,,Malignant,Melanoma Invasive,dermoscopic,IL_2,IP_1,a",
    "ISIC_3,CC-BY,MSK,55,Benign,Nevus,,,,b",
    "ISIC_4,CC-BY,MSK,55,Benign,Nevus,clinical: overview,,,b",
    "ISIC_5,CC-BY,MSK,55,,,dermoscopic,,,b",
]


def export(place: Path, head: str = HEAD) -> Path:
    images = {f"images/ISIC_{number}.jpg": image_bytes(number) for number in range(1, 7)}
    write_files(place, {"metadata.csv": table_of(head, ROWS), "attribution.txt": "…", **images})
    return place


@pytest.mark.parametrize("name", ["export", "export.zip"])
def test_an_export_is_read_and_its_columns_are_kept(tmp_path: Path, name: str) -> None:
    source = opened("isic-archive", export(tmp_path / name))
    assert rows_of(source, "image_id", "label", "lesion_id", "patient_id", "age", "copyright_license") == [
        ("ISIC_1", "Benign", "IL_1", "IP_1", 50.0, "CC-0"),
        ("ISIC_2", "Malignant", "IL_2", "IP_1", None, "CC-BY"),
        ("ISIC_3", "Benign", "ISIC_3", None, 55.0, "CC-BY"),
    ]
    assert source.classes == ("Benign", "Malignant")


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path: Path) -> None:
    source = opened("isic-archive", export(tmp_path / "export"))
    assert source.left_out == {"no dermoscopic image": 1, "no value in column diagnosis_1": 1}


def test_the_class_is_the_column_that_is_chosen(tmp_path: Path) -> None:
    source = opened("isic-archive", export(tmp_path / "export"), label="diagnosis_3")
    assert source.classes == ("Melanoma Invasive", "Nevus")


def test_a_column_named_split_does_not_become_the_split(tmp_path: Path) -> None:
    rows = opened("isic-archive", export(tmp_path / "export")).check()
    assert "split" not in rows.columns
    assert rows["given_split"].to_list() == ["a", "a", "b"]


def test_a_column_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metadata.csv: has no column 'benign_malignant'"):
        opened("isic-archive", export(tmp_path / "export"), label="benign_malignant").check()


def test_a_folder_that_is_no_export_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no metadata.csv; expected an export of the ISIC Archive"):
        opened("isic-archive", tmp_path)
