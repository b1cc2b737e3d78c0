"""`predict`, `explain` and `preview disagreement` as commands: what they print and leave, and their mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.classifiers.asked import fitted
from tests.classifiers.discs import TEST
from tests.journeys.commands import dermsynth, one_line

from dermsynth.classifiers.predictions import FILE, Predictions, read_predictions, write_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import InputError
from dermsynth.reports.predictions import bars, disagreement, overlay


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    fitted(folder)
    (folder / "photos").mkdir()
    for number in range(3):
        Image.fromarray(TEST.images[number]).resize((50, 40)).save(folder / "photos" / f"{number}.png")
    (folder / "photos" / "bad.jpg").write_bytes(b"no image")
    return folder


def test_answers_are_printed_and_written_with_the_notice(work: Path) -> None:
    printed = dermsynth("predict", "fit", "photos", "--out", "answers.json", "--threads", "1", cwd=work)
    assert "left out: photos/bad.jpg: is no image file" in printed.stderr
    assert "No diagnosis" in printed.stderr
    assert "3 images: " in printed.stdout
    written = json.loads((work / "answers.json").read_text())
    assert "No diagnosis" in written["notice"]
    assert [one["image_id"] for one in written["images"]] == [f"photos/{number}.png" for number in range(3)]
    assert written["bad"] == [{"image_id": "photos/bad.jpg", "reason": "photos/bad.jpg: is no image file"}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "fit", "photos", "--out", "answers.xlsx"], "ends in '.xlsx'; answers are written as"),
        (["predict", "fit", "photos", "--out", "taken.csv"], "taken.csv: already exists"),
        (["predict", "test", "photos"], "test: is a cohort, expected a fit"),
        (["predict", "fit", "photos", "--on-bad", "stop"], "bad.jpg: is no image file; "),
        (["explain", "fit", "photos", "--out", "maps", "--method", "grad"], "did you mean 'grad-cam'?"),
        (["explain", "fit", "photos", "--out", "maps", "--label", "mell"], "did you mean 'mel'?"),
        (["preview", "disagreement", "fit", "gone", "test", "--out", "d.png"], "gone: no such file"),
        (["preview", "disagreement", "fit", "fit", "test", "--out", "taken.csv"], "taken.csv: already exists"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(work: Path, words: list[str], message: str) -> None:
    (work / "taken.csv").write_text("mine")
    assert message in one_line(dermsynth(*words, cwd=work, code=2).stderr)
    assert (work / "taken.csv").read_text() == "mine"
    assert not (work / "maps").exists()


def test_maps_are_a_folder_of_overlays_numbers_and_a_sheet(work: Path) -> None:
    pytest.importorskip("captum")
    words = ["explain", "fit", "photos", "--method", "occlusion", "--label", "mel", "--threads", "1"]
    dermsynth(*words, "--out", "maps", cwd=work)
    folder = work / "maps"
    assert sorted(path.name for path in (folder / "overlays").iterdir()) == [f"photos_{n}.png.png" for n in range(3)]
    assert np.load(folder / "maps.npy").shape == (3, 32, 32)
    assert pl.read_parquet(folder / "answers.parquet")["explained"].to_list() == ["mel"] * 3
    assert Image.open(folder / "sheet.png").height > 3 * 128
    card = read_card(folder, "explanation")
    assert (card["method"], card["images"], len(card["bad"])) == ("occlusion", 3, 1)
    assert "already exists" in one_line(dermsynth(*words, "--out", "maps", cwd=work, code=2).stderr)
    (work / "maps").rename(work / "made")


def other_fit(work: Path, folder: Path, row: int) -> Path:
    """Write the fit's predictions with those of one test image reversed."""
    found = read_predictions(work / "fit")
    changed = found.probabilities.copy()
    changed[row] = np.eye(3)[int(found.probabilities[row].argmin())]
    made = Predictions(found.image_ids, found.lesion_ids, found.labels, changed, found.classes)
    folder.mkdir()
    write_predictions(folder / FILE, {"test": made})
    return folder


def test_the_image_on_which_two_fits_differ_most_comes_first(work: Path, tmp_path: Path) -> None:
    other = other_fit(work, tmp_path / "other", 17)
    found = disagreement((work / "fit", other), Cohort.open(work / "test"), 2)
    assert found[0].setting == TEST.table["image_id"][17]
    least = read_predictions(work / "fit").probabilities[17].min()
    assert found[0].name == f"{1 - least:.2f} apart"
    assert list(found[0].captions) == [TEST.table["label"][17], "fit", "other"]
    assert found[1].name == "0.00 apart"
    assert (found[0].images[1] != found[0].images[2]).any()
    dermsynth("preview", "disagreement", "fit", other, "test", "--count", "2", "--out", tmp_path / "d.png", cwd=work)
    assert Image.open(tmp_path / "d.png").height > 2 * 128


def test_a_cohort_without_the_images_is_refused(work: Path) -> None:
    with pytest.raises(InputError, match=r"has no image 'test\d+', which .* predicts; give the cohort of the fits"):
        disagreement((work / "fit", work / "fit"), Cohort.open(work / "val"))


def test_an_overlay_is_red_where_the_map_is_above_zero_blue_below_and_clear_at_zero() -> None:
    grey = np.full((10, 10, 3), 120, np.uint8)
    values = np.zeros((10, 10), np.float32)
    values[:, :3], values[:, 7:] = 2.0, -2.0
    found = overlay(grey, values).astype(int)
    assert (found[:, :3, 0] > found[:, :3, 2]).all()
    assert (found[:, 7:, 2] > found[:, 7:, 0]).all()
    assert (found[:, 3:7] == 120).all()
    assert (overlay(grey, np.zeros_like(values)) == 120).all()


def test_a_longer_bar_has_more_ink() -> None:
    low, high = (bars({"mel": value, "nv": 0.0}) for value in (0.1, 0.9))
    assert (high < 100).any(axis=2).sum() > (low < 100).any(axis=2).sum()
