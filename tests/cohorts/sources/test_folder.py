"""A folder per class, with and without a table of lesions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.cohorts.sources.base import Source
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, image_bytes, make_tree

COUNTS = {"mel": 2, "nv": 3}


def source_of(root: Path) -> Source:
    return make_source(source_config("folder", {"root": str(root)}))


def write_lesions(root: Path, lines: list[str]) -> None:
    (root / "lesions.csv").write_text("\n".join(["image_id,lesion_id", *lines]) + "\n")


ALL_LESIONS = ["mel0,L0", "mel1,L0", "nv0,L1", "nv1,L2", "nv2,L2"]


def test_folders_are_classes_and_file_names_are_ids(tmp_path: Path) -> None:
    source = source_of(make_tree(tmp_path / "tree", COUNTS))
    assert source.check().height == 5
    photos = everything(source)
    assert source.classes == ("mel", "nv")
    assert photos.table["image_id"].to_list() == ["mel0", "mel1", "nv0", "nv1", "nv2"]
    assert photos.table["label"].to_list() == ["mel", "mel", "nv", "nv", "nv"]
    assert photos.table["lesion_id"].to_list() == photos.table["image_id"].to_list()
    assert photos.images.shape == (5, 8, 8, 3)


def test_lesions_csv_joins_photos_of_one_lesion(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", COUNTS)
    write_lesions(root, ALL_LESIONS[::-1])
    source = source_of(root)
    source.check()
    photos = everything(source)
    assert photos.table["lesion_id"].to_list() == ["L0", "L0", "L1", "L2", "L2"]


def numbered(root: Path) -> Path:
    """Return a tree in which every class counts its images from 1."""
    for name in ("mel", "nv"):
        (root / name).mkdir(parents=True)
        for number in ("001", "002"):
            (root / name / f"{number}.jpg").write_bytes(image_bytes())
    (root / "nv" / "only_here.jpg").write_bytes(image_bytes())
    return root


NUMBERED = ["mel/001", "mel/002", "nv/001", "nv/002", "nv/only_here"]


def test_where_classes_use_the_same_names_every_id_begins_with_the_class(tmp_path: Path) -> None:
    source = source_of(numbered(tmp_path / "tree"))
    assert source.check().height == 5
    photos = everything(source)
    assert photos.table["image_id"].to_list() == NUMBERED
    assert photos.table["label"].to_list() == ["mel", "mel", "nv", "nv", "nv"]


def test_lesions_csv_uses_the_ids_that_begin_with_the_class(tmp_path: Path) -> None:
    root = numbered(tmp_path / "tree")
    write_lesions(root, [f"{image_id},L{number // 2}" for number, image_id in enumerate(NUMBERED)])
    source = source_of(root)
    source.check()
    photos = everything(source)
    assert photos.table["lesion_id"].to_list() == ["L0", "L0", "L1", "L1", "L2"]


def test_ids_without_the_class_are_refused_where_they_say_too_little(tmp_path: Path) -> None:
    root = numbered(tmp_path / "tree")
    write_lesions(root, ["001,L0", "002,L1"])
    with pytest.raises(InputError, match="line 2: image '001' is missing"):
        source_of(root).check()


def test_other_files_and_hidden_folders_do_not_matter(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", COUNTS)
    (root / "README.txt").touch()
    (root / "nv" / "Thumbs.db").touch()
    (root / ".cache").mkdir()
    assert source_of(root).check().height == 5


def empty_class(root: Path) -> None:
    (root / "df").mkdir()


def image_outside(root: Path) -> None:
    (root / "lost.jpg").write_bytes(image_bytes())


def same_name_twice(root: Path) -> None:
    (root / "nv" / "mel0.jpg").write_bytes(image_bytes())
    (root / "nv" / "mel0.png").write_bytes(image_bytes())


def same_name_in_a_class(root: Path) -> None:
    (root / "nv" / "nv0.png").write_bytes(image_bytes())


def one_lesion(root: Path) -> None:
    write_lesions(root, [line.split(",")[0] + ",L" for line in ALL_LESIONS])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_class, "tree: class 'df' has no image; a classifier cannot learn or be tested on it"),
        (image_outside, "lost.jpg: lies beside the class folders; move it into the folder of its class"),
        (same_name_twice, "nv/mel0.png: another image is also named 'nv/mel0' ("),
        (same_name_in_a_class, "nv/nv0.png: another image is also named 'nv/nv0' ("),
        (one_lesion, "tree: all images show one lesion ('L'), so nothing can be held out; check the lesion ids"),
        (lambda root: write_lesions(root, ALL_LESIONS[:-1]), "nv/nv2.jpg: has no row in "),
        (lambda root: write_lesions(root, [*ALL_LESIONS, "x,L9"]), "line 7: image 'x' is missing; fetch it or remove"),
        (lambda root: write_lesions(root, [*ALL_LESIONS, "nv0,L9"]), "line 7: image 'nv0' has two rows; keep one"),
        (lambda root: write_lesions(root, [*ALL_LESIONS[:4], "nv2,"]), "line 6: lesion_id is empty; fill it in"),
    ],
)
def test_a_tree_with_a_mistake_is_refused(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    root = make_tree(tmp_path / "tree", COUNTS)
    spoil(root)
    with pytest.raises(InputError) as error:
        source_of(root).check()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_fewer_than_two_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tree: has 1 class folders; expected at least 2"):
        source_of(make_tree(tmp_path / "tree", {"nv": 2}))


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no such folder; expected a folder with one folder of images per cl"):
        source_of(tmp_path / "absent")


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", COUNTS)
    before = source_of(root).fingerprint()
    assert source_of(root).fingerprint() == before
    (root / "nv" / "nv9.jpg").write_bytes(image_bytes())
    assert source_of(root).fingerprint() != before
