"""`screen`, `measure` and `preview nearest` on the command line: what they make and say, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from tests.pools.planted import lesions, planted_pool, real_cohort
from typer.testing import CliRunner

from dermsynth.cli import preview, screen  # noqa: F401 - importing registers the commands
from dermsynth.cli.app import app
from dermsynth.cohorts.cohort import Cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    cohort = real_cohort(folder / "cohort", 240)
    planted_pool(folder / "pool", cohort, *lesions(60, 1))
    return folder


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_a_screening_says_what_each_rule_kept_and_makes_a_page(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    words = ["--rule", "near-copy:share=0.05", "--rule", "k-centre", "--out", out]
    code, output = run("screen", folder / "pool", folder / "cohort", *words)
    assert code == 0, output
    assert "k-centre:keep=0.5: " in output
    kept = Cohort.open(out)
    assert f"{out}: {len(kept)} of 60 images" in output
    assert "screens.html" in kept.card["files"]
    assert len(kept) + pl.read_parquet(out / "rejected.parquet").height == 60


def test_measures_are_a_json_file_and_a_table(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "measures.json"
    code, output = run("measure", folder / "cohort", folder / "pool", "--out", out)
    assert code == 0, output
    found = json.loads(out.read_text())
    assert list(found) == ["encoder", "n", "measures", "classes", "left_out", "memorisation"]
    assert f"frechet          {found['measures']['frechet']['value']:>9.4g}" in output
    assert run("measure", folder / "cohort", folder / "pool", "--out", out)[0] == 2


def test_the_nearest_pairs_are_a_picture(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.png"
    code, output = run("preview", "nearest", folder / "cohort", folder / "pool", "--count", "3", "--out", out)
    assert code == 0, output
    assert output.startswith(f"{out}: 3 pairs, from ")
    assert Image.open(out).height > 3 * 62


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rule", "near-cpy"], "did you mean 'near-copy'?"),
        (["--rule", "rank:kep=0.5"], "unknown key 'kep'; did you mean 'keep'?"),
        (["--rule", "rank"], "needs 1 of --classifier, and 0 are given"),
        ([], "no rule to screen by"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(folder: Path, tmp_path: Path, words: list[str], message: str) -> None:
    code, output = run("screen", folder / "pool", folder / "cohort", *words, "--out", tmp_path / "kept")
    assert (code, output.count("\n")) == (2, 1)
    assert message in output
    assert not (tmp_path / "kept").exists()
