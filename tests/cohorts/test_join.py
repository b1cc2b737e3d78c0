"""Several cohorts become one, and a test set from elsewhere stays apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.join import join
from dermsynth.cohorts.split import SplitConfig, split
from dermsynth.core.errors import ArtefactError, InputError
from tests.helpers import make_cohort, saved_cohort


def two(tmp_path: Path, **second: object) -> tuple[Path, Path]:
    saved_cohort(tmp_path / "a", split=False)
    saved_cohort(tmp_path / "b", **{"split": False, "seed": 1, "prefix": "j", **second})
    return tmp_path / "a", tmp_path / "b"


def test_all_images_of_all_cohorts_are_there(tmp_path: Path) -> None:
    a, b = two(tmp_path, counts=(2, 3, 4))
    joined = join([a, b], tmp_path / "out")
    assert len(joined) == 60 + 9
    assert np.array_equal(joined.images[:], np.concatenate([Cohort.open(a).images[:], Cohort.open(b).images[:]]))
    assert "part" not in joined.table.columns
    assert [one["test"] for one in joined.card["joined"]] == [False, False]


def test_an_external_test_set_stays_whole_and_apart(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    join([a], tmp_path / "out", test=[b])
    whole = split(tmp_path / "out", SplitConfig(scheme="official"))
    assert set(whole.part("test").table["image_id"]) == set(Cohort.open(b).table["image_id"])
    assert whole.leaky is None


def test_what_the_external_test_shows_is_left_out_of_train(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    known, other = Cohort.open(a), Cohort.open(b)
    pixels = other.images[:]
    pixels[0] = known.images[0]
    table = other.table.with_columns(
        lesion_id=pl.when(pl.col("image_id") == "j1").then(pl.lit("il1")).otherwise("lesion_id")
    )
    Cohort.in_memory(table, pixels, other.classes).save(b, force=True)
    join([a], tmp_path / "out", test=[b])
    whole = split(tmp_path / "out", SplitConfig(scheme="official"))
    assert whole.table.filter(pl.col("split") == "unused")["image_id"].to_list() == ["i0", "i1"]


def test_image_ids_that_clash_get_the_name_of_their_folder(tmp_path: Path) -> None:
    a, b = two(tmp_path, prefix="i")
    joined = join([a, b], tmp_path / "out").table
    assert joined["image_id"].to_list()[60:62] == ["b/i0", "b/i1"]
    assert joined["lesion_id"].to_list()[60:62] == ["il0", "il1"]  # the same lesion, as ids of lesions say


def test_a_lesion_named_after_its_image_is_renamed_with_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cohort = make_cohort(split=False, seed=ord(name))
        replace(cohort, table=cohort.table.with_columns(lesion_id="image_id")).save(tmp_path / name)
    joined = join([tmp_path / "a", tmp_path / "b"], tmp_path / "out").table
    assert (joined["lesion_id"] == joined["image_id"]).all()


def test_other_classes_and_sizes_are_refused(tmp_path: Path) -> None:
    a, b = two(tmp_path, size_px=8)
    with pytest.raises(InputError, match="cannot join images of 16 px and 8 px; ingest at one size"):
        join([a, b], tmp_path / "out")
    strange = make_cohort(split=False)
    renamed = strange.table.with_columns(pl.col("label").replace("mel", "scc"))
    Cohort(renamed, strange.images, ("bkl", "scc", "nv")).save(tmp_path / "c")
    with pytest.raises(InputError, match=r"c: has the class 'scc', .*a has not; ingest both with one --labels"):
        join([a, tmp_path / "c"], tmp_path / "out")


def test_one_cohort_is_nothing_to_join(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give two cohorts or more to join"):
        join([two(tmp_path)[0]], tmp_path / "out")


def test_a_taken_folder_is_refused(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    with pytest.raises(ArtefactError, match="a: already exists"):
        join([a, b], a)
