"""Features are served from the cache for the same images and the same encoder, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from tests.helpers import make_cohort, saved_cohort

from dermsynth.cohorts.cohort import Cohort
from dermsynth.encoders import cache
from dermsynth.encoders.cache import cache_folder
from dermsynth.encoders.chosen import Encoder


class Counting:
    """An encoder that counts the images that it was shown."""

    def __init__(self, factor: float = 1.0, identity: str | None = "counting-1") -> None:
        self.images, self.factor = 0, factor
        self.encoder = Encoder("counting", self.encode, identity)

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.images += len(images)
        return self.factor * images.mean(axis=(1, 2), dtype=np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DERMSYNTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return saved_cohort(tmp_path / "cohort")


def test_the_second_time_nothing_is_computed(cohort: Cohort) -> None:
    first, second = Counting(), Counting()
    found = first.encoder.features(cohort)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(second.encoder.features(Cohort.open(cohort.path)), found)  # type: ignore[arg-type]
    assert (first.images, second.images) == (len(cohort), 0)


def test_another_encoder_is_not_served_the_same_features(cohort: Cohort) -> None:
    Counting().encoder.features(cohort)
    other = Counting(2.0, "counting-2")
    np.testing.assert_allclose(other.encoder.features(cohort), 2 * cohort.images[:].mean(axis=(1, 2)), rtol=1e-5)
    assert other.images == len(cohort)


@pytest.mark.parametrize("change", ["pixels", "rows", "order"])
def test_another_cohort_is_not_served_the_same_features(cohort: Cohort, tmp_path: Path, change: str) -> None:
    Counting().encoder.features(cohort)
    if change == "pixels":
        changed = saved_cohort(tmp_path / "other", seed=1)
    elif change == "rows":
        changed = cohort.select(np.arange(5))
    else:
        changed = cohort.select(np.arange(len(cohort))[::-1].copy())
    again = Counting()
    found = again.encoder.features(changed)
    assert again.images == len(changed)
    np.testing.assert_allclose(found, changed.images[:].mean(axis=(1, 2)), rtol=1e-5)


def test_a_cohort_in_memory_is_told_apart_by_its_pixels() -> None:
    cohort = make_cohort()
    Counting().encoder.features(cohort)
    pixels = cohort.images[:].copy()
    pixels[3, 0, 0, 0] ^= 1
    again = Counting()
    again.encoder.features(Cohort.in_memory(cohort.table, pixels, cohort.classes))
    assert again.images == len(cohort)


def test_another_split_of_the_same_images_is_computed_again_rather_than_mistaken(cohort: Cohort) -> None:
    Counting().encoder.features(cohort)
    moved = replace(cohort, table=cohort.table.with_columns(split=pl.lit("train")))
    again = Counting()
    again.encoder.features(moved)
    assert again.images == len(cohort)


@pytest.mark.parametrize("damage", ["torn", "empty", "other rows", "nan", "pickle"])
def test_a_damaged_file_is_computed_and_written_again(cohort: Cohort, folder: Path, damage: str) -> None:
    expected = Counting().encoder.features(cohort)
    (file,) = (folder / "features").glob("*.npy")
    whole = file.read_bytes()
    if damage == "torn":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other rows":
        np.save(file, np.zeros((2, 3), np.float32))
    elif damage == "nan":
        np.save(file, np.full((len(cohort), 3), np.nan, np.float32))
    else:
        np.save(file, np.array([object()] * len(cohort)), allow_pickle=True)
    again = Counting()
    np.testing.assert_array_equal(again.encoder.features(cohort), expected)
    assert again.images == len(cohort)
    assert file.read_bytes() == whole


def test_nothing_half_written_stays(cohort: Cohort, folder: Path) -> None:
    Counting().encoder.features(cohort)
    assert [path.suffix for path in (folder / "features").iterdir()] == [".npy"]


def test_features_that_cost_less_than_keeping_them_are_not_kept(cohort: Cohort, folder: Path) -> None:
    Counting(identity=None).encoder.features(cohort)
    assert not folder.exists()


def test_where_nothing_can_be_kept_features_are_only_computed(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DERMSYNTH_CACHE", str(tmp_path / "file"))
    assert Counting().encoder.features(cohort).shape == (len(cohort), 3)
    assert "not kept for the next time" in caplog.text


def test_the_folder_is_the_users_cache_unless_one_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DERMSYNTH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "dermsynth"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == Path.home() / ".cache" / "dermsynth"
