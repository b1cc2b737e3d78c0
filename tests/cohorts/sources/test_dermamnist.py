"""DermaMNIST: arrays in a zip, read from front to back and never whole."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import source_config
from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, make_dermamnist, opened

FILE = "dermamnist.npz"


@pytest.mark.parametrize("packed", [True, False])
def test_images_labels_and_parts_are_those_of_the_file(tmp_path: Path, packed: bool) -> None:
    path = make_dermamnist(tmp_path / FILE, packed=packed)
    photos = everything(opened("dermamnist", tmp_path), 28)
    with np.load(path) as known:
        assert np.array_equal(photos.images[:14], known["train_images"])
        assert np.array_equal(photos.images[21:], known["test_images"])
    assert photos.table["part"].to_list() == ["train"] * 14 + ["val"] * 7 + ["test"] * 7
    assert photos.table["label"].to_list()[:7] == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    assert photos.table["image_id"].to_list()[14] == "val_00000"


def test_some_of_the_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    make_dermamnist(tmp_path / FILE)
    source = opened("dermamnist", tmp_path)
    whole = everything(source, 28)
    chosen = source.check().gather_every(3)
    pictures = [read() for read in source.pictures(chosen, 28)]
    assert len(pictures) == chosen.height
    assert all(np.array_equal(np.asarray(one.image), whole.images[3 * number]) for number, one in enumerate(pictures))


def test_a_file_of_another_size_is_named_in_the_settings(tmp_path: Path) -> None:
    make_dermamnist(tmp_path / "dermamnist_64.npz", side=64)
    source = opened("dermamnist", tmp_path, file="dermamnist_64.npz")
    assert everything(source, 64).images.shape == (28, 64, 64, 3)
    assert source.fixed_split is not None
    assert "35 %" in source.fixed_split


def test_another_file_of_this_layout_is_not_said_to_leak(tmp_path: Path) -> None:
    make_dermamnist(tmp_path / "corrected.npz")
    assert opened("dermamnist", tmp_path, file="corrected.npz").fixed_split is None


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    count, side = 3000, 64
    images = np.zeros((count, side, side, 3), np.uint8)  # 37 MB
    labels = (np.arange(count, dtype=np.uint8) % 7)[:, None]
    make_dermamnist(tmp_path / FILE, side=side, train_images=images, train_labels=labels)
    del images
    source = opened("dermamnist", tmp_path)
    rows = source.check()
    tracemalloc.start()
    seen = sum(1 for read in source.pictures(rows, side) if read().image.size == (side, side))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == rows.height
    assert peak < 4e6


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"val_images": np.zeros((7, 28, 28, 3))}, "val_images: holds float64, expected uint8 in rows"),
        ({"val_images": np.zeros((7, 28, 28), np.uint8)}, r"val_images has shape \(7, 28, 28\), expected N x height"),
        ({"val_labels": np.zeros((6, 1), np.uint8)}, r"val_labels has shape \(6, 1\), expected 7 x 1, one for each im"),
        ({"test_labels": np.full((7, 1), 7, np.uint8)}, "test_labels has the value 7, expected 0 to 6"),
        ({"test_images": np.array([{}])}, "test_images: holds object, expected uint8 in rows"),
    ],
    ids=["float", "grey", "too-few", "too-large", "pickle"],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, replaced: dict[str, np.ndarray], message: str) -> None:
    make_dermamnist(tmp_path / FILE, **replaced)
    with pytest.raises(InputError, match=rf"{FILE}: {message}"):
        opened("dermamnist", tmp_path).check()


def test_a_file_without_an_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, train_images=np.zeros((1, 28, 28, 3), np.uint8))
    with pytest.raises(InputError, match=rf"{FILE}: has no array 'train_labels'; expected a file of DermaMNIST"):
        opened("dermamnist", tmp_path).check()


def test_a_damaged_array_stops_at_the_image_it_reaches(tmp_path: Path) -> None:
    path = make_dermamnist(tmp_path / FILE, packed=False)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("test_images.npy").header_offset
    data[start + 2000] ^= 255
    path.write_bytes(data)
    source = opened("dermamnist", tmp_path)
    rows = source.check()
    with pytest.raises(
        InputError, match=rf"{FILE}: image test_0000\d: cannot be read \(Bad CRC-32.*\); fetch the file"
    ):
        list(source.pictures(rows, 28))


def test_a_missing_or_truncated_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{FILE}: no such file; fetch it with --download, or name another as 'file'"):
        opened("dermamnist", tmp_path).fingerprint()
    path = make_dermamnist(tmp_path / FILE)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=rf"{FILE}: cannot be read as an .npz file"):
        opened("dermamnist", tmp_path).fingerprint()


def test_it_becomes_a_cohort_that_is_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dermamnist(tmp_path / FILE)
    config = source_config("dermamnist", {"root": str(tmp_path)})
    first = ingest(config, 28, tmp_path / "out")
    assert first.table["sha256"].n_unique() == 28
    monkeypatch.setattr("dermsynth.cohorts.ingest.read_photos", lambda *_: pytest.fail("read again"))
    assert ingest(config, 28, tmp_path / "out").identity == first.identity
