"""Synthetic images beside the training images that they are most like."""

from __future__ import annotations

import base64
import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.duplicates import SYMMETRIES
from dermsynth.reports.evidence import read_trial
from dermsynth.reports.likeness import grids


def test_a_copy_is_found_however_it_is_mirrored_or_turned(finished_trial: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(finished_trial, tmp_path / "t"))
    found = read_trial(trial)
    train, pool = found.cohort.part("train"), found.pools[0]
    originals = train.images[np.arange(len(pool)) % len(train)]
    copies = np.stack([SYMMETRIES[number % 8].apply(image) for number, image in enumerate(originals)])
    copied = Cohort.in_memory(pool.table, copies, pool.classes)
    shown = grids(replace(found, pools={0: copied}))
    assert shown["closest"]["median"] == "0.0"
    assert float(shown["closest"]["real_median"]) > 1
    encoded = shown["data"].url.partition("base64,")[2]
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(encoded).decode())))
    at = {name: number for number, name in enumerate(pool.table["image_id"].to_list())}
    names = train.table["image_id"].to_list()
    assert {row["nearest_training_image"] for row in rows} == {
        names[at[row["synthetic_image"]] % len(train)] for row in rows
    }


def test_images_from_nowhere_are_far_from_all(finished_trial: Path) -> None:
    shown = grids(read_trial(finished_trial))  # negatives of painted blobs
    assert float(shown["closest"]["least"]) > 5 * float(shown["closest"]["real_median"])
    assert all(row["nearest"].url for row in shown["rows"] if row["synthetic"])


def test_a_trial_without_a_pool_shows_real_images_alone(finished_trial: Path) -> None:
    shown = grids(replace(read_trial(finished_trial), pools={}))
    assert shown["closest"] is None
    assert shown["data"] is None
    assert all(row["real"] and not row["synthetic"] for row in shown["rows"])
