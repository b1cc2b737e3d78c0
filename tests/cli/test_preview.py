"""`dermsynth preview augmentation`: a picture, or one line that says why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.helpers import saved_cohort
from typer.testing import CliRunner

import dermsynth.cli.preview  # noqa: F401 - importing registers the command
from dermsynth.cli.app import app


def preview(folder: Path, *arguments: str) -> tuple[int, str]:
    words = ["preview", "augmentation", str(folder / "cohort"), "--out", str(folder / "figure.png"), *arguments]
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved_cohort(tmp_path / "cohort")
    return tmp_path


def test_it_makes_a_picture_with_a_row_more_for_an_operation_more(folder: Path) -> None:
    heights = []
    for settings in ([], ["--set", "hue_deg=3", "--force"]):
        code, output = preview(folder, "--policy", "papers", "--label", "mel", *settings)
        assert (code, output) == (0, f"{folder / 'figure.png'}: policy papers\n")
        heights.append(Image.open(folder / "figure.png").height)
    assert heights[1] > heights[0]


def test_a_picture_that_exists_is_kept(folder: Path) -> None:
    (folder / "figure.png").write_bytes(b"mine")
    code, output = preview(folder)
    assert code == 2
    assert "already exists; choose another --out, or --force" in output
    assert (folder / "figure.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "strnog"], "did you mean 'strong'?"),
        (["--set", "rotation=3"], "did you mean 'rotation_deg'?"),
        (["--set", "policy=papers"], "use --policy"),
        (["--label", "mle"], "did you mean 'mel'?"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(folder: Path, arguments: list[str], message: str) -> None:
    code, output = preview(folder, *arguments)
    assert code == 2
    assert message in output
    assert output.count("\n") == 1
    assert not (folder / "figure.png").exists()
