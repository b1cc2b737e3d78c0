"""Joining synthetic to real images, and every leak that is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.helpers import make_cohort, make_pool

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError, LeakageError
from dermsynth.pools.mix import check_no_synthetic_outside_train, mix


def test_a_mix_is_the_train_part_and_the_pool(tmp_path: Path) -> None:
    cohort = make_cohort()
    whole = mix(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 4}))
    assert len(whole) == len(cohort.part("train")) + 4
    assert set(whole.table["split"]) == {"train"}
    assert whole.counts()["mel"] == cohort.part("train").counts()["mel"] + 4


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_generator_that_saw_a_held_out_lesion_is_refused(tmp_path: Path, part: str) -> None:
    cohort = make_cohort()
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 4}, seen=cohort.table.filter(pl.col("split") != part))
    other = "test" if part == "val" else "val"
    with pytest.raises(LeakageError, match=f"saw lesion_id 'il.*', which is in the {other} part"):
        mix(cohort, pool)


def test_another_photo_of_a_held_out_lesion_is_a_leak_too(tmp_path: Path) -> None:
    cohort = make_cohort()
    lesion = cohort.part("test").table["lesion_id"][0]
    seen = seen_of("another photo", lesion, None, "other bytes")
    with pytest.raises(LeakageError, match=lesion):
        mix(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 1}, seen=seen))


def test_a_split_that_was_asked_to_leak_lesions_may_but_no_images(tmp_path: Path) -> None:
    cohort = replace(make_cohort(), leaky="40.0 % of the test images show a lesion that is in train")
    lesion = cohort.part("test").table["lesion_id"][0]
    seen = seen_of("another photo", lesion, None, "other bytes")
    assert len(mix(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 1}, seen=seen))) == 31
    with pytest.raises(LeakageError, match="saw image_id"):
        mix(cohort, make_pool(tmp_path / "other", cohort, {"mel": 1}, seen=cohort.part("test").table))


def test_the_same_file_under_another_name_is_a_leak_too(tmp_path: Path) -> None:
    cohort = make_cohort()
    sha256 = cohort.part("val").table["sha256"][0]
    seen = seen_of("renamed", "renamed lesion", None, sha256)
    with pytest.raises(LeakageError, match=f"saw sha256 '{sha256}'"):
        mix(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 1}, seen=seen))


def test_another_lesion_of_a_held_out_patient_is_a_leak_too(tmp_path: Path) -> None:
    whole = make_cohort()
    cohort = replace(whole, table=whole.table.with_columns(patient_id="patient of " + pl.col("lesion_id")))
    patient = cohort.part("test").table["patient_id"][0]
    seen = seen_of("elsewhere", "another lesion", patient, "other bytes")
    with pytest.raises(LeakageError, match=f"saw patient_id '{patient}'"):
        mix(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 1}, seen=seen))


def seen_of(image_id: str, lesion_id: str, patient_id: str | None, sha256: str) -> pl.DataFrame:
    values = {"image_id": image_id, "lesion_id": lesion_id, "patient_id": patient_id, "sha256": sha256}
    return pl.DataFrame([values], schema=dict.fromkeys(values, pl.String))


def test_a_pool_that_cannot_say_what_was_seen_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort()
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 1})
    (tmp_path / "pool" / "seen.parquet").unlink()
    with pytest.raises(LeakageError, match="does not say which lesions"):
        mix(cohort, pool)


def test_a_pool_with_a_real_image_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort()
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 1})
    real = replace(pool, table=pool.table.with_columns(origin=pl.lit("real")))
    with pytest.raises(InputError, match="is not synthetic"):
        mix(cohort, real)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_synthetic_image_in_val_or_test_is_refused(part: str) -> None:
    cohort = make_cohort()
    fake = pl.when(pl.col("image_id") == cohort.part(part).table["image_id"][0]).then(pl.lit("synthetic"))
    dirty: Cohort = replace(cohort, table=cohort.table.with_columns(origin=fake.otherwise(pl.col("origin"))))
    with pytest.raises(LeakageError, match=f"stands in the {part} part"):
        check_no_synthetic_outside_train(dirty)
