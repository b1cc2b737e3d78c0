"""Asking a finished fit: that it sees photos as its cohort did, what it answers, and what it refuses."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from tests.classifiers.asked import CHAIN, fitted, saved
from tests.classifiers.discs import CLASSES, TEST, cohort

from dermsynth.classifiers.apply import NOTICE, Answers, predict
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.decode import decode
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.join import join
from dermsynth.cohorts.preprocess import apply, chain_of
from dermsynth.cohorts.sources import source_config
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, InputError

CHAIN_WORDS = ["gamma:gamma=1.2", "resize"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fit, its parts, and photos of several kinds."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("asked")
    fitted(folder)
    (folder / "photos" / "deep").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, mode in (("a.jpg", "RGB"), ("deep/b.png", "L"), ("deep/c.png", "RGBA"), ("d.tif", "CMYK")):
        pixels = generator.integers(60, 200, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / "photos" / name)
    return folder


def answers(work: Path, *images: Path, **settings: object) -> Answers:
    return predict(work / "fit", images, threads=1, **settings)  # type: ignore[arg-type]


def test_a_cohort_gets_the_probabilities_that_the_fit_itself_wrote(work: Path) -> None:
    found = answers(work, work / "test")
    expected = read_predictions(work / "fit", "test")
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.table["predicted"].to_list() == [CLASSES[one] for one in expected.predicted]
    assert found.table["label"].to_list() == TEST.table["label"].to_list()


def test_photos_go_through_the_preprocessing_of_the_fits_cohort(work: Path) -> None:
    files = sorted(path for path in (work / "photos").rglob("*") if path.is_file())
    found = answers(work, *files)
    chain = chain_of(CHAIN_WORDS)
    pixels = np.stack([apply(chain, decode(file.read_bytes(), file.name), None, 32)[0] for file in files])
    same = saved(Cohort.in_memory(TEST.table.head(len(files)), pixels, CLASSES), work / "squares")
    np.testing.assert_array_equal(found.probabilities, answers(work, same.path or Path()).probabilities)
    assert found.table["image_id"].to_list() == [str(file) for file in files]


def test_photos_are_turned_as_their_exif_says(work: Path, tmp_path: Path) -> None:
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[:30] = (250, 40, 40)
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "turned.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "upright.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    found = answers(work, *(tmp_path / f"{name}.png" for name in ("turned", "upright", "plain"))).probabilities
    np.testing.assert_array_equal(found[1], found[2])
    assert np.abs(found[0] - found[2]).max() > 0


def test_a_folder_a_zip_and_files_are_the_same_photos(work: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for path in sorted((work / "photos").rglob("*.*")):
            file.write(path, path.relative_to(work / "photos"))
    folder, packed = answers(work, work / "photos"), answers(work, tmp_path / "photos.zip")
    assert len(folder.table) == 4
    np.testing.assert_array_equal(folder.probabilities, packed.probabilities)
    twice = answers(work, work / "photos", work / "photos" / "a.jpg")
    assert twice.table["image_id"].to_list() == folder.table["image_id"].to_list()


def test_threads_do_not_change_answers(work: Path) -> None:
    one = predict(work / "fit", [work / "photos"], threads=1).table
    assert one.equals(predict(work / "fit", [work / "photos"], threads=3).table)


def test_classes_are_called_from_the_thresholds_that_val_chose(work: Path) -> None:
    found = answers(work, work / "val").table
    points = read_card(work / "fit", "fit")["operating_points"]["classes"]
    for name in CLASSES:
        for reached in ("specificity", "sensitivity"):
            called = found[f"called_{reached}"].list.contains(name)
            expected = points[name][reached]
            positive = found["label"] == name
            assert called.filter(positive).mean() == pytest.approx(expected["sensitivity"])
            assert 1 - called.filter(~positive).mean() == pytest.approx(expected["specificity"])


def test_about_one_validation_image_in_a_hundred_is_unusual_and_other_things_are(work: Path, tmp_path: Path) -> None:
    usual = answers(work, work / "val").table
    assert usual["unusual"].sum() == 1  # of 45: the percentile lies between the two furthest
    noise = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    odd = saved(Cohort.in_memory(TEST.table.head(10), noise, CLASSES), tmp_path / "noise")
    found = answers(work, odd.path or Path()).table
    assert found["unusual"].all()
    assert (found["unusual"] == (found["distance"] > 1)).all()


def test_the_file_of_any_kind_holds_the_same_answers(work: Path, tmp_path: Path) -> None:
    found = answers(work, work / "photos")
    for name in ("a.parquet", "a.csv", "a.json"):
        found.write(tmp_path / name)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(found.table)
    listed = pl.read_csv(tmp_path / "a.csv")
    assert listed["predicted"].to_list() == found.table["predicted"].to_list()
    called = [text.split(";") if text else [] for text in listed["called_sensitivity"].fill_null("")]
    assert called == found.table["called_sensitivity"].to_list()
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["notice"] == NOTICE
    assert written["classifier"]["preprocessing"] == CHAIN
    assert [one["probabilities"]["mel"] for one in written["images"]] == pytest.approx(found.table["p_mel"].to_list())


def test_answers_about_a_cohort_with_a_split_can_be_scored(work: Path, tmp_path: Path) -> None:
    part = TEST.table.with_columns(split=pl.lit("test"))
    table = answers(work, work / "test").table.join(part.select("image_id", "split"), on="image_id")
    table.write_parquet(tmp_path / "answers.parquet")
    assert len(read_predictions(tmp_path / "answers.parquet")) == len(TEST)


def test_a_bad_image_is_named_and_the_rest_goes_on(work: Path, tmp_path: Path) -> None:
    good = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(good, "PNG")
    (tmp_path / "good.png").write_bytes(good.getvalue())
    (tmp_path / "cut.png").write_bytes(good.getvalue()[:60])
    (tmp_path / "empty.jpg").touch()
    found = answers(work, tmp_path)
    assert found.table["image_id"].to_list() == [f"{tmp_path}/good.png"]
    assert [one["image_id"] for one in found.bad] == [f"{tmp_path}/cut.png", f"{tmp_path}/empty.jpg"]
    assert found.bad[1]["reason"] == f"{tmp_path}/empty.jpg: is empty (0 bytes)"
    with pytest.raises(InputError, match=r"cut\.png: cannot be decoded .*--on-bad skip"):
        answers(work, tmp_path, on_bad="stop")
    (tmp_path / "good.png").unlink()
    with pytest.raises(InputError, match=r"not one of 2 images can be read; the first: .*cut\.png"):
        answers(work, tmp_path)


def test_a_path_that_is_nothing_to_ask_about_is_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jpg: no such file or folder"):
        answers(work, tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="holds no image"):
        answers(work, tmp_path)
    with pytest.raises(InputError, match="no image was named"):
        answers(work)
    with pytest.raises(InputError, match="is a cohort; give it alone"):
        answers(work, work / "test", work / "photos")
    with pytest.raises(ArtefactError, match="is a fit, expected a cohort"):
        answers(work, work / "fit")


def test_a_cohort_of_another_size_is_refused_and_of_other_steps_noted(
    work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = Cohort.in_memory(TEST.table, TEST.images[:][:, ::2, ::2], CLASSES)
    with pytest.raises(InputError, match=r"has images of 16 px, .* knows 32 px"):
        answers(work, saved(small, tmp_path / "small").path or Path())
    with caplog.at_level(logging.WARNING, "dermsynth"):
        answers(work, work / "test")
        assert not caplog.messages
        answers(work, saved(TEST, tmp_path / "otherwise", CHAIN[1:]).path or Path())
    assert "was preprocessed otherwise" in caplog.messages[0]


def test_photos_need_preprocessing_that_is_known_and_needs_no_mask(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    quick = {"budget_kimg": 0.02, "evaluations": 1}
    for name, chain, message in (
        ("unknown", None, "does not say how the photos of its cohort were preprocessed"),
        ("cropped", [{"step": "lesion-crop", "margin": 0.2}, *CHAIN], "learnt from photos that were cut to the lesion"),
    ):
        fit = fitted(tmp_path / name, chain, **quick)
        with pytest.raises(InputError, match=message):
            predict(fit, [tmp_path / "a.png"])
        assert len(predict(fit, [tmp_path / name / "test"]).table) == len(TEST)


def test_a_cohort_joined_of_one_kind_of_preprocessing_still_says_which(tmp_path: Path) -> None:
    parts = [saved(cohort(name, (2, 2, 2)), tmp_path / name) for name in ("one", "two")]
    parts.append(saved(cohort("other", (2, 2, 2)), tmp_path / "other", CHAIN[1:]))
    paths = [part.path or Path() for part in parts]
    assert join(paths[:2], tmp_path / "same").card["config"] == {"preprocessing": CHAIN}
    assert "config" not in join(paths, tmp_path / "mixed").card


def test_a_fit_remembers_the_preprocessing_of_an_ingested_cohort(work: Path, tmp_path: Path) -> None:
    for name in ("mel", "nv"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(tmp_path / "raw" / name / f"{name}.png")
    source = source_config("folder", {"root": str(tmp_path / "raw")})
    made = ingest(source, 16, tmp_path / "cohort", preprocessing=chain_of(CHAIN_WORDS), threads=1)
    assert made.card["config"]["preprocessing"] == CHAIN == read_card(work / "fit", "fit")["preprocessing"]


def test_what_is_no_finished_fit_is_refused(work: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such folder; expected a dermsynth fit"):
        predict(tmp_path / "gone", [work / "photos"])
    with pytest.raises(ArtefactError, match="is a cohort, expected a fit"):
        predict(work / "test", [work / "photos"])


def test_a_file_that_exists_or_of_another_kind_is_not_written(work: Path, tmp_path: Path) -> None:
    found = answers(work, work / "photos")
    with pytest.raises(InputError, match=r"ends in '.txt'; answers are written as .parquet, .csv, .json"):
        found.write(tmp_path / "a.txt")
    found.write(tmp_path / "a.csv")
    with pytest.raises(ArtefactError, match="already exists"):
        found.write(tmp_path / "a.csv")
    found.write(tmp_path / "a.csv", force=True)
