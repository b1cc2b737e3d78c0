"""Paper 002's Path-Rank-Filter: which training images stay, and that nothing leaks through the ranking classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.pools.planted import real_cohort

from dermsynth.algorithms.cyclegan import Cyclegan, CycleganConfig
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.pools.mix import mix
from dermsynth.pools.path_rank import path_rank
from dermsynth.pools.translate import translate
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

TINY = FitConfig(width=4, budget_kimg=1, batch_size=8, evaluations=2, precision="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a `cohort` and a `fit` on it."""
    folder = tmp_path_factory.mktemp("path-rank")
    cohort = real_cohort(folder / "cohort")
    fit(cohort.part("train"), cohort.part("val"), cohort.part("test"), TINY, folder / "fit")
    return folder


@pytest.fixture
def cohort(folder: Path) -> Cohort:
    return Cohort.open(folder / "cohort")


@pytest.mark.parametrize("keep", [1 / 8, 0.5, 1.0])
def test_the_surest_share_of_the_class_stays(folder: Path, cohort: Cohort, tmp_path: Path, keep: float) -> None:
    ranked = path_rank(folder / "fit", cohort, "mel", keep, tmp_path / "ranked")
    melanomas = cohort.part("train").select(pl.col("label") == "mel")
    surety = TrainedClassifier.open(folder / "fit").probabilities(melanomas)[:, 0]
    wanted = -(-len(melanomas) * keep // 1)
    assert wanted >= 1
    surest = np.argsort(-surety, kind="stable")[: int(wanted)]
    stay = ranked.part("train").select(pl.col("label") == "mel")
    assert set(stay.table["image_id"]) == set(melanomas.table["image_id"].gather(surest))


def test_all_other_images_keep_their_part_and_their_pixels(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    ranked = path_rank(folder / "fit", cohort, "mel", 0.25, tmp_path / "ranked")
    others = (pl.col("label") != "mel") | (pl.col("split") != "train")
    assert ranked.table.filter(others & (pl.col("split") != "unused"))["image_id"].to_list() == (
        cohort.table.filter(others)["image_id"].to_list()
    )
    assert ranked.part("test").table.equals(cohort.part("test").table)
    assert np.array_equal(ranked.images[:], cohort.images[:])


def test_ranks_and_cut_are_written_down(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    ranked = path_rank(folder / "fit", cohort, "mel", 0.25, tmp_path / "ranked")
    ranks = pl.read_parquet(tmp_path / "ranked" / "ranks.parquet")
    assert ranks["probability"].is_sorted(descending=True)
    assert ranks["rank"].to_list() == list(range(1, ranks.height + 1))
    facts = ranked.card["path_rank"]
    assert (facts["kept"], facts["of"]) == (15, 60)
    assert facts["least_probability"] == ranks["probability"][14] >= ranks["probability"][15]
    assert json.loads((tmp_path / "ranked" / "split.json").read_text())["counts"]["unused"] == {"mel": 45, "nv": 0}


def test_what_learns_from_it_has_seen_what_the_classifier_saw(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    ranked = path_rank(folder / "fit", cohort, "mel", 0.25, tmp_path / "ranked")
    settings = CycleganConfig(source=["nv"], target=["mel"], width=2, batch_size=2)
    training = TrainConfig(budget_kimg=0.02, snapshots=1, precision="fp32")
    run = train(ranked, Cyclegan, settings, training, tmp_path / "run")
    pool = translate(run, ranked, tmp_path / "pool", count=6)
    train_part = cohort.part("train").table
    assert set(pl.read_parquet(tmp_path / "pool" / "seen.parquet")["image_id"]) == set(train_part["image_id"])
    naevi = set(train_part.filter(pl.col("label") == "nv")["image_id"])
    assert set(pool.table["translated_from"]) <= naevi
    assert len(mix(cohort, pool)) == train_part.height + 6


def test_a_classifier_that_saw_a_held_out_lesion_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    test = np.flatnonzero(cohort.table["split"] == "test")
    leaked, rest = test[: len(test) // 2], test[len(test) // 2 :]
    learnt = np.concatenate([np.flatnonzero(cohort.table["split"] == "train"), leaked])
    fit(cohort.select(learnt), cohort.part("val"), cohort.select(rest), TINY, tmp_path / "leaky")
    with pytest.raises(LeakageError, match="may have learnt from image"):
        path_rank(tmp_path / "leaky", cohort, "mel", 0.5, tmp_path / "ranked")
    assert not (tmp_path / "ranked").exists()


def test_an_unknown_class_is_refused_with_the_nearest_name(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class 'mell'; did you mean 'mel'"):
        path_rank(folder / "fit", cohort, "mell", 0.5, tmp_path / "ranked")


@pytest.mark.parametrize("keep", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(folder: Path, cohort: Cohort, tmp_path: Path, keep: float) -> None:
    with pytest.raises(InputError, match=r"expected a share above 0"):
        path_rank(folder / "fit", cohort, "mel", keep, tmp_path / "ranked")


def test_an_existing_cohort_stays(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    path_rank(folder / "fit", cohort, "mel", 0.5, tmp_path / "ranked")
    with pytest.raises(ArtefactError, match="already exists"):
        path_rank(folder / "fit", cohort, "mel", 0.25, tmp_path / "ranked")
    assert Cohort.open(tmp_path / "ranked").card["path_rank"]["keep"] == 0.5
