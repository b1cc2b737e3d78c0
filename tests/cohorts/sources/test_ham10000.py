"""HAM10000 in the layouts that its publishers and mirrors use, and with the mistakes people make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from dermsynth.cohorts.ingest import ingest, read_photos
from dermsynth.cohorts.sources import make_source, source_config
from dermsynth.cohorts.sources.base import Source
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import (
    HAM_HEADER,
    everything,
    ham_ids,
    ham_rows,
    image_bytes,
    make_ham,
    write_images,
    write_masks,
)

TABLE, ZIP = "HAM10000_metadata.csv", "HAM10000_images.zip"
IDS = ham_ids(ham_rows())


def source_of(root: Path, **values: object) -> Source:
    return make_source(source_config("ham10000", {"root": str(root), **values}))


def in_two_zips(root: Path) -> None:
    (root / ZIP).unlink()
    write_images(root / "HAM10000_images_part_1.zip", IDS[:7])
    write_images(root / "HAM10000_images_part_2.zip", IDS[7:])


def in_two_folders(root: Path) -> None:
    (root / ZIP).unlink()
    write_images(root / "HAM10000_images_part_1", IDS[:7])
    write_images(root / "HAM10000_images_part_2", IDS[7:])


def in_a_folder_of_a_zip(root: Path) -> None:
    write_images(root / ZIP, IDS, inside="HAM10000_images/part/")


def beside_its_zip(root: Path) -> None:
    write_images(root / "HAM10000_images", IDS)


def without_ending(root: Path) -> None:
    (root / TABLE).rename(root / "HAM10000_metadata")


def as_tabs(root: Path) -> None:
    text = (root / TABLE).read_text().replace(",", "\t")
    (root / TABLE).unlink()
    (root / "HAM10000_metadata.tab").write_text(text)


def saved_by_a_spreadsheet(root: Path) -> None:
    text = (root / TABLE).read_text().replace(",", ";").replace("\n", "\r\n")
    (root / TABLE).write_bytes(text.encode("utf-8-sig"))


@pytest.mark.parametrize(
    "arrange",
    [
        lambda root: None,
        in_two_zips,
        in_two_folders,
        in_a_folder_of_a_zip,
        beside_its_zip,
        without_ending,
        as_tabs,
        saved_by_a_spreadsheet,
    ],
)
def test_every_official_layout_is_the_same_cohort(tmp_path: Path, arrange: Callable[[Path], None]) -> None:
    root = make_ham(tmp_path / "ham")
    arrange(root)
    source = source_of(root)
    assert source.check().height == 14
    photos = everything(source)
    assert photos.table["image_id"].to_list() == IDS
    assert photos.table["lesion_id"].n_unique() == 7
    first = photos.table.row(0, named=True)
    assert (first["label"], first["age"], first["sex"], first["localization"]) == ("akiec", 30.0, "male", "back")
    assert photos.table["sha256"].n_unique() == (7 if arrange in (in_two_zips, in_two_folders) else 14)


def test_an_unknown_age_is_null(tmp_path: Path) -> None:
    rows = ham_rows()
    rows[3] = rows[3].replace("33.0", "unknown")
    source = source_of(make_ham(tmp_path / "ham", rows))
    photos = everything(source)
    assert photos.table["age"].is_null().arg_true().to_list() == [3]


def test_one_photo_per_lesion_is_the_first_by_name(tmp_path: Path) -> None:
    source = source_of(make_ham(tmp_path / "ham"), one_per_lesion=True)
    assert source.check().height == 7
    photos = everything(source)
    assert photos.table["image_id"].to_list() == IDS[::2]


def test_the_published_segmentations_are_masks(tmp_path: Path) -> None:
    root = make_ham(tmp_path / "ham")
    assert everything(source_of(root)).masks is None
    write_masks(root / "HAM10000_segmentations_lesion_tschandl.zip", IDS)
    masks = everything(source_of(root)).masks
    assert masks is not None
    assert (masks == [[0, 0, 1, 1, 1, 1, 0, 0]] * 8).all()


def rows_with(row: int, old: str, new: str) -> list[str]:
    rows = ham_rows()
    assert old in rows[row]
    rows[row] = rows[row].replace(old, new)
    return rows


MISTAKES = {
    "unknown-class": (rows_with(4, "bkl", "bklx"), f"{TABLE}: line 6: unknown class 'bklx'; did you mean 'bkl'?"),
    "class-without-image": (ham_rows()[:12], f"{TABLE}: class 'vasc' has no image"),
    "empty-class-field": (rows_with(4, "bkl", ""), f"{TABLE}: line 6: the class is empty; known: akiec, bcc"),
    "row-without-image": (
        [*ham_rows(), "HAM_9,ISIC_9,nv,histo,5,male,back,x"],
        f"{TABLE}: line 16: image 'ISIC_9' is missing (not in {ZIP}); fetch it or remove the row",
    ),
    "rows-without-image": (
        [*ham_rows(), "HAM_9,ISIC_9,nv,histo,5,male,back,x", "HAM_9,ISIC_8,nv,histo,5,male,back,x"],
        f"{TABLE}: line 16: image 'ISIC_9' (and 1 more) is missing",
    ),
    "image-without-row": (
        ham_rows()[:-1],
        f"{ZIP}/ISIC_0000013.jpg: has no row in ",
    ),
    "row-twice": ([*ham_rows(), ham_rows()[0]], f"image '{IDS[0]}' stands in "),
    "one-lesion": (["HAM_1" + row[11:] for row in ham_rows()], f"{TABLE}: all images show one lesion ('HAM_1')"),
    "lesion-empty": (rows_with(2, "HAM_0000001", ""), f"{TABLE}: line 4: lesion_id is empty; fill it in or remove"),
    "image-empty": (rows_with(2, "ISIC_0000002", ""), f"{TABLE}: line 4: image_id is empty; fill it in or remove"),
    "field-too-many": (rows_with(2, "male", "male,x"), f"{TABLE}: line 4: has 9 fields, the header has 8"),
}


@pytest.mark.parametrize(("rows", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_table_with_a_mistake_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    root = make_ham(tmp_path / "ham", rows)
    with pytest.raises(InputError) as error:
        ingest(source_config("ham10000", {"root": str(root)}), 8, tmp_path / "out")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    root = make_ham(tmp_path / "ham", header=HAM_HEADER.replace("lesion_id", "lesion"))
    with pytest.raises(InputError, match=rf"{TABLE}: has no column 'lesion_id'; did you mean 'lesion'"):
        source_of(root).check()


def test_a_folder_without_the_table_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no HAM10000_metadata.csv; fetch it from the HAM10000 Dataverse page"):
        source_of(tmp_path).check()


def test_a_folder_without_images_says_so(tmp_path: Path) -> None:
    root = make_ham(tmp_path / "ham")
    (root / ZIP).unlink()
    with pytest.raises(InputError, match=r"'ISIC_0000000' \(and 13 more\) is missing \(no folder or zip of images"):
        source_of(root).check()


def test_an_image_in_two_parts_is_refused(tmp_path: Path) -> None:
    root = make_ham(tmp_path / "ham")
    (root / "HAM10000_images_part_1").mkdir()
    (root / "HAM10000_images_part_1" / f"{IDS[0]}.jpg").write_bytes(image_bytes())
    with pytest.raises(InputError, match=f"another image is also named '{IDS[0]}'"):
        source_of(root).check()


def test_the_fingerprint_follows_table_and_images_and_not_their_place(tmp_path: Path) -> None:
    one, two = make_ham(tmp_path / "one"), make_ham(tmp_path / "two")
    (two / ZIP).write_bytes((one / ZIP).read_bytes())  # a zip keeps the times of its members
    before = source_of(one).fingerprint()
    assert source_of(two).fingerprint() == before
    make_ham(tmp_path / "three", rows_with(4, "bkl", "mel"))
    (tmp_path / "three" / ZIP).write_bytes((one / ZIP).read_bytes())
    assert source_of(tmp_path / "three").fingerprint() != before
    write_images(two / ZIP, IDS[::-1])
    assert source_of(two).fingerprint() != before


def test_the_real_data_set_has_the_published_counts(real_data: Path) -> None:
    source = source_of(real_data / "ham10000")
    assert source.check().height == 10_015
    rows = source.rows  # type: ignore[attr-defined]
    assert rows["lesion_id"].n_unique() == 7_470
    counts = dict(rows.group_by("label").len().iter_rows())
    assert counts == {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}
    assert rows.group_by("lesion_id").agg(pl.col("label").n_unique())["label"].max() == 1
    assert source_of(real_data / "ham10000", one_per_lesion=True).check().height == 7_470


def test_real_images_are_read_in_the_order_of_their_table(real_data: Path) -> None:
    source = source_of(real_data / "ham10000")
    photos = next(read_photos(source, source.check(), 64))
    assert photos.images.shape == (256, 64, 64, 3)
    assert photos.images.std() > 20
    assert photos.table["sha256"].n_unique() > 250
