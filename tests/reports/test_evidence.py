from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dermsynth.core.errors import ArtefactError, DermsynthError
from dermsynth.reports.evidence import read_trial


@pytest.fixture
def trial(finished_trial: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_trial, tmp_path / "trial"))


def change(path: Path, **values: Any) -> None:
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, **values}))


def refusal(trial: Path) -> str:
    with pytest.raises(DermsynthError) as caught:
        read_trial(trial)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_jobs_stand_in_the_order_in_which_data_passes(finished_trial: Path) -> None:
    roles = [job.role.split()[0] for job in read_trial(finished_trial).jobs]
    assert list(dict.fromkeys(roles)) == ["cohort", "oracle", "generator", "pool", "fit"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such folder"):
        read_trial(tmp_path / "absent")


@pytest.mark.parametrize("name", ["verdict.json", "index.json", "protocol.yaml"])
def test_a_missing_file_is_named(trial: Path, name: str) -> None:
    (trial / name).unlink()
    assert f"{name}: is missing" in refusal(trial)


@pytest.mark.parametrize("job", ["fit-hybrid-1", "run-11112222", "cohort-0a1b2c3d", "pool-00000002"])
def test_a_missing_job_is_named(trial: Path, job: str) -> None:
    shutil.rmtree(trial / "jobs" / job)
    assert f"{job}: no such folder" in refusal(trial)


def test_a_truncated_prediction_file_is_named(trial: Path) -> None:
    file = trial / "jobs" / "fit-real-0" / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:-10])
    assert "predictions.parquet: has" in refusal(trial)


def test_a_verdict_that_is_no_json_is_named(trial: Path) -> None:
    (trial / "verdict.json").write_text("{")
    assert "verdict.json: is no JSON" in refusal(trial)


def test_a_verdict_of_another_schema_is_refused(trial: Path) -> None:
    change(trial / "verdict.json", schema=7)
    assert "has schema 7" in refusal(trial)


def test_a_verdict_without_its_main_comparison_is_refused(trial: Path) -> None:
    change(trial / "verdict.json", comparisons=[])
    assert "does not compare 'hybrid' with 'oversampled'" in refusal(trial)


def test_an_arm_without_a_fit_is_named(trial: Path) -> None:
    fits = json.loads((trial / "index.json").read_text())["fits"]
    del fits["placebo"]["2"]
    change(trial / "index.json", fits=fits)
    assert "has no fit of arm 'placebo', seed 2" in refusal(trial)


def test_a_broken_history_is_named(trial: Path) -> None:
    history = trial / "jobs" / "run-11112222" / "history.jsonl"
    history.write_bytes(b"x" * history.stat().st_size)
    assert "history.jsonl: holds a line that is no JSON" in refusal(trial)
