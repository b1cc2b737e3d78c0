"""Predictions: what is written is read back, and whatever cannot be used is refused by name."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsynth.classifiers.predictions import FILE, Predictions, read_predictions, write_predictions
from dermsynth.core.errors import ArtefactError, InputError

CLASSES = ("bkl", "mel", "nv")


def some(n: int = 6, first: int = 0, seed: int = 0, **changes: Any) -> Predictions:
    generator = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "image_ids": np.array([f"image{first + i:03}" for i in range(n)]),
        "lesion_ids": np.array([f"lesion{(first + i) // 2}" for i in range(n)]),
        "labels": np.arange(n) % 3,
        "probabilities": generator.dirichlet(np.ones(3), n),
        "classes": CLASSES,
    }
    return Predictions(**{**fields, **changes})


def table(**columns: Any) -> pl.DataFrame:
    fields: dict[str, Any] = {
        "image_id": ["a", "b", "c"],
        "lesion_id": ["1", "2", "2"],
        "split": ["test"] * 3,
        "label": ["mel", "nv", "nv"],
        "p_mel": [0.5, 0.2, 1.0],
        "p_nv": [0.5, 0.8, 0.0],
    }
    return pl.DataFrame({key: value for key, value in {**fields, **columns}.items() if value is not None}, strict=False)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, n: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("fit") / FILE
    splits = {"val": some(3, seed=seed), "test": some(n, first=100, seed=seed)}
    write_predictions(path, splits)
    for name, written in splits.items():
        found = read_predictions(path, name)
        assert found.classes == CLASSES
        assert found.where == f"{path}, split '{name}'"
        assert (found.image_ids == written.image_ids).all()
        assert (found.lesion_ids == written.lesion_ids).all()
        assert (found.labels == written.labels).all()
        assert found.probabilities == pytest.approx(written.probabilities, abs=1e-7)


def test_the_file_has_the_columns_of_its_documentation(tmp_path: Path) -> None:
    write_predictions(tmp_path / FILE, {"test": some()})
    found = pl.read_parquet(tmp_path / FILE)
    assert found.columns == ["image_id", "lesion_id", "split", "label", "p_bkl", "p_mel", "p_nv"]
    assert found["label"].to_list()[:3] == ["bkl", "mel", "nv"]
    assert found["p_mel"].dtype == pl.Float32


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_predictions(tmp_path / name, {"test": some()})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_folder_of_a_fit_stands_for_its_file(tmp_path: Path) -> None:
    write_predictions(tmp_path / FILE, {"test": some()})
    assert len(read_predictions(tmp_path)) == 6


def test_the_most_probable_class_is_predicted_and_the_first_of_equals() -> None:
    found = some(2, probabilities=np.array([[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]]))
    assert found.predicted.tolist() == [2, 0]


def test_rows_can_be_taken_in_another_order() -> None:
    found = some().take(np.array([4, 1]))
    assert found.image_ids.tolist() == ["image004", "image001"]
    assert found.labels.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_ids": np.array([f"image{i}" for i in (0, 1, 2, 3, 1, 5)])}, r"row 5 \(image image1\) occurs twice"),
        ({"labels": np.array([0, 1, 3, 0, 0, 0])}, r"row 3 \(image image002\) has label 3 of 3 classes"),
        ({"labels": np.array([0, 1])}, "do not fit together"),
        ({"classes": ("a", "a", "b")}, "expected two or more, each once"),
        ({"probabilities": np.full((6, 3), np.nan)}, r"row 1 \(image image000\) has a probability that is not finite"),
        ({"probabilities": np.full((6, 3), 0.3)}, "sum to 0.9, expected a sum of 1"),
        ({"probabilities": np.tile([1.5, -0.5, 0.0], (6, 1))}, "lie outside 0 to 1"),
    ],
)
def test_unusable_arrays_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        some(**changes)


def test_rounding_of_half_precision_sums_is_tolerated() -> None:
    assert len(some(1, probabilities=np.array([[0.33337, 0.33337, 0.33332]]))) == 1


def test_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="holds no image"):
        some(0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"lesion_id": None}, "has no column 'lesion_id'; columns: image_id"),
        ({"p_mel": None, "p_nv": None}, "has no column 'p_<class>'"),
        ({"split": ["val"] * 3}, "has no row of split 'test'; splits: val"),
        ({"label": ["mel", "df", "nv"]}, r"row 2 \(image b\) has label 'df' but there is no column 'p_df'"),
        ({"lesion_id": ["1", "2", None]}, r"row 3 \(image c\) has no lesion_id"),
        ({"p_nv": [0.5, None, 0.0]}, r"row 2 \(image b\) has no p_nv"),
        ({"p_nv": ["x", "y", "z"]}, "column 'p_nv' holds String, expected probabilities"),
        ({"p_nv": [0.5, 0.9, 0.0]}, r"row 2 \(image b\) has probabilities that sum to 1.1"),
        ({"image_id": ["a", "b", "a"]}, r"row 3 \(image a\) occurs twice"),
    ],
)
def test_an_unusable_file_is_refused_by_name_and_row(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = tmp_path / FILE
    table(**columns).write_parquet(path)
    with pytest.raises(InputError, match=message) as refused:
        read_predictions(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"predictions\.parquet: no such file; fit the classifier first"):
        read_predictions(tmp_path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("image_id,label\n")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_predictions(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path / FILE, {"test": some()})
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_predictions(tmp_path)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({}, "no split to write"),
        ({"val": some(), "test": some(first=3)}, "image image003 is in two splits"),
        ({"val": some(), "test": some(first=9, classes=("a", "b", "c"))}, "split 'test' has classes"),
    ],
)
def test_splits_that_do_not_belong_together_are_refused(
    tmp_path: Path, splits: dict[str, Predictions], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_predictions(tmp_path / FILE, splits)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dermsynth.core.artefacts.os.fsync", full)
    with pytest.raises(ArtefactError, match="the disk is full"):
        write_predictions(tmp_path / FILE, {"test": some()})
    assert not list(tmp_path.iterdir())
