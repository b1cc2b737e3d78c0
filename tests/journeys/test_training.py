"""`dermsynth train` as a user works with it: try it dry, train, train further, translate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.journeys.commands import dermsynth, one_line

TINY = ["--set", "width=2", "--set", "batch_size=8"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split cohort and a finished run of two classes."""
    folder = tmp_path_factory.mktemp("training")
    dermsynth("ingest", "phantom", "--size", "16", "--set", "counts={mel: 90, nv: 180}", "--out", "cohort", cwd=folder)
    dermsynth("split", "cohort", "--val", "0.1", "--test", "0.1", cwd=folder)
    dermsynth("train", "dcgan", "cohort", "--kimg", "0.2", *TINY, "--out", "run", cwd=folder)
    return folder


def test_a_dry_run_says_what_a_run_takes_and_writes_nothing(work: Path) -> None:
    before = sorted(work.rglob("*"))
    said = dermsynth("train", "dcgan", "cohort", "--kimg", "100", *TINY, "--out", "dry", "--dry-run", cwd=work).stdout
    assert "dcgan, 100 kimg" in said
    for word in ("generator", "discriminator", "parameters", "12,500 of", "images/s", "MiB", "looks", "mel", "nv"):
        assert word in said
    assert sorted(work.rglob("*")) == before


def test_a_run_is_trained_further_on_one_class(work: Path) -> None:
    further = ["--from", "run", "--set", "classes=[mel]", "--set", "freeze=[discriminator.layers.0]"]
    dermsynth("train", "dcgan", "cohort", "--kimg", "0.1", *TINY, *further, "--out", "mel", cwd=work)
    card = json.loads((work / "mel" / "card.json").read_text())
    assert card["config"]["training"]["freeze"] == ["discriminator.layers.0"]
    assert list(card["train_counts"]) == ["mel"]
    error = one_line(dermsynth("sample", "mel", "--per-class", "nv=2", "--out", "pool", cwd=work, code=2).stderr)
    assert "nv" in error


def test_a_run_that_cannot_be_continued_says_what_differs(work: Path) -> None:
    from dermsynth.training.partial import PartialRun

    partial = work / "other.partial"
    partial.mkdir()
    PartialRun(partial).claim({"settings.width": 4}, force=False)
    error = one_line(
        dermsynth("train", "dcgan", "cohort", "--kimg", "0.1", *TINY, "--out", "other", cwd=work, code=2).stderr
    )
    assert "other settings" in error
    assert "settings.width 4 → 2" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log", "tensorbord"], "did you mean 'tensorboard'"),
        (["--set", "precision=tf32"], "precision tf32 needs an NVIDIA GPU"),
        (["--set", "accumulate=3"], "batch_size 8 cannot be divided by 3"),
        (["--set", "classes=[mell]"], "did you mean 'mel'"),
        (["--from", "cohort"], "cohort"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_a_slip_is_one_line_before_anything_is_trained(work: Path, arguments: list[str], said: str) -> None:
    error = one_line(
        dermsynth("train", "dcgan", "cohort", "--kimg", "0.1", *TINY, *arguments, "--out", "x", cwd=work, code=2).stderr
    )
    assert said in error
    assert not (work / "x").exists()
