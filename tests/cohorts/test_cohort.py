"""The cohort: what it refuses to be, what selecting and joining keep, and what a folder gives back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from mmap import mmap
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.cohorts.cohort import IMAGES, TABLE, Cohort, writing_cohort
from dermsynth.core.artefacts import CARD
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from tests.helpers import CLASSES, make_cohort, saved_cohort


def masks_for(cohort: Cohort) -> np.ndarray:
    rows = np.arange(len(cohort), dtype=np.uint8)[:, None, None]
    return np.broadcast_to(rows % 2, (len(cohort), cohort.size_px, cohort.size_px)).copy()


def with_column(column: str, values: object) -> Callable[[Cohort], object]:
    return lambda cohort: replace(cohort, table=cohort.table.with_columns(pl.lit(values).alias(column)))


BROKEN: dict[str, tuple[Callable[[Cohort], object], str]] = {
    "no-column": (
        lambda c: replace(c, table=c.table.drop("lesion_id")),
        "cohort: the table has no column 'lesion_id'; it needs image_id, label, lesion_id",
    ),
    "grey": (
        lambda c: Cohort.in_memory(c.table, c.images[:][..., 0], CLASSES),
        "cohort: images have shape (60, 16, 16), expected N x height x width x 3",
    ),
    "no-square": (
        lambda c: Cohort.in_memory(c.table, c.images[:][:, :8], CLASSES),
        "cohort: images are 16 x 8 px, expected squares",
    ),
    "row-too-many": (
        lambda c: Cohort.in_memory(c.table, c.images[:][1:], CLASSES),
        "cohort: 60 table rows but 59 images; ingest the cohort again",
    ),
    "mask-missing": (
        lambda c: Cohort.in_memory(c.table, c.images[:], CLASSES, masks_for(c)[1:]),
        "cohort: 60 table rows but 59 masks; ingest the cohort again",
    ),
    "same-id": (with_column("image_id", "x"), "cohort: image_id 'x' stands in 60 rows, expected one"),
    "unknown-label": (
        with_column("label", "melanoma"),
        "cohort: row 0 has label 'melanoma', expected one of bkl, mel, nv",
    ),
    "unknown-origin": (
        with_column("origin", "fake"),
        "cohort: row 0 has origin 'fake', expected one of real, synthetic",
    ),
    "unknown-part": (with_column("split", "tset"), "cohort: row 0 has split 'tset', expected one of train, val, test"),
    "no-lesion": (
        lambda c: replace(c, table=c.table.with_columns(lesion_id=pl.lit(None, dtype=pl.String))),
        "cohort: row 0 has no lesion_id; ingest the cohort again",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_cohort_that_contradicts_itself_is_refused(spoil: Callable[[Cohort], object], message: str) -> None:
    with pytest.raises(InputError) as error:
        spoil(make_cohort())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_labels_are_indices_in_the_order_of_classes() -> None:
    cohort = make_cohort((1, 2, 3))
    assert cohort.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert cohort.labels.dtype == np.int64
    assert cohort.counts() == {"bkl": 1, "mel": 2, "nv": 3}


def test_a_class_without_image_is_counted_as_zero() -> None:
    assert make_cohort((1, 2, 3)).select(pl.col("label") != "mel").counts() == {"bkl": 1, "mel": 0, "nv": 3}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=9))
def test_rows_images_and_masks_stay_together_under_selection(rows: list[int]) -> None:
    whole = make_cohort((1, 2, 3))
    whole = Cohort.in_memory(whole.table, whole.images[:], CLASSES, masks_for(whole))
    unique = list(dict.fromkeys(rows))
    picked = whole.select(np.array(unique, dtype=np.int64))
    assert picked.table["image_id"].to_list() == [f"i{row}" for row in unique]
    assert np.array_equal(picked.images[:], whole.images[:][unique])
    assert picked.masks is not None
    assert picked.masks[:][:, 0, 0].tolist() == [row % 2 for row in unique]


def test_an_expression_a_mask_and_rows_select_the_same() -> None:
    cohort = make_cohort()
    wanted = (cohort.table["label"] == "mel").to_numpy()
    for which in (pl.col("label") == "mel", wanted, np.flatnonzero(wanted), np.flatnonzero(wanted).tolist()):
        assert cohort.select(which).counts() == {"bkl": 0, "mel": 16, "nv": 0}


def test_an_expression_that_is_null_does_not_select() -> None:
    assert len(make_cohort().select(pl.col("patient_id") == "P")) == 0


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"a mask of shape \(3,\) cannot pick from 60 images"):
        make_cohort().select(np.array([True, False, True]))


def test_parts_divide_the_cohort() -> None:
    cohort = make_cohort()
    assert [len(cohort.part(name)) for name in ("train", "val", "test")] == [30, 15, 15]


def test_a_part_of_an_undivided_cohort_says_which_command_divides_it(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "c", split=False)
    with pytest.raises(InputError, match=r"c: has no split; run 'dermsynth split .*/c' first"):
        Cohort.open(tmp_path / "c").part("train")


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(InputError, match="cohort: the test part is empty; split the cohort again"):
        make_cohort().select(pl.col("split") != "test").part("test")


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_held_out_part_with_a_synthetic_image_is_refused(part: str) -> None:
    cohort = make_cohort()
    fake = pl.when(pl.col("split") == part).then(pl.lit("synthetic")).otherwise("origin")
    cohort = replace(cohort, table=cohort.table.with_columns(origin=fake))
    with pytest.raises(LeakageError, match=f"synthetic image 'i[23]' is in the {part} part; remove it"):
        cohort.part(part)
    assert len(cohort.part("train")) == 30


def test_joining_puts_one_after_the_other_and_keeps_every_column() -> None:
    first, second = make_cohort((1, 1, 1)), make_cohort((1, 2, 1), prefix="j", seed=1)
    second = replace(second, table=second.table.with_columns(age=pl.lit(40.0)))
    whole = Cohort.concat([first, second])
    assert whole.table["image_id"].to_list() == ["i0", "i1", "i2", "j0", "j1", "j2", "j3"]
    assert whole.table["age"].to_list() == [None] * 3 + [40.0] * 4
    assert np.array_equal(whole.images[:], np.concatenate([first.images[:], second.images[:]]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_cohort((1, 1, 1)), "image_id 'i0' stands in 2 rows, expected one"),
        (make_cohort((1, 1, 1), prefix="j", size_px=8), "cannot join images of 16 px and 8 px; ingest at one size"),
        (replace(make_cohort((1, 1, 1), prefix="j"), classes=("nv", "mel", "bkl")), "cannot join cohorts with classes"),
    ],
)
def test_cohorts_that_do_not_fit_are_not_joined(other: Cohort, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cohort.concat([make_cohort((1, 1, 1)), other])


def test_a_folder_gives_back_what_was_saved(tmp_path: Path) -> None:
    cohort = make_cohort((100, 150, 60), split=False)  # more than one chunk of writing
    cohort = Cohort.in_memory(cohort.table, cohort.images[:], CLASSES, masks_for(cohort))
    cohort.save(tmp_path / "c", facts={"licence": "none"})
    opened = Cohort.open(tmp_path / "c")
    assert opened.table.equals(cohort.table)
    assert opened.classes == cohort.classes
    assert np.array_equal(opened.images[:], cohort.images[:])
    assert opened.masks is not None
    assert np.array_equal(opened.masks[:], masks_for(cohort))
    assert opened.card["licence"] == "none"
    assert opened.card["counts"] == cohort.counts()


def test_a_selection_of_a_folder_can_be_saved_on_its_own(tmp_path: Path) -> None:
    picked = saved_cohort(tmp_path / "c").select(pl.col("label") == "mel").save(tmp_path / "mel")
    assert picked.counts() == {"bkl": 0, "mel": 16, "nv": 0}


def test_the_identity_follows_the_content_and_the_selection(tmp_path: Path) -> None:
    first, same = saved_cohort(tmp_path / "a"), saved_cohort(tmp_path / "b")
    other = saved_cohort(tmp_path / "c", seed=1)
    assert first.identity == same.identity != other.identity
    assert first.select(pl.col("label") == "mel").identity != first.identity


def test_a_cohort_in_memory_is_told_from_another_by_its_pixels() -> None:
    assert make_cohort().identity == make_cohort().identity != make_cohort(seed=1).identity


def test_pixels_stay_on_disk_until_they_are_read(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "c").select(pl.col("label") == "nv")
    assert all(isinstance(part.base, np.memmap | mmap) for part in cohort.images._parts)


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "c")
    with pytest.raises(ArtefactError, match="c: already exists; choose another --out, or --force to replace it"):
        make_cohort(seed=1).save(tmp_path / "c")
    assert (
        make_cohort(seed=1).save(tmp_path / "c", force=True).images[0].tolist()
        == make_cohort(seed=1).images[0].tolist()
    )


def truncate_images(folder: Path) -> None:
    (folder / IMAGES).write_bytes((folder / IMAGES).read_bytes()[:-100])


def add_a_row(folder: Path) -> None:
    table = pl.read_parquet(folder / TABLE)
    pl.concat([table, table[:1].with_columns(image_id=pl.lit("extra"))]).write_parquet(folder / TABLE)


def believed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return the change, followed by a card that knows of it, as another program might write it."""

    def apply(folder: Path) -> None:
        change(folder)
        card = json.loads((folder / CARD).read_text())
        for name, known in card["files"].items():
            known["bytes"] = (folder / name).stat().st_size
        (folder / CARD).write_text(json.dumps(card))

    return apply


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no-card": (lambda folder: (folder / CARD).unlink(), "c: has no card.json, so it is no complete cohort; make it"),
    "truncated": (truncate_images, "c/images.npy: has 46,"),
    "truncated-believed": (believed(truncate_images), "c: cannot be read ("),
    "row-too-many": (add_a_row, "c/cohort.parquet: has "),
    "row-too-many-believed": (believed(add_a_row), "c: 61 table rows but 60 images; ingest the cohort again"),
    "no-parquet": (believed(lambda folder: (folder / TABLE).write_bytes(b"PAR1")), "c: cannot be read ("),
    "no-table": (lambda folder: (folder / TABLE).unlink(), "c/cohort.parquet: is missing; make the cohort again"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_folder_is_refused(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    saved_cohort(tmp_path / "c", split=False)
    damage(tmp_path / "c")
    with pytest.raises((ArtefactError, InputError)) as error:
        Cohort.open(tmp_path / "c")
    assert str(error.value).startswith(str(tmp_path / message).replace("46,", "46"))
    assert str(error.value).endswith("again")
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="absent: no such folder; expected a dermsynth cohort"):
        Cohort.open(tmp_path / "absent")


def test_a_writer_refuses_an_empty_cohort_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no images: the cohort would be empty"),
        writing_cohort(tmp_path / "c", CLASSES),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def write_both(out: Path, first: Cohort, second: Cohort) -> None:
    with writing_cohort(out, CLASSES) as writer:
        for cohort in (first, second):
            writer.append(cohort.table, cohort.images[:])


def test_a_writer_refuses_chunks_of_other_sizes_and_leaves_nothing(tmp_path: Path) -> None:
    first, second = make_cohort((1, 1, 1)), make_cohort((1, 1, 1), size_px=8, prefix="j")
    with pytest.raises(InputError, match=r"cannot add uint8 \(8, 8, 3\) to uint8 \(16, 16, 3\)"):
        write_both(tmp_path / "c", first, second)
    assert list(tmp_path.iterdir()) == []


def test_what_contradicts_itself_is_never_written(tmp_path: Path) -> None:
    cohort = make_cohort((1, 1, 1))
    with pytest.raises(InputError, match="image_id 'i0' stands in 2 rows"):
        write_both(tmp_path / "c", cohort, cohort)
    assert list(tmp_path.iterdir()) == []
