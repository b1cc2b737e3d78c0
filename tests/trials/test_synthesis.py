"""Ways of making an arm's images as jobs: what depends on what, what is shared, and that each way gives a pool."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError, LeakageError
from dermsynth.trials.jobs import Job
from dermsynth.trials.judging import judge_folder
from dermsynth.trials.plan import check_against, plan
from dermsynth.trials.protocol import Protocol

TINY: dict[str, Any] = {
    "name": "tiny",
    "repeats": 1,
    "cohort": {
        "source": {"kind": "phantom", "counts": {"mel": 24, "nv": 36}},
        "size_px": 32,
        "split": {"val": 0.25, "test": 0.25},
    },
    "generator": {
        "settings": {"width": 2, "batch_size": 8},
        "training": {"budget_kimg": 0.05, "snapshots": 1, "held_out": 0},
    },
    "add": {"mel": 6},
    "arms": ["oversampled", "hybrid"],
    "classifier": {"budget_kimg": 0.1, "width": 2, "evaluations": 1},
    "endpoint": {"resamples": 100},
}
TRANSLATING = {
    "algorithm": "cyclegan",
    "settings": {"source": ["nv"], "target": ["mel"], "width": 2, "blocks": 1},
    "training": {"budget_kimg": 0.02, "snapshots": 1, "held_out": 0},
}


def protocol(**changes: Any) -> Protocol:
    return parse(Protocol, {**TINY, **changes}, "trial")


def generator(**changes: Any) -> dict[str, Any]:
    return {**TINY["generator"], **changes}


def run(jobs: Iterable[Job], root: Path) -> None:
    """Run jobs and what they need in this process."""
    for job in jobs:
        if not (root / job.folder).exists():
            run(job.inputs.values(), root)
            inputs = {name: root / source.folder for name, source in job.inputs.items()}
            job.work(job.config, inputs, root / job.folder)


def pool_of(tmp_path: Path, **changes: Any) -> Cohort:
    """Return the pool of the arm hybrid of a tiny trial."""
    jobs, index = plan(protocol(**changes))
    wanted = index["pools_of"]["hybrid"]["0"]
    (job,) = [job for job in jobs if f"jobs/{job.folder}" == wanted]
    run([job], tmp_path / "jobs")
    return Cohort.open(tmp_path / wanted)


def titles(protocol: Protocol, kind: str) -> list[str]:
    """Return the titles of all jobs of a kind, those that are inputs alone among them."""
    found: dict[str, Job] = {}

    def visit(job: Job) -> None:
        found[job.folder] = job
        for source in job.inputs.values():
            visit(source)

    for job in plan(protocol)[0]:
        visit(job)
    return sorted(job.title for job in found.values() if job.kind == kind)


@pytest.mark.parametrize(
    "made",
    [
        generator(per_class=True),
        generator(size_px=16),
        generator(altered_copies=1),
        generator(screens=["near-copy:share=0.1", "rank:keep=0.9"], drawn=4),
        {**TRANSLATING, "path_rank": {"keep": 0.5, "classifier": TINY["classifier"]}},
        generator(size_px=16, refine={k: v for k, v in TRANSLATING.items() if k == "training"}
                  | {"settings": {"width": 2, "blocks": 1}}),
    ],
    ids=["per class", "smaller", "altered copies", "screened", "translated", "refined"],
)  # fmt: skip
def test_each_way_gives_a_pool_of_the_cohorts_size_with_enough_images(tmp_path: Path, made: dict[str, Any]) -> None:
    pool = pool_of(tmp_path, generator=made)
    assert pool.size_px == 32
    assert pool.counts()["mel"] >= 6
    assert set(pool.table["origin"]) == {"synthetic"}


def test_arms_of_one_translation_share_it_and_its_ranking() -> None:
    grid = {"add.mel": [3, 6], "generator.path_rank.keep": [0.5, 1.0]}
    found = protocol(
        generator=TRANSLATING, arms=["oversampled", {"arm": "hybrid", "each": grid}], treatment="hybrid mel=3 keep=0.5"
    )
    assert len(titles(found, "run")) == 2  # one for each share, not for each amount
    assert titles(found, "fit").count("ranking classifier") == 1
    assert len(titles(found, "pool")) == 4


def test_adding_an_arm_leaves_all_other_jobs_as_they_are() -> None:
    before = {job.folder for job in plan(protocol())[0]}
    more = [*TINY["arms"], {"arm": "hybrid", "name": "more", "add": {"mel": 9}}]
    after = {job.folder for job in plan(protocol(arms=more))[0]}
    assert before < after
    assert len(after - before) == 2  # its pool and its fit


def test_more_drawn_images_are_needed_where_screens_reject_too_many(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of 6 images of class 'mel' pass the screens, and 6 are needed; set gen"):
        pool_of(tmp_path, generator=generator(screens=["rank:keep=0.5"], drawn=1))


def test_more_translations_than_real_images_are_refused_before_training(tmp_path: Path) -> None:
    asked = protocol(generator=TRANSLATING, add={"mel": 400})
    jobs, index = plan(asked)
    run(jobs[:1], tmp_path / "jobs")
    with pytest.raises(ConfigError, match="takes 400 translated images, and the train part has 18 of nv to translate"):
        check_against(asked, Cohort.open(tmp_path / index["cohort"]))


def test_a_class_of_drawn_test_images_that_the_cohort_does_not_have_is_refused(tmp_path: Path) -> None:
    asked = protocol(tests={"mixed": {"synthetic": {"mell": 3}}})
    jobs, index = plan(asked)
    run(jobs[:1], tmp_path / "jobs")
    with pytest.raises(ConfigError, match=r"tests.mixed.synthetic: unknown class 'mell'; did you mean 'mel'\?"):
        check_against(asked, Cohort.open(tmp_path / index["cohort"]))


def test_a_subgroup_that_the_cohort_does_not_have_is_refused(tmp_path: Path) -> None:
    asked = protocol(subgroups=["sexx"])
    jobs, index = plan(asked)
    run(jobs[:1], tmp_path / "jobs")
    with pytest.raises(ConfigError, match="subgroups: the cohort has no column 'sexx'"):
        check_against(asked, Cohort.open(tmp_path / index["cohort"]))


def test_a_trial_with_all_looks_is_judged_from_its_folders(tmp_path: Path) -> None:
    asked = protocol(
        repeats=2,
        arms=["real", "oversampled", "hybrid", {"arm": "hybrid", "name": "twice", "add": {"mel": 12}}],
        treatment={"best_on_val": ["hybrid", "twice"]},
        classifiers={"wider": {**TINY["classifier"], "width": 3}, "D": {**TINY["classifier"], "width": None,
                     "model": "discriminator:generator"}},
        tests={
            "new": {"source": {"kind": "phantom", "counts": {"mel": 9, "nv": 9}, "seed": 5, "first_lesion": 5000}},
            "mixed": {"synthetic": {"mel": 4}},
        },
    )  # fmt: skip
    jobs, index = plan(asked)
    run(jobs, tmp_path / "jobs")
    found = judge_folder(asked, tmp_path, index)
    assert found.chosen is not None
    assert found.treatment == max(found.chosen.among, key=found.chosen.among.__getitem__)
    assert {(look.kind, look.name) for look in found.looks} == {
        ("classifier", "wider"),
        ("classifier", "D"),
        *(("test", name) for name in ("new", "new, wider", "new, D")),
        *(("published", name) for name in ("mixed", "mixed, wider", "mixed, D")),
    }
    published = next(look for look in found.looks if look.name == "mixed")
    assert published.images == found.test.images + 4
    assert "synthetic images in the treatment's test" in found.sentence
    assert judge_folder(asked, tmp_path, index).to_json() == found.to_json()


def test_images_from_elsewhere_that_the_cohort_shows_are_refused(tmp_path: Path) -> None:
    again = {"kind": "phantom", "counts": {"mel": 24, "nv": 36}}
    jobs, index = plan(protocol(tests={"again": {"source": again}}))
    (external,) = [job for job in jobs if f"jobs/{job.folder}" == index["test_images"]["again"]["0"]]
    with pytest.raises(LeakageError, match="lesion_id"):
        run([external], tmp_path / "jobs")


def test_altered_copies_are_in_train_alone_and_bear_their_lesion(tmp_path: Path) -> None:
    jobs, _ = plan(protocol(generator=generator(altered_copies=2)))
    (trained,) = [job for job in jobs if job.kind == "run"]
    altered = trained.inputs["cohort"]
    run([altered], tmp_path / "jobs")
    cohort = Cohort.open(tmp_path / "jobs" / altered.folder)
    copies = cohort.table.filter(pl.col("image_id").str.contains("~"))
    originals = cohort.table.filter(~pl.col("image_id").str.contains("~"))
    assert set(copies["split"]) == {"train"}
    assert copies.height == 2 * originals.filter(split="train").height
    lesions = dict(originals.select("image_id", "lesion_id").iter_rows())
    assert all(lesions[name.split("~")[0]] == lesion for name, lesion in copies["image_id", "lesion_id"].iter_rows())
    assert copies["sha256"].n_unique() == copies.height


def test_a_setting_of_sampling_trains_nothing_again(tmp_path: Path) -> None:
    flow = {
        "algorithm": "rectified-flow",
        "settings": {"width": 4, "batch_size": 8},
        "training": TINY["generator"]["training"],
    }
    quick = {**flow, "settings": {**flow["settings"], "sampling_steps": 4}}
    jobs = {name: plan(protocol(generator=made)) for name, made in (("usual", flow), ("quick", quick))}
    runs, pools = ([index[kind] for _, index in jobs.values()] for kind in ("runs", "pools"))
    assert runs[0] == runs[1]
    assert pools[0] != pools[1]
    pool = pool_of(tmp_path, generator=quick)
    assert pool.card["config"]["settings"] == {"sampling_steps": 4}
