"""The phantom as a data set: counts, identity, reproducibility, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from dermsynth.cohorts.sources.phantom import CLASSES, PhantomConfig, Photos, draw
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError

FEW = {"akiec": 2, "bcc": 3, "bkl": 2, "df": 1, "mel": 4, "nv": 6, "vasc": 2}


def drawn(counts: Mapping[str, int], size_px: int = 32, chunk: int = 256, **values: object) -> Photos:
    parts = list(draw(PhantomConfig.model_validate({"counts": counts, **values}), size_px, chunk))
    return Photos(
        pl.concat([part.table for part in parts]),
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.masks for part in parts]),
    )


@pytest.mark.parametrize("size_px", [32, 64, 128, 224])
def test_images_and_masks_have_the_size_type_and_range_asked_for(size_px: int) -> None:
    photos = drawn({"mel": 2, "vasc": 1}, size_px)
    assert photos.images.shape == (3, size_px, size_px, 3)
    assert photos.masks.shape == (3, size_px, size_px)
    assert photos.images.dtype == photos.masks.dtype == np.uint8
    assert set(np.unique(photos.masks)) == {0, 1}
    assert photos.images.std() > 10


def test_every_class_has_exactly_its_count_and_others_are_absent() -> None:
    photos = drawn({"nv": 7, "df": 3})
    assert dict(photos.table["label"].value_counts().iter_rows()) == {"nv": 7, "df": 3}


def test_the_same_configuration_draws_the_same_images() -> None:
    first, second = drawn(FEW), drawn(FEW)
    assert first.table.equals(second.table)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.masks, second.masks)


def test_another_seed_draws_other_images() -> None:
    assert not np.array_equal(drawn({"nv": 2}).images, drawn({"nv": 2}, seed=1).images)


@pytest.mark.parametrize("chunk", [1, 7])
def test_the_chunk_changes_nothing(chunk: int) -> None:
    whole, parts = drawn(FEW), drawn(FEW, chunk=chunk)
    assert whole.table.equals(parts.table)
    np.testing.assert_array_equal(whole.images, parts.images)


def test_no_chunk_is_larger_than_asked_for() -> None:
    sizes = [len(part.images) for part in draw(PhantomConfig(counts={"nv": 7}), 16, chunk=3)]
    assert sizes == [3, 3, 1]


def test_counts_of_other_classes_change_no_image() -> None:
    alone, together = drawn({"mel": 4}), drawn(FEW)
    is_mel = (together.table["label"] == "mel").to_numpy()
    assert together.table.filter(is_mel).equals(alone.table)
    np.testing.assert_array_equal(together.images[is_mel], alone.images)


def test_a_larger_count_only_adds_images() -> None:
    small, large = drawn({"bcc": 3}), drawn({"bcc": 6})
    assert large.table["image_id"].to_list()[:3] == small.table["image_id"].to_list()
    np.testing.assert_array_equal(large.images[:3], small.images)


def test_draws_over_disjoint_lesions_share_no_lesion_no_patient_and_no_image() -> None:
    first, oracle = drawn(FEW), drawn(FEW, first_lesion=1_000_000)
    for column in ("image_id", "lesion_id", "patient_id"):
        assert set(first.table[column]).isdisjoint(oracle.table[column])
    assert len(np.unique(np.concatenate([first.images, oracle.images]), axis=0)) == 2 * sum(FEW.values())


def test_identifiers_name_lesion_and_photo() -> None:
    table = drawn(FEW).table
    assert table["image_id"].is_unique().all()
    number = table["lesion_id"].str.strip_prefix("PHL_")
    assert (table["image_id"].str.slice(0, 12) == "PH_" + number).all()
    assert table["image_id"].str.contains(r"^PH_0_\d{7}_[123]$").all()


def test_a_lesion_has_one_class_and_one_patient_and_a_patient_one_age_sex_and_skin() -> None:
    table = drawn({"nv": 60, "mel": 20}, size_px=16).table
    per_lesion = table.group_by("lesion_id").agg(pl.col("label", "patient_id").n_unique())
    assert per_lesion["label"].max() == per_lesion["patient_id"].max() == 1
    per_patient = table.group_by("patient_id").agg(pl.col("age", "sex", "skin_tone").n_unique())
    assert per_patient.select(pl.max_horizontal("age", "sex", "skin_tone").max()).item() == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"counts": {"nevus": 3}}, "unknown class 'nevus'"),
        ({"counts": {"ackiec": 3}}, "did you mean 'akiec'"),
        ({"counts": {"nv": 0}}, "class 'nv' has 0 images"),
        ({"counts": {}}, "names no class"),
        ({"overlap": 1.5}, "'overlap' is 1.5"),
        ({"first_lesion": -1}, "'first_lesion' is -1"),
        ({"overlapp": 0.1}, "did you mean 'overlap'"),
    ],
)
def test_a_bad_configuration_is_refused_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(PhantomConfig, values, "phantom")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size_px", [0, 8, 4096])
def test_a_bad_size_is_refused_before_anything_is_drawn(size_px: int) -> None:
    with pytest.raises(ConfigError, match=f"size_px is {size_px}"):
        draw(PhantomConfig(), size_px)


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="chunk is 0"):
        draw(PhantomConfig(), 64, chunk=0)


def test_the_default_draws_every_class() -> None:
    assert tuple(sorted(PhantomConfig().counts)) == CLASSES
