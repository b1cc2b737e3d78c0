"""A trial before it runs: jobs, counts, time and disk, without training."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dermsynth.core.errors import ArtefactError, ConfigError
from dermsynth.trials import estimates
from dermsynth.trials.estimates import Guess, Guesses, Known, check_disk
from dermsynth.trials.jobs import run_jobs, with_inputs
from dermsynth.trials.overview import overview
from dermsynth.trials.plan import plan
from dermsynth.trials.protocol import Protocol

DECLARED: dict[str, Any] = {
    "name": "planned",
    "repeats": 2,
    "fill_to": 40,
    "cohort": {"source": {"kind": "phantom", "counts": {"mel": 30, "nv": 60}}, "size_px": 16},
    "generator": {"settings": {"width": 2, "batch_size": 8}, "training": {"budget_kimg": 2}},
    "arms": ["real", "oversampled", "hybrid", "oracle"],
    "classifier": {"width": 2, "budget_kimg": 1},
}


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried: every job takes 10 s and 1 kB."""
    monkeypatch.setattr(Guesses, "of", lambda self, job: Guess(10.0, 1000, 500))


def declared(**values: Any) -> Protocol:
    return Protocol.model_validate({**DECLARED, **values})


def test_networks_are_tried_once_and_replicas_share_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    once = Guesses._once
    monkeypatch.setattr(
        Guesses, "_once", lambda self, key, trial: once(self, key, lambda: (tried.append(key[0]), trial())[1])
    )
    found = overview(declared(generator={**DECLARED["generator"], "replicas": 2}), workers=2)
    assert sorted(tried) == ["fit", "read", "run"]  # the phantom is read once for the cohort and the oracle
    assert found.untimed == 0
    assert {job.kind for job in found.jobs if not job.seconds} == set()
    runs = [job for job in found.jobs if job.kind == "run"]
    assert len(runs) == 2
    assert runs[0].seconds == runs[1].seconds


@pytest.mark.usefixtures("untried")
def test_jobs_are_those_of_the_trial_and_shared_ones_stand_once() -> None:
    found = overview(declared(), workers=1)
    planned = with_inputs(plan(declared())[0])
    assert [job.folder for job in found.jobs] == [job.folder for job in planned]
    assert {kind: many.jobs for kind, many in found.kinds.items()} == {
        "cohort": 1,
        "run": 1,
        "pool": 2,
        "fit": 8,
        "oracle": 2,
    }
    assert found.work_s == found.wall_s == 10.0 * len(planned)
    assert found.critical_s == 40.0  # cohort, run, pool, fit
    assert found.kept_bytes == 1000 * len(planned)


@pytest.mark.usefixtures("untried")
def test_what_is_done_is_not_planned_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as here:
        run_jobs(plan(declared())[0][:1], tmp_path, here)
    before, after = (overview(declared(), workers=1, jobs=jobs) for jobs in (None, tmp_path))
    assert [job.kind for job in after.jobs if job.done] == ["cohort"]
    assert after.work_s == before.work_s - 10.0
    assert after.counts == before.counts  # of the finished cohort, and of the source's tables
    assert after.arms == before.arms


@pytest.mark.usefixtures("untried")
def test_every_arm_has_its_counts() -> None:
    arms = ["real", "oversampled", {"arm": "hybrid", "name": "more", "add": {"mel": 50}}]
    found = overview(declared(arms=arms, treatment="more"), workers=1)
    train = found.counts["train"]
    assert found.arms["real"] == train
    assert found.arms["oversampled"] == {name: max(40, count) for name, count in train.items()}
    assert found.arms["more"] == {"mel": train["mel"] + 50, "nv": train["nv"]}


@pytest.mark.usefixtures("untried")
def test_an_arm_that_nothing_is_added_to_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="fill_to is 2, but the smallest class has"):
        overview(declared(fill_to=2), workers=1)


def test_images_that_do_not_fit_on_the_disk_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(("mel", "nv"), {"train": {"mel": 20, "nv": 40}})
    jobs = with_inputs(plan(declared(fill_to=1_000_040))[0])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(estimates.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    # Two pools and two draws of new images, of 2,000,020 images with 16 x 16 px each.
    with pytest.raises(ArtefactError, match=r"the trial's images need 7\.1 GB, and 1\.0 GB are free; free some space"):
        check_disk(jobs, known, tmp_path / "not there yet")
    check_disk(with_inputs(plan(declared())[0]), known, tmp_path)
