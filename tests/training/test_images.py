"""What a run learns from, and what it keeps back to choose a snapshot by."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import InputError
from dermsynth.training.config import TrainConfig
from dermsynth.training.images import TrainingImages, gather, hold_out

SMALL = DcganConfig(batch_size=4)


def gathered(cohort: Cohort, config: TrainConfig | None = None, algorithm: DcganConfig = SMALL) -> TrainingImages:
    return gather(cohort, Dcgan, algorithm, config or TrainConfig(), None)


@given(counts=st.tuples(*[st.integers(0, 200)] * 3).filter(lambda c: sum(c) > 0), most=st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_at_most_a_tenth_of_a_class_and_at_most_so_many_are_held_out(counts: tuple[int, ...], most: int) -> None:
    cohort = make_cohort(counts, size_px=8, split=False)
    kept = cohort.select(hold_out(cohort, most, seed=0)).counts()
    assert sum(kept.values()) <= most
    assert all(10 * kept[name] <= count for name, count in cohort.counts().items())


def test_photographs_of_a_lesion_or_a_patient_are_never_divided() -> None:
    cohort = make_cohort((200, 200, 400), size_px=8, split=False)
    number = np.arange(len(cohort))
    table = cohort.table.with_columns(
        lesion_id=pl.Series([f"l{n // 3}" for n in number]),
        patient_id=pl.Series([None if n % 2 else f"p{n // 12}" for n in number // 3]),
    )
    cohort = Cohort.in_memory(table, cohort.images[:], cohort.classes)
    kept = hold_out(cohort, 64, seed=0)
    assert kept.sum() >= 16
    for column in ("lesion_id", "patient_id"):
        inside = set(table.filter(kept)[column].drop_nulls())
        assert not inside & set(table.filter(~kept)[column].drop_nulls())


def test_too_few_images_hold_nothing_out() -> None:
    assert not hold_out(make_cohort((50, 50, 50), size_px=8, split=False), 256, seed=0).any()


def test_fitted_and_held_out_images_are_the_train_part_and_all_count_as_seen() -> None:
    cohort = make_cohort((200, 400, 800), size_px=16)
    images = gathered(cohort, TrainConfig(held_out=40))
    fitted, held_out = set(images.fitted.table["image_id"]), set(images.held_out.table["image_id"])
    assert 16 <= len(held_out) <= 40
    assert not fitted & held_out
    expected = set(cohort.part("train").table["image_id"])
    assert fitted | held_out == set(images.seen["image_id"]) == expected


def test_classes_picks_some_of_them() -> None:
    images = gathered(make_cohort(), TrainConfig(classes=("nv", "bkl")))
    assert images.classes == ("bkl", "nv")
    assert images.fitted.counts() == {"bkl": 6, "nv": 16}


def test_an_unknown_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no class 'mell'; did you mean 'mel'"):
        gathered(make_cohort(), TrainConfig(classes=("mell",)))


def test_a_class_with_fewer_images_than_a_batch_takes_is_refused_with_a_size_that_works() -> None:
    cohort = make_cohort((12, 16, 32))
    with pytest.raises(InputError, match=r"class 'mel' has 8 .*fewer than the 64 that a batch of 64.*batch_size=8 "):
        gathered(cohort, TrainConfig(classes=("mel",)), DcganConfig(batch_size=64))
    gathered(cohort, TrainConfig(classes=("mel",)), DcganConfig(batch_size=8))


def test_a_batch_may_be_larger_than_a_rare_class_that_gives_it_a_few_images() -> None:
    gathered(make_cohort((12, 400, 1600), size_px=16), algorithm=DcganConfig(batch_size=32))
