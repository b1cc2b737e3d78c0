"""`trial power` as a command: what it prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.helpers import saved_cohort
from tests.trials.earlier import SMALL, earlier_trial
from typer.testing import CliRunner

from dermsynth.cli import trials  # noqa: F401 - importing registers the command
from dermsynth.cli.app import app


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("power") / "cohort"
    saved_cohort(folder, counts=(120, 160, 320))
    return folder


def printed(*words: object) -> str:
    result = CliRunner().invoke(app, ["trial", "power", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_class_has_its_smallest_gain(cohort: Path) -> None:
    text = printed(cohort)
    assert text.startswith(
        "150 test lesions, 3 seeds, margin 2 points; noise assumed: arms disagree on 15 % of lesions"
    )
    rows = dict(re.findall(r"^(balanced accuracy|bkl|mel|nv) +(\d+) ", text, flags=re.MULTILINE))
    assert rows == {"balanced accuracy": "150", "bkl": "30", "mel": "40", "nv": "80"}
    assert re.search(r"^ +20 +[\d.]+ +[\d.]+ +[\d.]+$", text, flags=re.MULTILINE)
    assert "chance of 'equivalent' if there is no difference: 0 %" in text


def test_a_gain_that_no_class_could_make_is_none(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "tiny")
    assert re.search(r"^bkl +3 +none +none$", printed(tmp_path / "tiny"), flags=re.MULTILINE)


def test_less_noise_and_more_seeds_see_more(cohort: Path) -> None:
    def smallest(*words: object) -> float:
        found = re.search(r"^balanced accuracy +\d+ +([\d.]+)", printed(cohort, *words), flags=re.MULTILINE)
        assert found
        return float(found[1])

    assert smallest("--discordance", 0.15) < smallest("--discordance", 0.5)
    assert smallest("--seed-sd", 0.05) > smallest()
    assert smallest("--seed-sd", 0.05, "--seeds", 10) < smallest("--seed-sd", 0.05)


def test_noise_is_measured_or_assumed_but_not_both(cohort: Path) -> None:
    result = CliRunner().invoke(app, ["trial", "power", str(cohort), "--like", "earlier", "--seed-sd", "0.01"])
    assert result.exit_code == 2
    assert "--like earlier: the noise is measured there; leave out --discordance and --seed-sd" in result.stderr


def test_the_noise_of_an_earlier_trial_is_taken(tmp_path: Path) -> None:
    larger = {"source": {"kind": "phantom", "counts": {"mel": 400, "nv": 600}}, "size_px": 16}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({**SMALL, "cohort": larger}))
    text = printed(tmp_path / "plan.yaml", "--like", earlier_trial(tmp_path / "earlier"))
    assert f"4 seeds, margin 5 points; noise as in {tmp_path / 'earlier'}" in text
    smallest = dict(re.findall(r"^(mel|nv) +\d+ +([\d.]+)", text, flags=re.MULTILINE))
    assert float(smallest["nv"]) < float(smallest["mel"])  # nv is judged right more often, and has more lesions
