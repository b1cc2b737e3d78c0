"""The whole story verb by verb: ingest, split, train, sample, fit; and the errors on the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.journeys.commands import dermsynth, one_line

from dermsynth.cohorts.augment import ClassicalAugmentation


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split cohort, a run, a pool and a fit, made by commands."""
    folder = tmp_path_factory.mktemp("verbs")
    dermsynth("ingest", "phantom", "--size", "16", "--set", "counts={mel: 30, nv: 60}", "--out", "cohort", cwd=folder)
    dermsynth("split", "cohort", "--val", "0.25", "--test", "0.25", cwd=folder)
    settings = ["--set", "width=2", "--set", "batch_size=8"]
    dermsynth("train", "dcgan", "cohort", "--kimg", "0.2", *settings, "--out", "run", cwd=folder)
    dermsynth("sample", "run", "--per-class", "mel=40", "--out", "pool", cwd=folder)
    fit = ["fit", "small-cnn", "cohort", "--arm", "hybrid", "--pool", "pool", "--kimg", "0.2", "--set", "width=2"]
    dermsynth(*fit, "--out", "fit", cwd=folder)
    return folder


def test_the_fit_predicts_every_image_of_val_and_test(work: Path) -> None:
    cohort, split = (pl.read_parquet(work / "cohort" / f"{name}.parquet") for name in ("cohort", "split"))
    held_out = split.filter(pl.col("split") != "train")
    predictions = pl.read_parquet(work / "fit" / "predictions.parquet")
    assert set(predictions["image_id"]) == set(held_out["image_id"])
    assert {"lesion_id", "split", "label", "p_mel", "p_nv"} <= set(predictions.columns)
    assert cohort.height == 90


def test_a_policy_and_settings_over_it_reach_the_fit(work: Path) -> None:
    settings = ["--set", "hue_deg=3", "--set", "tta=2", "--set", "width=2"]
    fit = ["fit", "small-cnn", "cohort", "--arm", "classical", "--augment", "papers", "--kimg", "0.1", *settings]
    dermsynth(*fit, "--out", "altered", cwd=work)
    card = json.loads((work / "altered" / "card.json").read_text(encoding="utf-8"))
    assert card["augmentation"] == ClassicalAugmentation(policy="papers", hue_deg=3).canonical()
    assert card["config"]["tta"] == 2


def test_fill_to_draws_what_the_train_part_lacks(work: Path) -> None:
    dermsynth("sample", "run", "--fill-to", "20", "--out", "filled", cwd=work)
    split = pl.read_parquet(work / "cohort" / "split.parquet").filter(pl.col("split") == "train")
    train = pl.read_parquet(work / "cohort" / "cohort.parquet").join(split, on="image_id")
    lacking = sum(max(0, 20 - train.filter(pl.col("label") == name).height) for name in ("mel", "nv"))
    assert pl.read_parquet(work / "filled" / "cohort.parquet").height == lacking > 0


