"""Kaggle's benign/malignant set: the same file names in both parts, and everything twice in its zip."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, image_bytes, make_kaggle, opened, write_files

KIND = "kaggle-benign-malignant"
IDS = [f"{part}/{label}/{n}" for part in ("train", "test") for label in ("benign", "malignant") for n in (1, 2)]


@pytest.mark.parametrize("name", ["kaggle", "kaggle.zip"])
def test_the_parts_keep_their_images_although_names_repeat(tmp_path: Path, name: str) -> None:
    photos = everything(opened(KIND, make_kaggle(tmp_path / name)))
    assert photos.table["image_id"].to_list() == IDS
    assert photos.table["part"].to_list() == ["train"] * 4 + ["test"] * 4
    assert photos.table["label"].to_list() == ["benign", "benign", "malignant", "malignant"] * 2
    assert photos.table["sha256"].n_unique() == 8


def test_of_the_copy_in_kaggles_zip_the_outermost_is_read(tmp_path: Path) -> None:
    source = opened(KIND, make_kaggle(tmp_path / "kaggle.zip", "data/", ""))
    assert source.check()["image_id"].to_list() == IDS


def test_a_tree_inside_another_folder_is_found(tmp_path: Path) -> None:
    assert opened(KIND, make_kaggle(tmp_path / "kaggle", "archive/data/")).check()["image_id"].to_list() == IDS


def test_two_trees_with_different_images_are_refused(tmp_path: Path) -> None:
    root = make_kaggle(tmp_path / "kaggle", "data/", "")
    write_files(root, {"data/train/benign/9.jpg": image_bytes()})
    with pytest.raises(InputError, match=r"kaggle: 'data' and '.' both hold images and not the same ones; give one"):
        opened(KIND, root).check()


def test_a_folder_without_the_tree_says_what_is_expected(tmp_path: Path) -> None:
    write_files(tmp_path / "kaggle", {"benign/1.jpg": image_bytes()})
    with pytest.raises(
        InputError, match="kaggle: has no image in train/benign, train/malignant, test/benign or test/m"
    ):
        opened(KIND, tmp_path / "kaggle").check()


def test_the_card_will_say_that_lesions_are_unknown(tmp_path: Path) -> None:
    source = opened(KIND, make_kaggle(tmp_path / "kaggle"))
    assert source.lesions.startswith("unknown: no ids of lesions or patients are published")
    assert source.fixed_split is None  # unknown is not known to leak: the split measures it by the pixels
    assert source.check()["lesion_id"].to_list() == IDS
