"""From a cohort to a pool of translated images, and what the two drawing commands say of each other's runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.journeys.commands import dermsynth, one_line


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split cohort, a run that translates and its pool, made by commands."""
    folder = tmp_path_factory.mktemp("translating")
    dermsynth("ingest", "phantom", "--size", "32", "--set", "counts={mel: 30, nv: 60}", "--out", "cohort", cwd=folder)
    dermsynth("split", "cohort", "--val", "0.25", "--test", "0.25", cwd=folder)
    settings = ["--set", "source=nv", "--set", "target=[mel]", "--set", "width=1", "--set", "blocks=0"]
    train = ["train", "cyclegan", "cohort", "--kimg", "0.004", "--set", "snapshots=1", "--threads", "1"]
    assert "dermsynth translate run" in dermsynth(*train, *settings, "--out", "run", cwd=folder).stdout
    dermsynth("translate", "run", "cohort", "--threads", "1", "--out", "pool", cwd=folder)
    return folder


def test_the_pool_has_a_melanoma_for_every_training_nevus(work: Path) -> None:
    split = pl.read_parquet(work / "cohort" / "split.parquet").filter(pl.col("split") == "train")
    train = pl.read_parquet(work / "cohort" / "cohort.parquet").join(split, on="image_id")
    pool = pl.read_parquet(work / "pool" / "cohort.parquet")
    assert set(pool["translated_from"]) == set(train.filter(pl.col("label") == "nv")["image_id"])
    assert set(pool["label"]) == {"mel"}


def test_the_pool_trains_a_classifier(work: Path) -> None:
    short = ["--fill-to", "20", "--kimg", "0.1", "--set", "width=2", "--threads", "1"]
    dermsynth("fit", "small-cnn", "cohort", "--arm", "hybrid", "--pool", "pool", *short, "--out", "fit", cwd=work)
    assert (work / "fit" / "predictions.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "run", "--per-class", "mel=1", "--out", "x"], "use 'dermsynth translate run COHORT --out POOL'"),
        (["translate", "cohort", "cohort", "--out", "x"], "cohort: is a cohort, expected a run"),
        (["translate", "run", "run", "--out", "x"], "run: is a run, expected a cohort"),
        (["translate", "run", "cohort", "--out", "pool"], "already exists; choose another --out, or --force"),
        (["translate", "run", "cohort", "--count", "500", "--out", "x"], "cannot translate 500 images"),
        (["translate", "run", "cohort", "--label", "nv", "--out", "x"], "label 'nv' is no target class of it"),
        (["train", "cyclegan", "cohort", "--out", "x"], "say what becomes what, for example --set source=mel"),
        (
            ["train", "cyclegan", "cohort", "--set", "source=nv", "--set", "target=mle", "--out", "x"],
            "unknown class 'mle'; did you mean 'mel'?",
        ),
    ],
)
def test_an_error_says_what_to_do(work: Path, arguments: list[str], message: str) -> None:
    assert message in one_line(dermsynth(*arguments, cwd=work, code=2).stderr)
    assert not (work / "x").exists()
