"""A memoriser is caught and an honest generator is not; values stand beside floors; too few images are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.pools.planted import lesions, planted_pool, real_cohort

from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError, LeakageError
from dermsynth.encoders.chosen import Encoder
from dermsynth.pools import measure as module
from dermsynth.pools.measure import measure
from dermsynth.pools.sides import GROUPS

Pixels = NDArray[np.uint8]
MANY = 120


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return real_cohort(tmp_path_factory.mktemp("measure") / "cohort", 320)


@pytest.fixture(scope="module")
def honest(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pool = planted_pool(tmp_path_factory.mktemp("measure") / "honest", cohort, *lesions(MANY, 1))
    return measure(cohort, pool)


@pytest.fixture
def only_memorisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the measures, which take most of the time."""
    monkeypatch.setattr(module, "_measures", lambda sides, seed: {})


@pytest.fixture
def only_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the mean colour be all that an encoder sees: three features are quickly compared."""
    colours = Encoder("colour", lambda images: images.mean(axis=(1, 2)))
    monkeypatch.setattr(module, "pool_encoder", lambda choice, cohort: colours)


def noisy(images: Pixels) -> Pixels:
    noise = np.random.default_rng(5).normal(0, 3, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def cropped(images: Pixels) -> Pixels:
    return np.stack([cv2.resize(image[1:, 1:].copy(), (32, 32)) for image in images])


@pytest.mark.usefixtures("only_memorisation")
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
    told = [name for names in GROUPS.values() for name in names]
    assert list(honest["measures"]) == [name for name in told if name != "classifier_score"]
    for name, one in honest["measures"].items():
        if name != "frechet_infinity":  # of 236 features and 120 images
            assert abs(one["value"] - one["floor"]) < 0.5 * abs(spoilt["measures"][name]["value"] - one["floor"]), name
    assert spoilt["measures"]["precision"]["value"] == 0
    assert spoilt["measures"]["told_apart"]["low"] > 0.9
    fixed = [name for name in told if name not in ("classifier_score", "frechet_infinity")]
    assert [spoilt["measures"][name]["floor"] for name in fixed] == [
        honest["measures"][name]["floor"] for name in fixed
    ]


def test_intervals_hold_what_new_real_images_would_score(honest: dict[str, Any]) -> None:
    for name, null in (("kernel", 0.0), ("told_apart", 0.5)):
        assert honest["measures"][name]["low"] < null < honest["measures"][name]["high"], name


def test_every_class_has_the_same_measures_but_for_those_of_several_classes(honest: dict[str, Any]) -> None:
    for one in honest["classes"].values():
        assert set(one["measures"]) == set(honest["measures"]) - set(GROUPS["classes"])
    for name in GROUPS["diversity"]:
        of_classes = [one["measures"][name]["value"] for one in honest["classes"].values()]
        assert honest["measures"][name]["value"] == pytest.approx(np.mean(of_classes)), name


@pytest.mark.usefixtures("only_colours")
def test_the_distance_at_infinitely_many_images_needs_more_of_them_than_features(
    honest: dict[str, Any], cohort: Cohort, tmp_path: Path
) -> None:
    assert honest["measures"]["frechet_infinity"] == {"value": None, "standard_error": None, "floor": None}
    found = measure(cohort, planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1)))["measures"]
    assert found["frechet_infinity"]["standard_error"] > 0
    assert found["frechet_infinity"]["value"] < found["frechet"]["value"]


@pytest.mark.usefixtures("only_colours")
def test_wrong_labels_are_found_by_training_on_them(honest: dict[str, Any], cohort: Cohort, tmp_path: Path) -> None:
    images, labels = lesions(MANY, 1)
    swapped = measure(cohort, planted_pool(tmp_path / "pool", cohort, images, 1 - labels))["measures"]
    for name in ("train_synthetic_test_real", "train_real_test_synthetic"):
        assert swapped[name]["high"] < 0.5 < honest["measures"][name]["low"], name


def test_a_generator_of_one_picture_of_each_class_is_found(
    cohort: Cohort, tmp_path: Path, honest: dict[str, Any]
) -> None:
    images, labels = lesions(2, 1)
    rows = np.arange(MANY) % 2
    found = measure(cohort, planted_pool(tmp_path / "pool", cohort, images[rows], labels[rows]))["measures"]
    assert found["vendi"]["value"] == pytest.approx(1)
    assert found["mean_distance"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["ms_ssim"]["value"] == pytest.approx(1)
    assert found["coverage"]["value"] < 0.5 * honest["measures"]["coverage"]["value"]


def test_n_and_encoder_are_stated_and_classes_are_equal_in_all_sets(honest: dict[str, Any]) -> None:
    assert honest["encoder"] == "handmade-1, scaled"
    assert honest["dimensions"] == 236
    assert honest["n"] == MANY
    assert honest["ms_ssim"] == {"scales": 2, "pairs_of_a_class": 200}
    assert {name: one["n"] for name, one in honest["classes"].items()} == {"mel": 60, "nv": 60}
    assert honest["left_out"] == {}


@pytest.mark.usefixtures("only_colours")
def test_a_class_with_few_images_is_left_out_with_the_reason(cohort: Cohort, tmp_path: Path) -> None:
    images, labels = lesions(MANY, 1)
    kept = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:5]])
    found = measure(cohort, planted_pool(tmp_path / "pool", cohort, images[kept], labels[kept]))
    assert list(found["classes"]) == ["mel"]
    assert found["left_out"] == {"nv": "5 synthetic, 80 train and 80 held-out images, and 20 of each are needed"}


def test_too_few_images_are_refused_with_the_number_needed(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mel has 5 synthetic, 80 train and 80 held-out images, and 20 of each"):
        measure(cohort, planted_pool(tmp_path / "pool", cohort, *lesions(10, 1)))


@pytest.mark.usefixtures("only_colours")
def test_a_class_without_a_synthetic_image_is_named(cohort: Cohort, tmp_path: Path) -> None:
    images, labels = lesions(MANY, 1)
    found = measure(cohort, planted_pool(tmp_path / "pool", cohort, images[labels == 0], labels[labels == 0]))
    assert found["left_out"] == {"nv": "no synthetic image"}
    assert "train_synthetic_test_real" not in found["measures"]  # of one class nothing is told apart


def moved(cohort: Cohort, folder: Path, **columns: pl.Expr) -> Cohort:
    """Return the cohort with changed columns, saved."""
    return Cohort.in_memory(cohort.table.with_columns(**columns), cohort.images[:], cohort.classes).save(folder)


@pytest.mark.parametrize("column", ["lesion_id", "sha256"])
def test_held_out_images_of_what_train_shows_are_no_floor(cohort: Cohort, tmp_path: Path, column: str) -> None:
    known = cohort.part("train").table[column][0]
    first = cohort.part("test").table["image_id"][0]
    shared = pl.when(pl.col("image_id") == first).then(pl.lit(known)).otherwise(pl.col(column))
    leaky = moved(cohort, tmp_path / "leaky", **{column: shared})
    pool = planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1), learnt=60)
    seen = pl.read_parquet(tmp_path / "pool" / "seen.parquet").filter(pl.col(column) != known)
    seen.write_parquet(tmp_path / "pool" / "seen.parquet")
    with pytest.raises(LeakageError, match=f"image '{first}' of the test part has {column} '{known}'"):
        measure(leaky, pool)


def test_a_reference_with_synthetic_images_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    fake = cohort.part("val").table["image_id"][0]
    origin = pl.when(pl.col("image_id") == fake).then(pl.lit("synthetic")).otherwise(pl.col("origin"))
    mixed = moved(cohort, tmp_path / "mixed", origin=origin)
    with pytest.raises(LeakageError, match=f"synthetic image '{fake}' stands in the val part"):
        measure(mixed, planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1)))


def test_images_of_another_size_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mel, nv at 16 px, not mel, nv at 32 px"):
        measure(cohort, planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1, size_px=16)))


def test_a_fit_adds_the_score_of_its_probabilities(cohort: Cohort, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DERMSYNTH_CACHE", str(tmp_path / "cache"))
    config = FitConfig(model="small-cnn", width=4, budget_kimg=2.0, batch_size=16, evaluations=1)
    parts = [cohort.part(name) for name in ("train", "val", "test")]
    out = fit(parts[0], parts[1], parts[2], config, tmp_path / "fit")
    found = measure(cohort, planted_pool(tmp_path / "pool", cohort, *lesions(MANY, 1)), encoder=f"fit:{out}")
    assert found["encoder"].startswith("fit:fit@")
    score = found["measures"]["classifier_score"]
    assert 1 < score["value"] <= 2
    assert score["value"] == pytest.approx(score["floor"], abs=0.2)


@pytest.mark.usefixtures("only_memorisation")
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


@pytest.mark.usefixtures("only_colours")
def test_the_seed_picks_the_images(cohort: Cohort, tmp_path: Path) -> None:
    pool = planted_pool(tmp_path / "pool", cohort, *lesions(40, 1))
    found = measure(cohort, pool)
    assert measure(cohort, pool) == found
    assert measure(cohort, pool, seed=1)["measures"] != found["measures"]