def test_an_output_that_exists_is_refused_before_any_work(work: Path) -> None:
    for arguments in (
        ["ingest", "phantom", "--out", "cohort"],
        ["train", "dcgan", "cohort", "--out", "run"],
        ["sample", "run", "--per-class", "mel=1", "--out", "pool"],
        ["fit", "small-cnn", "cohort", "--out", "fit"],
    ):
        error = one_line(dermsynth(*arguments, cwd=work, code=2).stderr)
        assert error.startswith("error: ")
        assert "already exists; choose another --out, or --force" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "dcgna", "cohort", "--out", "x"], "unknown algorithm 'dcgna'; did you mean 'dcgan'?"),
        (["train", "dcgan", "cohort", "--out", "x", "--set", "widht=3"], "unknown key 'widht'; did you mean 'width'?"),
        (["train", "dcgan", "cohort", "--out", "x", "--set", "width"], "--set width: expected KEY=VALUE"),
        (["train", "dcgan", "nowhere", "--out", "x"], "nowhere: no such folder; expected a dermsynth cohort"),
        (["train", "dcgan", "run", "--out", "x"], "run: is a run, expected a cohort"),
        (["sample", "cohort", "--per-class", "mel=1", "--out", "x"], "cohort: is a cohort, expected a run"),
        (["sample", "run", "--per-class", "mle=1", "--out", "x"], "unknown class 'mle'; did you mean 'mel'?"),
        (["sample", "run", "--per-class", "mel", "--out", "x"], "'mel' should be CLASS=NUMBER"),
        (["sample", "run", "--out", "x"], "say how many images with one of --per-class, --fill-to, --balance"),
        (["fit", "small-cnn", "cohort", "--arm", "hybird", "--out", "x"], "did you mean 'hybrid'?"),
        (["fit", "small-cnn", "cohort", "--arm", "hybrid", "--out", "x"], "'dermsynth sample' with --pool"),
        (["fit", "small-cnn", "cohort", "--pool", "pool", "--out", "x"], "--pool pool: arm 'real' adds no pool"),
        (["fit", "small-cnn", "cohort", "--set", "model=resnet", "--out", "x"], "use the argument MODEL"),
        (
            ["fit", "small-cnn", "cohort", "--augment", "papers", "--out", "x"],
            "--arm real: alters no image; leave out --augment",
        ),
        (["fit", "small-cnn", "cohort", "--arm", "classical", "--augment", "paper", "--out", "x"], "mean 'papers'?"),
        (["fit", "small-cnn", "cohort", "--arm", "classical", "--set", "policy=papers", "--out", "x"], "use --augment"),
        (["fit", "small-cnn", "cohort", "--set", "budget_kimg=1", "--out", "x"], "use --kimg"),
        (["train", "dcgan", "cohort", "--set", "seed=1", "--out", "x"], "--set seed=1: use --seed"),
        (["train", "dcgan", "cohort", "--set", "budget_kimg=1", "--out", "x"], "use --kimg"),
        (["ingest", "phantom", "--set", "seed=1", "--out", "x"], "--set seed=1: use --seed"),
        (["ingest", "phantom", "--root", "cohort", "--out", "x"], "reads no files; leave --root out"),
        (["ingest", "folder", "--set", "root=cohort", "--out", "x"], "use --root"),
        (["ingest", "folder", "--out", "x"], "give the folder of the raw files with --root"),
        (["sample", "run", "--per-class", "mel=1,mel=2", "--out", "x"], "class 'mel' stands twice; keep one"),
        (["fit", "smal-cnn", "cohort", "--out", "x"], "did you mean 'small-cnn'?"),
        (["ingest", "fantom", "--out", "x"], "unknown source 'fantom'; did you mean 'phantom'?"),
        (["split", "cohort"], "cohort: is split already; --force to split it again"),
        (["trial", "run", "nothing.yaml", "--out", "x"], "nothing.yaml: no such file"),
        (["trial", "run", "dmeo", "--out", "x"], "no preset 'dmeo'; did you mean 'demo'?"),
        (["trial", "report", "run"], "run: is a run, expected a trial"),
    ],
)
def test_a_mistake_is_one_line_with_what_to_do(work: Path, arguments: list[str], message: str) -> None:
    error = one_line(dermsynth(*arguments, cwd=work, code=2).stderr)
    assert message in error
    assert not (work / "x").exists()


@pytest.mark.parametrize("out", ["afile/x", "/proc/x"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "phantom", "--size", "16", "--set", "counts={mel: 9, nv: 9}"],
        ["train", "dcgan", "cohort", "--kimg", "0.2", "--set", "width=2", "--set", "batch_size=8"],
        ["sample", "run", "--per-class", "mel=1"],
        ["fit", "small-cnn", "cohort", "--set", "width=2"],
        ["demo"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_place_where_nothing_can_be_made_is_one_line(work: Path, arguments: list[str], out: str) -> None:
    (work / "afile").touch()
    error = one_line(dermsynth(*arguments, "--out", out, cwd=work, code=2).stderr)
    assert f"{out}: cannot be written there (" in error


def test_fill_to_starts_at_one(work: Path) -> None:
    error = dermsynth("fit", "small-cnn", "cohort", "--fill-to", "0", "--out", "x", cwd=work, code=2).stderr
    assert "Invalid value for '--fill-to'" in error


def test_a_size_that_the_network_cannot_make_is_refused(work: Path) -> None:
    dermsynth("ingest", "phantom", "--size", "20", "--set", "counts={mel: 9, nv: 9}", "--out", "odd", cwd=work)
    dermsynth("split", "odd", "--val", "0.3", "--test", "0.3", cwd=work)
    error = one_line(dermsynth("train", "dcgan", "odd", "--out", "x", cwd=work, code=2).stderr)
    assert "makes 16, 32, 64, 128, … px, not 20" in error


def test_a_pool_whose_generator_saw_the_test_set_is_refused(work: Path) -> None:
    shutil.copytree(work / "cohort", work / "other")
    dermsynth("split", "other", "--val", "0.25", "--test", "0.25", "--seed", "7", "--force", cwd=work)
    arguments = ["fit", "small-cnn", "other", "--arm", "hybrid", "--pool", "pool", "--out", "x"]
    error = one_line(dermsynth(*arguments, cwd=work, code=2).stderr)
    assert "its generator saw lesion_id" in error


def test_debug_shows_the_traceback(work: Path) -> None:
    result = dermsynth("--debug", "train", "dcgan", "nowhere", "--out", "x", cwd=work, code=2)
    assert "Traceback" in result.stderr


def test_doctor_names_device_threads_and_versions(work: Path) -> None:
    printed = dermsynth("doctor", cwd=work).stdout
    assert all(word in printed for word in ("device", "precision", "threads", "torch", "images"))
