"""Arms: the same class counts wherever they enlarge, and nothing but what their name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import CLASSES, make_cohort, make_pool

from dermsynth.core.errors import InputError
from dermsynth.trials.arms import ARMS, Material, missing

ENLARGING = ["classical", "oversampled", "hybrid", "placebo", "oracle"]
FILL_TO = 20


@pytest.fixture
def material(tmp_path: Path) -> Material:
    cohort = make_cohort((12, 16, 64))
    pool = make_pool(tmp_path / "pool", cohort, missing(cohort, FILL_TO))
    oracle = make_cohort((40, 40, 40), prefix="new", split=False)
    return Material(cohort, missing(cohort, FILL_TO), seed=0, pool=pool, oracle=oracle)


@pytest.mark.parametrize("arm", ENLARGING)
def test_arms_that_enlarge_have_the_same_class_counts(material: Material, arm: str) -> None:
    train = material.cohort.part("train").counts()
    assert ARMS[arm](material).counts() == {name: max(FILL_TO, count) for name, count in train.items()}


def test_real_is_the_train_part_as_it_is(material: Material) -> None:
    assert ARMS["real"](material).counts() == material.cohort.part("train").counts()


@given(counts=st.tuples(*[st.integers(4, 60)] * 3), fill_to=st.integers(1, 80), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_oversampling_shows_every_image_of_a_class_equally_often_but_for_one(
    counts: tuple[int, int, int], fill_to: int, seed: int
) -> None:
    cohort = make_cohort(counts, size_px=4)
    chosen = ARMS["oversampled"](Material(cohort, missing(cohort, fill_to), seed))
    times = np.bincount(chosen.rows, minlength=len(chosen.cohort))
    for label in range(len(CLASSES)):
        of_class = times[chosen.cohort.labels == label]
        assert of_class.max() - of_class.min() <= 1
        assert of_class.sum() == max(fill_to, len(of_class))


@pytest.mark.parametrize("arm", ["weighted", "focal", "logit-adjusted"])
def test_arms_that_change_the_loss_have_the_images_of_real(material: Material, arm: str) -> None:
    found, real = ARMS[arm](material), ARMS["real"](material)
    assert (found.balance, real.balance) == (arm, "none")
    assert found.counts() == real.counts()


def test_the_loss_is_the_only_answer_to_imbalance_of_its_arm(material: Material) -> None:
    assert {ARMS[arm](material).balance for arm in ENLARGING} == {"none"}


def test_oversampling_adds_no_new_image(material: Material) -> None:
    assert set(ARMS["oversampled"](material).cohort.table["origin"]) == {"real"}


def test_only_classical_is_augmented(material: Material) -> None:
    assert [arm for arm in ARMS if ARMS[arm](material).augmentation] == ["classical"]


def test_hybrid_and_placebo_have_the_same_images(material: Material) -> None:
    hybrid, placebo = ARMS["hybrid"](material).cohort, ARMS["placebo"](material).cohort
    np.testing.assert_array_equal(hybrid.images[:], placebo.images[:])


def test_placebo_shuffles_synthetic_labels_and_leaves_real_ones(material: Material) -> None:
    hybrid, placebo = ARMS["hybrid"](material).cohort.table, ARMS["placebo"](material).cohort.table
    real = pl.col("origin") == "real"
    assert hybrid.filter(real)["label"].equals(placebo.filter(real)["label"])
    assert not hybrid.filter(~real)["label"].equals(placebo.filter(~real)["label"])
    assert sorted(hybrid.filter(~real)["label"]) == sorted(placebo.filter(~real)["label"])


def test_the_oracle_adds_real_images_of_new_lesions(material: Material) -> None:
    table = ARMS["oracle"](material).cohort.table
    assert set(table["origin"]) == {"real"}
    added = table.filter(pl.col("image_id").str.starts_with("new"))
    assert added.height == sum(missing(material.cohort, FILL_TO).values())


@pytest.mark.parametrize("arm", list(ARMS))
def test_no_arm_holds_an_image_of_val_or_test(material: Material, arm: str) -> None:
    held_out = material.cohort.table.filter(pl.col("split") != "train")["lesion_id"]
    assert not set(ARMS[arm](material).cohort.table["lesion_id"]) & set(held_out)


def test_a_pool_too_small_for_the_arm_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort()
    pool = make_pool(tmp_path / "pool", cohort, {"bkl": 2, "mel": 50, "nv": 50})
    with pytest.raises(InputError, match="has 2 images of class 'bkl', arm 'hybrid' needs 14; sample more"):
        ARMS["hybrid"](Material(cohort, missing(cohort, FILL_TO), 0, pool))


def test_an_arm_without_its_pool_is_refused() -> None:
    with pytest.raises(InputError, match="arm 'hybrid' needs a pool"):
        ARMS["hybrid"](Material(make_cohort(), {"nv": 1}, 0))
