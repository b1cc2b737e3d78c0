"""A fit that is stopped goes on as if it had not been; one with other settings is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.classifiers.discs import QUICK, TEST, TRAIN, VAL

from dermsynth.classifiers.fit import fit
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, DivergedError, InterruptedRunError
from dermsynth.training.stop import StopRequests

SHORT = QUICK.changed(budget_kimg=0.16, checkpoint_every_s=0)
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "fastai": {"recipe": "fastai", "ema_halflife_kimg": 0.05},
    "sgd": {"recipe": "plain-sgd", "momentum": 0.9, "label_smoothing": 0.1, "choose_by": "macro_auc"},
}


class _KilledError(Exception):
    """Stands for anything that ends a process between two steps."""


def killed_at(images: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= images:
            raise _KilledError

    return progress


def contents(folder: Path) -> dict[str, bytes]:
    names = ("predictions.parquet", "classifier.safetensors", "history.jsonl")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fit_killed_twice_has_the_bits_of_one_that_was_not(tmp_path: Path, name: str) -> None:
    torch.set_num_threads(1)
    config = SHORT.changed(**SETTINGS[name])
    augmentation = ClassicalAugmentation(mixup_alpha=0.2)
    whole = fit(TRAIN, VAL, TEST, config.changed(checkpoint_every_s=60), tmp_path / "whole", augmentation=augmentation)
    for images in (48, 112):  # between evaluations, with losses that wait for the next one
        with pytest.raises(_KilledError):
            fit(TRAIN, VAL, TEST, config, tmp_path / "cut", augmentation=augmentation, progress=killed_at(images))
        assert not (tmp_path / "cut").exists()
    cut = fit(TRAIN, VAL, TEST, config, tmp_path / "cut", augmentation=augmentation)
    assert contents(cut) == contents(whole)
    assert not (tmp_path / "cut.partial").exists()
    assert sorted(path.name for path in cut.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_a_continued_fit_does_not_begin_again(tmp_path: Path) -> None:
    with pytest.raises(_KilledError):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", progress=killed_at(96))
    seen: list[int] = []
    fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", progress=lambda done, total: seen.append(done))
    assert seen[0] == 96  # the step in whose wake it was killed came after the last checkpoint


def test_a_request_to_stop_saves_the_state_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StopRequests, "__enter__", lambda self: setattr(self, "requested", True) or self)
    with pytest.raises(InterruptedRunError, match=r"stopped at 16 of 160 images; .*run the same command again"):
        fit(TRAIN, VAL, TEST, SHORT.changed(checkpoint_every_s=60), tmp_path / "fit")
    assert (tmp_path / "fit.partial" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"learning_rate": 0.5}, r"config\.learning_rate 0\.01 → 0\.5"),
        ({"recipe": "plain-adam", "learning_rate": 0.01}, r"config\.recipe default → plain-adam, config\.schedule"),
    ],
)
def test_other_settings_are_refused_with_what_differs(tmp_path: Path, changes: dict[str, Any], difference: str) -> None:
    with pytest.raises(_KilledError):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", progress=killed_at(48))
    other = SHORT.changed(**{**changes, "batch_size": 16})
    with pytest.raises(ArtefactError, match=rf"unfinished run with other settings \({difference}"):
        fit(TRAIN, VAL, TEST, other, tmp_path / "fit")
    fit(TRAIN, VAL, TEST, other, tmp_path / "fit", force=True)
    assert read_card(tmp_path / "fit", "fit")["config"] == other.canonical()


def test_other_images_another_loss_and_other_threads_are_other_settings(tmp_path: Path) -> None:
    with pytest.raises(_KilledError):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", progress=killed_at(48))
    known = json.loads((tmp_path / "fit.partial" / "settings.json").read_text())
    assert f"threads {torch.get_num_threads()}" in known["machine"]
    with pytest.raises(ArtefactError, match=r"\(val \w+ → \w+\)"):
        fit(TRAIN, VAL.select(pl.col("image_id") != "val0000"), TEST, SHORT, tmp_path / "fit")
    with pytest.raises(ArtefactError, match=r"\(balance none → focal\)"):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", balance="focal")
    with pytest.raises(ArtefactError, match=r"\(rows \w+ → \w+\)"):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit", rows=np.arange(len(TRAIN))[::-1].copy())


def test_a_fit_without_a_checkpoint_is_nothing_to_protect(tmp_path: Path) -> None:
    slow = SHORT.changed(checkpoint_every_s=60)
    with pytest.raises(_KilledError):
        fit(TRAIN, VAL, TEST, slow, tmp_path / "fit", progress=killed_at(48))
    fit(TRAIN, VAL, TEST, slow.changed(seed=1), tmp_path / "fit")


def test_a_diverged_fit_leaves_no_state_to_diverge_from_again(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"not finite .* lower learning_rate"):
        fit(TRAIN, VAL, TEST, SHORT.changed(learning_rate=1e38), tmp_path / "fit")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_partial_fit_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fit.partial").mkdir()
    (tmp_path / "fit.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(ArtefactError, match=r"holds 'thesis\.txt' but no run"):
        fit(TRAIN, VAL, TEST, SHORT, tmp_path / "fit")
