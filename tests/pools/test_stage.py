"""Synthetic images beside the real ones, for an algorithm that refines them; and what such an algorithm has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.helpers import make_cohort, make_pool

from dermsynth.algorithms.cyclegan import Cyclegan, CycleganConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError, LeakageError
from dermsynth.pools.mix import mix
from dermsynth.pools.stage import stage
from dermsynth.pools.translate import translate
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train


def test_the_pool_stands_in_train_under_classes_of_its_own(tmp_path: Path) -> None:
    cohort = make_cohort()
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 6, "nv": 4})
    staged = stage(cohort, pool, tmp_path / "staged")
    assert staged.classes == ("bkl", "mel", "nv", "synthetic mel", "synthetic nv")
    assert staged.part("train").counts() == {**cohort.part("train").counts(), "synthetic mel": 6, "synthetic nv": 4}
    assert staged.part("test").counts() == {**cohort.part("test").counts(), "synthetic mel": 0, "synthetic nv": 0}
    assert np.array_equal(staged.images[-10:], pool.images[:])


def test_a_pool_that_saw_a_test_lesion_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort()
    with pytest.raises(LeakageError):
        stage(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 4}, seen=cohort.table), tmp_path / "staged")


def test_smaller_synthetic_images_are_enlarged(tmp_path: Path) -> None:
    cohort = make_cohort()
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 4}, size_px=8)
    staged = stage(cohort, pool, tmp_path / "staged")
    assert staged.size_px == 16
    means = staged.images[-4:].mean((1, 2)), pool.images[:].mean((1, 2))
    np.testing.assert_allclose(*means, atol=4)


def test_larger_synthetic_images_are_refused(tmp_path: Path) -> None:
    cohort = make_cohort()
    with pytest.raises(InputError, match="ingest the cohort at 32 px or more"):
        stage(cohort, make_pool(tmp_path / "pool", cohort, {"mel": 4}, size_px=32), tmp_path / "staged")


def test_refined_images_name_the_synthetic_ones_and_all_that_was_seen(tmp_path: Path) -> None:
    cohort = make_cohort((12, 40, 40), size_px=32)
    elsewhere = {"image_id": "elsewhere", "lesion_id": "other lesion", "patient_id": None, "sha256": "other"}
    train_part = cohort.part("train").table.select("image_id", "lesion_id", "patient_id", "sha256")
    seen = pl.concat([train_part, pl.DataFrame([elsewhere], schema=train_part.schema)])
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 10}, seen=seen, size_px=32)
    staged = stage(cohort, pool, tmp_path / "staged")
    settings = CycleganConfig(source=["synthetic mel"], target=["mel"], width=2, batch_size=2)
    run = train(
        staged, Cyclegan, settings, TrainConfig(budget_kimg=0.02, snapshots=1, precision="fp32"), tmp_path / "run"
    )
    refined = translate(run, staged, tmp_path / "refined")
    assert refined.counts() == {"bkl": 0, "mel": 10, "nv": 0}
    assert set(refined.table["translated_from"]) == set(pool.table["image_id"])
    known = pl.read_parquet(tmp_path / "refined" / "seen.parquet")
    assert "other lesion" in set(known["lesion_id"])
    assert set(pool.table["image_id"]) <= set(known["image_id"])
    assert len(mix(cohort, Cohort.open(tmp_path / "refined"))) == len(cohort.part("train")) + 10


def test_a_leaky_split_stays_marked(tmp_path: Path) -> None:
    cohort = replace(make_cohort(), leaky="images of one lesion stand in train and test")
    pool = make_pool(tmp_path / "pool", cohort, {"mel": 4})
    assert stage(cohort, pool, tmp_path / "staged").leaky == cohort.leaky
