"""ISIC 2016 and 2017: tables without header, one-hot columns that may all be 0, parts that are fixed, and masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, make_isic2016, make_isic2017, opened, rows_of, write_files


def test_2016_has_words_in_training_and_numbers_in_test(tmp_path: Path) -> None:
    source = opened("isic2016-task3", make_isic2016(tmp_path))
    assert rows_of(source, "label", "part") == [
        ("benign", "train"), ("malignant", "train"), ("benign", "train"), ("malignant", "train"),
        ("benign", "test"), ("malignant", "test"),
    ]  # fmt: skip
    assert everything(source).masks is None


def test_2016_a_label_that_is_neither_is_named(tmp_path: Path) -> None:
    root = make_isic2016(tmp_path)
    write_files(root, {"ISBI2016_ISIC_Part3_Test_GroundTruth.csv": "ISIC_0000004,0.0\nISIC_0000005,0.5\n"})
    with pytest.raises(InputError, match=r"Test_GroundTruth.csv: line 2: unknown class '0.5'"):
        opened("isic2016-task3", root).check()


def test_2016_a_row_with_three_fields_is_named(tmp_path: Path) -> None:
    root = make_isic2016(tmp_path)
    write_files(root, {"ISBI2016_ISIC_Part3_Test_GroundTruth.csv": "ISIC_0000004,0.0,x\n"})
    with pytest.raises(InputError, match=r"Test_GroundTruth.csv: line 1: has 3 fields, expected 2; correct it"):
        opened("isic2016-task3", root).check()


def test_2017_has_three_parts_and_three_classes(tmp_path: Path) -> None:
    source = opened("isic2017-task3", make_isic2017(tmp_path))
    assert rows_of(source, "label", "part")[:3] == [("mel", "train"), ("sk", "train"), ("nv", "train")]
    assert source.check()["part"].to_list() == ["train"] * 3 + ["val"] * 3 + ["test"] * 3


def test_2017_superpixels_are_no_photos(tmp_path: Path) -> None:
    assert everything(opened("isic2017-task3", make_isic2017(tmp_path))).table.height == 9


@pytest.mark.parametrize("values", ["1.0,1.0", "2,0.0", "x,0.0", ",0.0"])
def test_2017_a_row_that_names_no_class_is_named(tmp_path: Path, values: str) -> None:
    root = make_isic2017(tmp_path)
    path = root / "ISIC-2017_Validation_Part3_GroundTruth.csv"
    path.write_text(path.read_text().replace("1.0,0.0", values, 1))
    with pytest.raises(InputError, match=r"Validation_Part3_GroundTruth.csv: line 2: image 'ISIC_10' has \["):
        opened("isic2017-task3", root).check()


@pytest.mark.parametrize(("kind", "make"), [("isic2016-task3", make_isic2016), ("isic2017-task3", make_isic2017)])
def test_masks_are_read_where_the_first_task_lies_there_too(tmp_path: Path, kind: str, make: object) -> None:
    masks = everything(opened(kind, make(tmp_path, masks=True))).masks  # type: ignore[operator]
    assert masks is not None
    assert (masks == [[0, 0, 1, 1, 1, 1, 0, 0]] * 8).all()


def test_a_table_is_also_read_from_the_folder_or_zip_of_its_name(tmp_path: Path) -> None:
    name = "ISBI2016_ISIC_Part3_Training_GroundTruth"
    root = make_isic2016(tmp_path / "zip")
    plain = opened("isic2016-task3", root).check()
    data = (root / f"{name}.csv").read_bytes()
    (root / f"{name}.csv").unlink()
    write_files(root / f"{name}.zip", {f"{name}/{name}.csv": data})
    assert opened("isic2016-task3", root).check().equals(plain)
    (root / f"{name}.zip").unlink()
    write_files(root / name, {f"{name}.csv": data})
    assert opened("isic2016-task3", root).check().equals(plain)
