"""ISIC 2018 Task 3: two ground truths in one-hot columns, and the lesions from another table."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.cohorts.sources.base import Source
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, make_isic, write_files, write_masks

TRUTH = "ISIC2018_Task3_Training_GroundTruth.csv"
GROUPINGS = "ISIC2018_Task3_Training_LesionGroupings.csv"


def source_of(root: Path, **values: object) -> Source:
    return make_source(source_config("isic2018-task3", {"root": str(root), **values}))


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_both_parts_are_read_and_the_official_test_is_known(tmp_path: Path) -> None:
    source = source_of(make_isic(tmp_path))
    assert source.check().height == 21
    photos = everything(source)
    assert photos.table["part"].to_list() == ["train"] * 14 + ["test"] * 7
    assert photos.table["label"].to_list()[:7] == ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc"]
    assert photos.table["lesion_id"].n_unique() == 14
    assert photos.table["lesion_id"].to_list()[14:] == photos.table["image_id"].to_list()[14:]


def test_the_challenges_own_lesion_groupings_are_read(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    (root / "HAM10000_metadata.csv").unlink()
    lines = [f"ISIC_{number:07},G{number // 7},histopathology" for number in range(14)]
    (root / GROUPINGS).write_text("\n".join(["image,lesion_id,diagnosis_confirm_type", *lines]) + "\n")
    photos = everything(source_of(root))
    assert photos.table["lesion_id"].to_list()[:14] == ["G0"] * 7 + ["G1"] * 7


def test_the_lesions_are_found_beside_the_root(tmp_path: Path) -> None:
    root = make_isic(tmp_path / "isic")
    (tmp_path / "ham10000").mkdir()
    (root / "HAM10000_metadata.csv").rename(tmp_path / "ham10000" / "HAM10000_metadata.csv")
    assert source_of(root).check().height == 21


def test_unknown_lesions_of_the_training_images_are_refused(tmp_path: Path) -> None:
    root = make_isic(tmp_path / "isic")
    (root / "HAM10000_metadata.csv").unlink()
    with pytest.raises(InputError, match=f"which training images show the same lesion is unknown; put {GROUPINGS}"):
        source_of(root)


def test_a_training_image_without_lesion_is_named(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    replace_in(root / "HAM10000_metadata.csv", "ISIC_0000003", "ISIC_9999999")
    with pytest.raises(InputError, match=r"metadata.csv: has no row for training image 'ISIC_0000003', so"):
        source_of(root).check()


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [("1.0,0.0", "1.0,1.0", 2), ("1.0,0.0", "0.0,0.0", 0), ("1.0,0.0", "x,0.0", 0), ("1.0,0.0", ",0.0", 0)],
)
def test_a_row_that_is_not_one_hot_is_named_with_its_line(tmp_path: Path, old: str, new: str, count: int) -> None:
    root = make_isic(tmp_path)
    replace_in(root / TRUTH, old, new)
    message = rf"{TRUTH}: line 2: image 'ISIC_0000000' should have a 1 in one class column, has {count}"
    with pytest.raises(InputError, match=message):
        source_of(root).check()


def test_the_tables_are_read_from_the_zips_that_the_challenge_serves(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    plain = source_of(root).check()
    for part in ("Training", "Test"):
        table = root / f"ISIC2018_Task3_{part}_GroundTruth.csv"
        write_files(root / f"{table.stem}.zip", {f"{table.stem}/{table.name}": table.read_bytes()})
        table.unlink()
    assert source_of(root).check().equals(plain)


def test_masks_of_ham10000_help_the_training_images_alone(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    source = source_of(root)
    rows = source.check()
    write_masks(root / "HAM10000_segmentations_lesion_tschandl", rows["image_id"].to_list()[:14])
    source = source_of(root)
    assert source.has_masks(rows[:14])
    assert not source.has_masks(rows)
    assert [read().mask is not None for read in source.pictures(rows, 8)] == [True] * 14 + [False] * 7


def test_an_unknown_class_column_leaves_its_images_without_class(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    replace_in(root / TRUTH, "VASC", "SCC")
    with pytest.raises(InputError, match=f"{TRUTH}: has no column 'VASC'; known:"):
        source_of(root).check()


def test_a_missing_ground_truth_is_named(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    (root / TRUTH).unlink()
    with pytest.raises(InputError, match=f"{TRUTH}: no such file"):
        source_of(root).check()


def test_a_missing_image_is_named_with_its_table_and_line(tmp_path: Path) -> None:
    root = make_isic(tmp_path)
    with (root / "ISIC2018_Task3_Test_GroundTruth.csv").open("a") as table:
        table.write("ISIC_5,1,0,0,0,0,0,0\n")
    with pytest.raises(InputError, match=r"Test_GroundTruth.csv: line 9: image 'ISIC_5' is missing"):
        source_of(root).check()


def test_the_real_challenge_has_the_published_counts(real_data: Path) -> None:
    source = source_of(real_data / "isic2018_task3")
    assert source.check().height == 5_984 + 1_512
    counts: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for part, label, images in source.rows.group_by("part", "label").len().iter_rows():  # type: ignore[attr-defined]
        counts[part][label] = images
    assert counts["train"] == {"nv": 4323, "bkl": 583, "mel": 491, "bcc": 264, "akiec": 183, "vasc": 80, "df": 60}
    assert counts["test"] == {"nv": 909, "bkl": 217, "mel": 171, "bcc": 93, "df": 44, "akiec": 43, "vasc": 35}
    assert source.rows["lesion_id"].n_unique() == 5_984 + 1_512  # type: ignore[attr-defined]
