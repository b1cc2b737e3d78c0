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
from dermsynth.reports.measures import measures_table


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
    assert list(found) == ["encoder", "dimensions", "n", "ms_ssim", "measures", "classes", "left_out", "memorisation"]
    assert "60 images of each kind (synthetic, train, held out), 236 features of handmade-1, scaled" in output
    for group in ("fidelity", "coverage", "diversity", "classes", "memorisation"):
        assert f"\n{group}: " in output
    (line,) = [line for line in output.splitlines() if line.startswith("  Frechet distance")]
    one = found["measures"]["frechet"]
    assert line.split()[2:4] == [f"{one['value']:.3g}", f"{one['floor']:.3g}"]
    (line,) = [line for line in output.splitlines() if line.startswith("  … at infinitely many")]
    assert line.split()[4:] == ["–", "–", "needs", "more", "than", "236", "images"]
    assert max(map(len, output.splitlines())) <= 120
    assert run("measure", folder / "cohort", folder / "pool", "--out", out)[0] == 2


def test_only_the_features_of_inception_make_a_fid() -> None:
    one = {"value": 12345.6, "floor": 1.0}
    found = {
        "encoder": "inception-2015-12-05",
        "dimensions": 2048,
        "n": 40,
        "ms_ssim": {"scales": 3},
        "measures": {"frechet": one},
        "classes": {},
        "memorisation": {
            "nearer_to_train": {"share": 0.5, "low": 0.4, "high": 0.6},
            "membership": {"auc": 0.5, "low": 0.4, "high": 0.6},
            "authenticity": {"value": 0.7, "floor": 0.7},
            "copying": None,
        },
    }
    assert any(line.split()[:3] == ["FID", "12,346", "1"] for line in measures_table(found))
    lines = measures_table({**found, "encoder": "inception@123456789012"})
    assert not any("FID" in line for line in lines)
    assert any("Frechet distance" in line for line in lines)


def test_classes_that_are_left_out_are_named_with_the_reason(folder: Path, tmp_path: Path) -> None:
    images, labels = lesions(60, 1)
    planted_pool(tmp_path / "pool", Cohort.open(folder / "cohort"), images[labels == 0], labels[labels == 0])
    code, output = run("measure", folder / "cohort", tmp_path / "pool", "--out", tmp_path / "found.json")
    assert code == 0, output
    assert "left out: nv: no synthetic image" in output


def test_an_encoder_that_is_not_there_is_one_line(folder: Path, tmp_path: Path) -> None:
    for choice, message in (
        ("inception:absent.pth", "absent.pth: no such file"),
        ("fit:absent", "absent: no such folder; expected a dermsynth fit"),
        ("absent", "absent: no such folder; give one that save_pretrained or a download made"),
    ):
        words = ["--encoder", choice, "--out", tmp_path / "found.json"]
        code, output = run("measure", folder / "cohort", folder / "pool", *words)
        assert (code, output.count("\n")) == (2, 1)
        assert message in output


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
