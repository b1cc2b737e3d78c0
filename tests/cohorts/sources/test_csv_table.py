"""Any table beside images: how names are matched to files, and what the columns mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.cohorts.sources.base import Source
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, image_bytes, mask_bytes, opened, rows_of, table_of, write_files

FILES = ("images/a.jpg", "images/b.PNG", "images/deep/c.jpg", "images/spare.jpg")


def given(
    root: Path, rows: list[str], head: str = "image_id,label", files: tuple[str, ...] = FILES, **values: object
) -> Source:
    images = {name: image_bytes(n, kind="PNG" if name.endswith("PNG") else "JPEG") for n, name in enumerate(files)}
    write_files(root, {"table.csv": table_of(head, rows), **images})
    return opened("csv", root, table="table.csv", **values)


@pytest.mark.parametrize(
    "b", ["b", "b.PNG", "images/b", "images/b.PNG", "./images/b.PNG", "/old/images/b", "images\\b"]
)
def test_a_name_may_have_folders_and_an_ending(tmp_path: Path, b: str) -> None:
    photos = everything(given(tmp_path / "mine", ["a,nv", f"{b},mel", "deep/c.jpg,nv"]))
    assert photos.table["image_id"].to_list() == ["a", "b", "c"]
    assert photos.table["label"].to_list() == ["nv", "mel", "nv"]
    assert set(photos.table["source"]) == {"mine"}
    assert photos.table["sha256"].n_unique() == 3


def test_names_that_repeat_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    source = given(tmp_path, ["one/a,nv", "two/a.jpg,mel"], files=("images/one/a.jpg", "images/two/a.jpg"))
    assert rows_of(source, "image_id") == [("one/a",), ("two/a",)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,nv", "zzz,mel"], r"table.csv: line 3: image 'zzz' is missing \(not in "),
        (["a,nv", "other/b,mel"], r"table.csv: line 3: image 'b' is missing"),
        (["a,nv", "b.jpg,mel"], r"table.csv: line 3: image 'b' is missing"),
        (["a,nv", "images/a.jpg,mel"], r"table.csv: line 3: 'images/a.jpg' is also named in .*table.csv: line 2; keep"),
        (["a,nv", "a,mel"], r"image 'a' stands in .*table.csv: line 2 and .*table.csv: line 3; keep one of them"),
        (["a,nv", ",mel"], r"table.csv: line 3: image_id is empty"),
        (["a,nv", "b,"], r"table.csv: line 3: the class is empty"),
    ],
)
def test_a_row_with_a_mistake_is_named(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(tmp_path, [*rows, "deep/c,mel"]).check()


def test_a_name_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    files = ("images/one/a.jpg", "images/two/a.jpg", "images/b.jpg")
    with pytest.raises(InputError, match=r"line 2: 'a' may be images/one/a.jpg and images/two/a.jpg; write its folder"):
        given(tmp_path, ["a,nv", "b,mel"], files=files).check()


def test_columns_with_a_cohorts_names_are_found_and_others_are_named(tmp_path: Path) -> None:
    head = "file,dx,lesion_id,who,part,age,split"
    rows = ["a,nv,L1,P1,train,50,x", "b,mel,,P2,test,,y", "c,nv,L1,P1,train,,x"]
    source = given(tmp_path, rows, head, image="file", label="dx", patient="who")
    assert rows_of(source, "image_id", "label", "lesion_id", "patient_id", "part", "age", "given_split") == [
        ("a", "nv", "L1", "P1", "train", "50", "x"),
        ("b", "mel", "b", "P2", "test", None, "y"),
        ("c", "nv", "L1", "P1", "train", None, "x"),
    ]
    assert source.lesions == "from column lesion_id"


def test_a_column_that_another_one_was_chosen_over_is_kept_under_a_name_of_its_own(tmp_path: Path) -> None:
    head = "image_id,file_name,dx,label"
    source = given(tmp_path, ["x,a,nv,0", "y,b.PNG,mel,1"], head, image="file_name", label="dx")
    wanted = ("image_id", "label", "given_image_id", "given_label")
    assert rows_of(source, *wanted) == [("a", "nv", "x", "0"), ("b", "mel", "y", "1")]


def test_without_lesions_every_image_is_one_and_the_card_says_so(tmp_path: Path) -> None:
    source = given(tmp_path, ["a,nv", "b,mel"])
    assert rows_of(source, "lesion_id") == [("a",), ("b",)]
    assert source.lesions.startswith("unknown")


def test_a_column_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table.csv: has no column 'lesions'; did you mean 'lesion'"):
        given(tmp_path, ["a,nv,1", "b,mel,2"], "image_id,label,lesion", lesion="lesions")


def test_a_part_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table.csv: line 3: part is 'valid', expected train, val, test; correct it"):
        given(tmp_path, ["a,nv,train", "b,mel,valid"], "image_id,label,part").check()


def test_masks_are_matched_like_images(tmp_path: Path) -> None:
    write_files(tmp_path, {"masks/a.png": mask_bytes(), "masks/b.png": mask_bytes()})
    rows = ["images/a.jpg,nv,masks/a.png", "images/b,mel,masks/b"]
    masks = everything(given(tmp_path, rows, "image_id,label,mask")).masks
    assert masks is not None
    assert (masks == [[0, 0, 1, 1, 1, 1, 0, 0]] * 8).all()


def test_a_mask_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table.csv: the mask 'masks/a.png' of image 'a' is missing; fetch it or cle"):
        given(tmp_path, ["a,nv,masks/a.png", "b,mel,"], "image_id,label,mask").check()


def test_images_may_lie_in_several_zips(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_files(tmp_path / f"{name}.zip", {f"{name}.jpg": image_bytes()})
    source = given(tmp_path, ["a,nv", "b,mel"], files=(), images=["a.zip", "b.zip"])
    assert everything(source).table.height == 2
