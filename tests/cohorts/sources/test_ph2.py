"""PH2: a text table of its own, and a folder per image."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.core.errors import InputError
from tests.cohorts.sources.layouts import everything, make_ph2, opened


@pytest.mark.parametrize("name", ["ph2", "ph2.zip"])
def test_the_table_and_its_folders_are_read_with_masks(tmp_path: Path, name: str) -> None:
    photos = everything(opened("ph2", make_ph2(tmp_path / name)))
    assert photos.table.select("image_id", "label", "histology").rows() == [
        ("IMD002", "nv", None),
        ("IMD003", "atypical-nv", None),
        ("IMD058", "mel", "Melanoma"),
    ]
    assert photos.masks is not None
    assert (photos.masks == [[0, 0, 1, 1, 1, 1, 0, 0]] * 8).all()


def test_a_diagnosis_that_is_unknown_is_named(tmp_path: Path) -> None:
    rows = ("|| IMD002 || || 0 ||", "|| IMD003 || || 3 ||", "|| IMD058 || || 2 ||")
    with pytest.raises(InputError, match=r"PH2_dataset.txt: line 3: clinical diagnosis is '3', expected 0, 1 or 2"):
        opened("ph2", make_ph2(tmp_path / "ph2", rows)).check()


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"PH2_dataset.txt: has no row such as '\|\| IMD003 "):
        opened("ph2", make_ph2(tmp_path / "ph2", ())).check()


def test_a_folder_without_the_table_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no PH2_dataset.txt; expected the unpacked PH2Dataset, or a zip of it"):
        opened("ph2", tmp_path)
