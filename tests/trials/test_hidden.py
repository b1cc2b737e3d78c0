"""The cohort without its test part: what is left of it, and that no other job reads the whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.helpers import saved_cohort
from tests.trials.test_synthesis import TRANSLATING, protocol

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.split import SplitConfig, split
from dermsynth.trials.hidden import BLANK, hide_test, without_test
from dermsynth.trials.jobs import with_inputs
from dermsynth.trials.loading import load_protocol
from dermsynth.trials.plan import plan
from dermsynth.trials.work import make_cohort


@pytest.fixture
def both(tmp_path: Path) -> tuple[Cohort, Cohort]:
    saved_cohort(tmp_path / "whole", split=False)
    whole = split(tmp_path / "whole", SplitConfig(val=0.25, test=0.35))
    hide_test({}, {"cohort": tmp_path / "whole"}, tmp_path / "hidden")
    return whole, Cohort.open(tmp_path / "hidden")


def test_no_test_image_lesion_or_pixel_is_left(both: tuple[Cohort, Cohort]) -> None:
    whole, hidden = both
    test = whole.part("test").table
    for column in ("image_id", "lesion_id", "sha256"):
        assert not set(test[column]) & set(hidden.table[column])
    assert hidden.part("test").table["image_id"].str.starts_with(BLANK).all()
    assert not hidden.part("test").images[np.arange(len(hidden.classes))].any()


def test_train_and_val_are_as_they_were(both: tuple[Cohort, Cohort]) -> None:
    whole, hidden = both
    assert hidden.classes == whole.classes
    for name in ("train", "val"):
        here, there = hidden.part(name), whole.part(name)
        assert here.table.equals(there.table)
        assert np.array_equal(here.images[np.arange(len(here))], there.images[np.arange(len(there))])


def test_a_leaky_split_stays_marked(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "a", split=False)
    assert cohort.path is not None
    table = cohort.table.with_columns(lesion_id=pl.concat_str(pl.lit("l"), pl.int_range(pl.len()) // 2))
    Cohort.in_memory(table, cohort.images[np.arange(len(cohort))], cohort.classes).save(tmp_path / "pairs")
    leaky = split(tmp_path / "pairs", SplitConfig(scheme="image", val=0.25, test=0.35)).leaky
    hide_test({}, {"cohort": tmp_path / "pairs"}, tmp_path / "hidden")
    assert leaky
    assert Cohort.open(tmp_path / "hidden").leaky == leaky


def test_every_job_but_one_reads_the_hidden_cohort() -> None:
    jobs = with_inputs(without_test(plan(load_protocol("demo"))[0]))
    readers = [job.kind for job in jobs for source in job.inputs.values() if source.kind == "cohort"]
    assert readers == ["hidden"]
    assert {"run", "pool", "fit", "oracle"} <= {job.kind for job in jobs}
    assert all("hidden" in {s.kind for s in job.inputs.values()} for job in jobs if job.kind in ("run", "pool", "fit"))


def test_jobs_that_were_shared_still_are_and_none_is_mistaken_for_one_of_a_trial() -> None:
    before = plan(load_protocol("demo"))[0]
    after = without_test(before)
    assert len({job.folder for job in with_inputs(after)}) == len({job.folder for job in with_inputs(before)}) + 1
    assert not {job.folder for job in after if job.kind == "fit"} & {job.folder for job in before}


@pytest.mark.parametrize("way", [{"path_rank": {"keep": 0.5}}, {}], ids=["ranked", "translated"])
def test_no_job_of_a_translation_reads_the_whole_cohort(way: dict[str, Any]) -> None:
    jobs = with_inputs(without_test(plan(protocol(generator={**TRANSLATING, **way}))[0]))
    readers = {job.kind for job in jobs if any(source.work is make_cohort for source in job.inputs.values())}
    assert readers == {"hidden"}
    ranking = [job.inputs["cohort"].kind for job in jobs if job.title == "ranking classifier"]
    assert ranking == ["hidden"] * len(way)
