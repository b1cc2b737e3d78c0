"""A memoriser is caught and an honest generator is not; values stand beside floors; too few images are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.pools.planted import lesions, planted_pool, real_cohort

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError, LeakageError
from dermsynth.pools.measure import MEASURES, measure

Pixels = NDArray[np.uint8]
MANY = 120


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return real_cohort(tmp_path_factory.mktemp("measure") / "cohort", 320)


@pytest.fixture(scope="module")
def honest(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pool = planted_pool(tmp_path_factory.mktemp("measure") / "honest", cohort, *lesions(MANY, 1))
    return measure(cohort, pool)


def noisy(images: Pixels) -> Pixels:
    noise = np.random.default_rng(5).normal(0, 3, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def cropped(images: Pixels) -> Pixels:
    return np.stack([cv2.resize(image[1:, 1:].copy(), (32, 32)) for image in images])


@pytest.mark.parametrize("alter", [lambda images: images, noisy, cropped], ids=["copies", "noise", "crops"])
def test_a_memoriser_is_caught(cohort: Cohort, tmp_path: Path, alter: Any) -> None:
    train = cohort.part("train")
    rows = np.arange(MANY)
    pool = planted_pool(tmp_path / "pool", cohort, alter(train.images[rows]), train.labels[rows])
    found = measure(cohort, pool)["memorisation"]
    assert found["nearer_to_train"]["low"] > 0.5
    assert found["membership"]["low"] > 0.5
    assert found["authenticity"]["value"] < 0.5 * found["authenticity"]["floor"]
    assert found["copying"]["z"] < -3


def test_an_honest_generator_is_not(honest: dict[str, Any]) -> None:
    found = honest["memorisation"]
    for name, value in (("nearer_to_train", "share"), ("membership", "auc")):
        assert found[name]["low"] < found[name]["null"] < found[name]["high"], name
        assert abs(found[name][value] - 0.5) < 0.15
    assert found["authenticity"]["value"] == pytest.approx(found["authenticity"]["floor"], abs=0.15)
    assert abs(found["copying"]["z"]) < 3


def test_new_real_images_score_like_the_floor_and_noise_far_from_it(
    cohort: Cohort, honest: dict[str, Any], tmp_path: Path
) -> None:
    images, labels = lesions(MANY, 1)
    noise = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    spoilt = measure(cohort, planted_pool(tmp_path / "noise", cohort, noise, labels))
    assert list(honest["measures"]) == list(MEASURES)
    for name, one in honest["measures"].items():
        assert abs(one["value"] - one["floor"]) < 0.5 * abs(spoilt["measures"][name]["value"] - one["floor"]), name
    assert spoilt["measures"]["precision"]["value"] == 0
    assert {name: one["floor"] for name, one in spoilt["measures"].items()} == {
        name: one["floor"] for name, one in honest["measures"].items()
    }


def test_n_and_encoder_are_stated_and_classes_are_equal_in_all_sets(honest: dict[str, Any]) -> None:
    assert honest["encoder"] == "handmade-1, scaled"
    assert honest["n"] == MANY
    assert {name: one["n"] for name, one in honest["classes"].items()} == {"mel": 60, "nv": 60}
    assert honest["left_out"] == {}


def test_a_class_with_few_images_is_left_out_with_the_reason(cohort: Cohort, tmp_path: Path) -> None:
    images, labels = lesions(MANY, 1)
    kept = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:5]])
    found = measure(cohort, planted_pool(tmp_path / "pool", cohort, images[kept], labels[kept]))
    assert list(found["classes"]) == ["mel"]
    assert found["left_out"] == {"nv": "5 synthetic, 80 train and 80 held-out images, and 20 of each are needed"}


def test_too_few_images_are_refused_with_the_number_needed(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mel has 5 synthetic, 80 train and 80 held-out images, and 20 of each"):
        measure(cohort, planted_pool(tmp_path / "pool", cohort, *lesions(10, 1)))


def test_members_are_the_images_that_the_generator_learnt_from(cohort: Cohort, tmp_path: Path) -> None:
    pool = planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1), learnt=60)
    assert measure(cohort, pool)["memorisation"]["membership"]["images"] == 60
    none = planted_pool(tmp_path / "none", cohort, *lesions(MANY, 1), learnt=0)
    with pytest.raises(InputError, match="learnt from too few images of the train part: mel 0, nv 0"):
        measure(cohort, none)


def test_a_pool_of_a_generator_that_saw_the_holdout_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    pool = planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1))
    seen = cohort.table.select("image_id", "lesion_id", "patient_id", "sha256")
    seen.write_parquet(tmp_path / "pool" / "seen.parquet")
    with pytest.raises(LeakageError):
        measure(cohort, pool)


def test_the_seed_picks_the_images(cohort: Cohort, honest: dict[str, Any], tmp_path: Path) -> None:
    pool = planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1))
    assert measure(cohort, pool) == honest
    assert measure(cohort, pool, seed=1)["measures"] != honest["measures"]
