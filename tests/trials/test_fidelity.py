"""Fidelity: synthetic images are as far from train images as held-out ones are if they are as real, else farther."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.helpers import CLASSES, make_cohort

from dermsynth.cohorts.cohort import Cohort
from dermsynth.trials import fidelity
from dermsynth.trials.fidelity import measure_fidelity

COUNTS = (96, 160, 12)
"""Half are training images, half are held out; 6 of each of the last class are too few to be compared."""
POOL_COUNTS = (40, 60, 50)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return make_cohort(COUNTS)


@pytest.fixture
def trial(tmp_path: Path, cohort: Cohort) -> Path:
    cohort.save(tmp_path / "cohort")
    return tmp_path


def measured(trial: Path, pool: Cohort, seed: int = 0) -> dict[str, Any]:
    """Return the fidelity of a trial with this pool."""
    replace(pool, table=pool.table.with_columns(origin=pl.lit("synthetic"))).save(trial / "pool", force=True)
    return measure_fidelity(trial, {"cohort": "cohort", "pools": {"0": "pool"}}, seed)


def as_real(seed: int = 1, counts: tuple[int, ...] = POOL_COUNTS) -> Cohort:
    """Return images of the same distribution as the cohort's, of other lesions."""
    return make_cohort(counts, seed=seed, split=False, prefix=f"new{seed}-")


def noise(counts: tuple[int, ...] = POOL_COUNTS) -> Cohort:
    drawn = as_real(counts=counts)
    pixels: NDArray[np.uint8] = np.random.default_rng(2).integers(0, 256, drawn.images.shape, dtype=np.uint8)
    return Cohort.in_memory(drawn.table, pixels, CLASSES)


def test_new_real_images_score_like_the_floor(trial: Path) -> None:
    found = measured(trial, as_real())
    for part in (found["frechet"], *found["classes"].values()):
        assert part["synthetic"] == pytest.approx(part["real_floor"], rel=0.1)


def test_noise_scores_far_above_the_floor(trial: Path) -> None:
    found = measured(trial, noise())
    for part in (found["frechet"], *found["classes"].values()):
        assert part["synthetic"] > 10 * part["real_floor"]


def test_the_floor_does_not_depend_on_what_the_pool_shows(trial: Path) -> None:
    floors = [
        [part["real_floor"] for part in (found["frechet"], *found["classes"].values())]
        for found in (measured(trial, pool) for pool in (as_real(), noise()))
    ]
    assert floors[0] == floors[1]
    assert min(floors[0]) > 0


def test_all_sets_of_a_class_have_as_many_images_as_the_smallest(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def note(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        compared.append((len(a), len(b)))
        return 1.0

    monkeypatch.setattr(fidelity, "frechet_distance", note)
    found = measured(trial, as_real(counts=(40, 200, 50)))
    # bkl: 48 train, 48 held out, 40 synthetic. mel: 80, 80 and 200.
    assert {name: part["n"] for name, part in found["classes"].items()} == {"bkl": 40, "mel": 80}
    assert found["n"] == found["nearer_to_train"]["images"] == 120
    assert sorted(compared) == [(40, 40)] * 2 + [(80, 80)] * 2 + [(120, 120)] * 2


def test_a_class_with_few_images_is_left_out(trial: Path) -> None:
    assert list(measured(trial, as_real())["classes"]) == ["bkl", "mel"]
    assert list(measured(trial, as_real(counts=(7, 60, 50)))["classes"]) == ["mel"]


def test_without_a_class_that_can_be_compared_nothing_is_said(trial: Path) -> None:
    found = measured(trial, as_real(counts=(2, 3, 4)))
    assert found["n"] == 0
    assert found["frechet"] is found["nearer_to_train"] is None
    assert found["classes"] == {}


def test_a_pool_that_replays_training_images_is_nearer_to_them(trial: Path, cohort: Cohort) -> None:
    # As many as there are, so that every replayed image is among the training images that are compared.
    train = cohort.part("train")
    renamed = train.table.drop("split").with_columns(pl.format("copy-{}", "image_id").alias("image_id"))
    found = measured(trial, replace(train, table=renamed))["nearer_to_train"]
    assert found["share"] == 1
    assert found["low"] > 0.9


def test_new_real_images_are_as_near_to_train_as_to_held_out_images(trial: Path) -> None:
    found = measured(trial, as_real())["nearer_to_train"]
    assert found["low"] < 0.5 < found["high"]


def test_the_first_pool_of_the_index_is_measured(trial: Path) -> None:
    as_real().save(trial / "other")
    alone = measured(trial, noise())
    index = {"cohort": "cohort", "pools": {"0": "pool", "1": "other"}}
    assert measure_fidelity(trial, index, 0) == alone


def test_the_seed_picks_the_images(trial: Path) -> None:
    pool = as_real()
    first, again, other = (measured(trial, pool, seed) for seed in (0, 0, 1))
    assert first == again
    assert first["frechet"] != other["frechet"]
