"""What a protocol says of labels and pixels reaches the cohort, and names its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dermsynth.cohorts.cohort import Cohort
from dermsynth.trials.jobs import Job
from dermsynth.trials.plan import plan
from dermsynth.trials.protocol import Protocol

COHORT: dict[str, Any] = {
    "source": {"kind": "phantom", "counts": {"bkl": 12, "mel": 12, "nv": 12}},
    "size_px": 16,
    "split": {"val": 0.25, "test": 0.25},
}


def jobs_of(arms: tuple[str, ...] = ("real", "oversampled", "hybrid"), **changes: Any) -> list[Job]:
    generator = {"settings": {"width": 2, "batch_size": 8}}
    cohort = {**COHORT, **changes}
    return plan(Protocol(name="x", fill_to=15, arms=arms, cohort=cohort, generator=generator))[0]  # type: ignore[arg-type]


def made(job: Job, out: Path, **inputs: Path) -> Cohort:
    job.work(job.config, inputs, out)
    return Cohort.open(out)


def test_the_usual_settings_are_not_in_the_name_of_a_job() -> None:
    config = jobs_of()[0].config
    assert not {"labels", "label_map", "preprocessing"} & config.keys()
    assert jobs_of(preprocessing=["resize"], labels=None)[0].folder == jobs_of()[0].folder


def test_labels_and_preprocessing_reach_the_cohort(tmp_path: Path) -> None:
    plain = made(jobs_of()[0], tmp_path / "plain")
    job = jobs_of(labels="benign-malignant", preprocessing=[{"step": "gamma", "gamma": 2.0}])[0]
    cohort = made(job, tmp_path / "out")
    assert cohort.counts() == {"benign": 24, "malignant": 12}
    expected = np.round(255 * (plain.images[:] / 255) ** 0.5).astype(np.uint8)
    assert np.array_equal(cohort.images[:], expected)


def test_a_map_that_changes_and_keeps_its_name_is_another_job(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    names = []
    for classes in ("{bkl: a, mel: b, nv: a}", "{bkl: a, mel: b, nv: b}"):
        path.write_text(f"meaning: mine\nlabels: {classes}\n")
        names.append(jobs_of(labels=str(path))[0].folder)
    assert names[0] != names[1]


def test_the_oracle_is_preprocessed_like_the_cohort(tmp_path: Path) -> None:
    jobs = jobs_of(("real", "oversampled", "oracle", "hybrid"), preprocessing=["gamma"])
    made(jobs[0], tmp_path / "cohort")
    oracle = made(next(job for job in jobs if job.kind == "oracle"), tmp_path / "oracle", cohort=tmp_path / "cohort")
    assert oracle.card["config"]["preprocessing"][0]["step"] == "gamma"


@pytest.mark.parametrize(
    ("arms", "labels", "message"),
    [
        (("real", "oversampled", "hybrid"), "benign-malign", "no label map 'benign-malign'; did you mean 'benign-m"),
        (("oracle", "oversampled", "hybrid"), "ham10000", "arm 'oracle' draws the phantom's own classes; remove it or"),
    ],
)
def test_labels_that_cannot_work_are_refused(arms: tuple[str, ...], labels: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        jobs_of(arms, labels=labels)
