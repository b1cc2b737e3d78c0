"""The plan of a trial: which job depends on what, and what each hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.helpers import make_pool

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import read_card
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train
from dermsynth.trials import work
from dermsynth.trials.arms import ARMS, ENLARGES, missing
from dermsynth.trials.jobs import Job
from dermsynth.trials.plan import plan
from dermsynth.trials.protocol import Protocol

NEEDS = {
    "real": set(),
    "classical": set(),
    "oversampled": set(),
    "weighted": set(),
    "focal": set(),
    "logit-adjusted": set(),
    "hybrid": {"pool"},
    "placebo": {"pool"},
    "oracle": {"oracle"},
}
PROTOCOL: dict[str, Any] = {
    "name": "plan",
    "seed": 7,
    "repeats": 3,
    "cohort": {
        "source": {"kind": "phantom", "counts": {"bkl": 20, "mel": 24, "nv": 40}},
        "size_px": 16,
        "split": {"val": 0.25, "test": 0.25},
    },
    "generator": {"settings": {"width": 2, "batch_size": 8}, "replicas": 3},
    "fill_to": 15,
    "arms": list(ARMS),
}


def protocol(**changes: Any) -> Protocol:
    return Protocol(**{**PROTOCOL, **changes})


class Planned:
    """The jobs of a plan by what the index calls them."""

    def __init__(self, **changes: Any) -> None:
        self.jobs, self.index = plan(protocol(**changes))
        by_path = {f"jobs/{job.folder}": job for job in self.jobs}
        self.cohort = by_path[self.index["cohort"]]
        self.runs = [by_path[path] for path in self.index["runs"]]
        self.pools = {int(seed): by_path[path] for seed, path in self.index["pools"].items()}
        self.oracles = {int(seed): by_path[path] for seed, path in self.index["oracle"].items()}
        self.fits = {
            arm: {int(seed): by_path[path] for seed, path in by_seed.items()}
            for arm, by_seed in self.index["fits"].items()
        }

    def folders(self) -> dict[str, str]:
        """Return the folder of every job of the first repeat, by a short name."""
        seed = next(iter(self.pools))
        named: dict[str, Job] = {"cohort": self.cohort, "run": self.runs[0], "pool": self.pools[seed]}
        named |= {"new": self.oracles[seed], **{arm: by_seed[seed] for arm, by_seed in self.fits.items()}}
        return {name: job.folder for name, job in named.items()}


@pytest.fixture(scope="module")
def planned() -> Planned:
    return Planned()


@pytest.fixture(scope="module")
def made(planned: Planned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plan's cohort, in `cohort`."""
    folder = tmp_path_factory.mktemp("work")
    execute(planned.cohort, folder / "cohort")
    return folder


def execute(job: Job, out: Path, **inputs: Path) -> Cohort:
    job.work(job.config, inputs, out)
    return Cohort.open(out)


def test_every_repeat_draws_its_pool_and_fits_with_its_own_seed(planned: Planned) -> None:
    assert {seed: job.config["seed"] for seed, job in planned.pools.items()} == {7: 7, 8: 8, 9: 9}
    for by_seed in planned.fits.values():
        assert {seed: job.config["classifier"]["seed"] for seed, job in by_seed.items()} == {7: 7, 8: 8, 9: 9}


def test_replicas_of_the_generator_are_trained_from_different_seeds(planned: Planned) -> None:
    assert [job.config["training"]["seed"] for job in planned.runs] == [7, 8, 9]
    assert len({job.folder for job in planned.runs}) == 3


def test_repeats_take_the_generators_in_turn(planned: Planned) -> None:
    assert [job.inputs["run"].folder for job in planned.pools.values()] == [job.folder for job in planned.runs]


def test_repeats_of_one_generator_draw_different_pools_from_it() -> None:
    planned = Planned(generator={**PROTOCOL["generator"], "replicas": 1})
    assert {job.inputs["run"].folder for job in planned.pools.values()} == {planned.runs[0].folder}
    assert len({job.folder for job in planned.pools.values()}) == 3


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_gets_only_the_inputs_it_needs(planned: Planned, arm: str) -> None:
    for job in planned.fits[arm].values():
        assert set(job.inputs) == {"cohort"} | NEEDS[arm]


def test_an_arm_gets_what_was_drawn_for_its_repeat(planned: Planned) -> None:
    for seed in planned.pools:
        assert planned.fits["hybrid"][seed].inputs["pool"].folder == planned.pools[seed].folder
        assert planned.fits["placebo"][seed].inputs["pool"].folder == planned.pools[seed].folder
        assert planned.fits["oracle"][seed].inputs["oracle"].folder == planned.oracles[seed].folder


def test_no_two_jobs_share_a_folder(planned: Planned) -> None:
    # 1 cohort, 3 runs, 3 pools, 3 oracles and 9 arms x 3 seeds.
    assert len({job.folder for job in planned.jobs}) == len(planned.jobs) == 37


def test_the_cohort_comes_first(planned: Planned) -> None:
    assert planned.jobs[0] is planned.cohort


def test_arms_without_synthetic_images_train_no_generator() -> None:
    planned = Planned(arms=["real", "oversampled"], treatment="real", control="oversampled")
    assert [job.kind for job in planned.jobs] == ["cohort"] + ["fit"] * 6
    assert planned.index["runs"] == []
    assert planned.index["pools"] == planned.index["oracle"] == {}


SYNTHETIC = {"hybrid", "placebo"}
FITS = set(ARMS)


@pytest.mark.parametrize(
    ("change", "depends"),
    [
        ({"name": "other", "question": "why?"}, set()),
        ({"endpoint": {"smallest_difference": 0.1}}, set()),
        ({"treatment": "classical"}, set()),
        ({"augmentation": {"rotation_deg": 3.0}}, {"classical"}),
        ({"augmentation": "papers"}, {"classical"}),
        ({"classifier": {"budget_kimg": 1.0}}, FITS),
        ({"generator": {"settings": {"width": 4}, "replicas": 3}}, {"run", "pool", *SYNTHETIC}),
        ({"generator": {**PROTOCOL["generator"], "training": {"budget_kimg": 3.0}}}, {"run", "pool", *SYNTHETIC}),
        ({"cohort": {**PROTOCOL["cohort"], "split": {"val": 0.3}}}, {"cohort", "run", "pool", "new", *FITS}),
        ({"seed": 3}, {"cohort", "run", "pool", "new", *FITS}),
    ],
    ids=[
        "words",
        "endpoint",
        "treatment",
        "augmentation",
        "policy",
        "classifier",
        "generator",
        "training",
        "split",
        "seed",
    ],
)
def test_a_job_is_done_again_exactly_if_what_it_depends_on_has_changed(
    planned: Planned, change: dict[str, Any], depends: set[str]
) -> None:
    before, after = planned.folders(), Planned(**change).folders()
    assert {name for name in before if before[name] != after[name]} == depends


def test_fill_to_changes_what_is_drawn_and_the_arms_that_enlarge_but_no_generator(planned: Planned) -> None:
    before, after = planned.folders(), Planned(fill_to=16).folders()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"pool", "new", *ENLARGES}


def test_new_real_images_are_of_lesions_that_no_other_repeat_and_not_the_cohort_has(
    planned: Planned, made: Path
) -> None:
    drawn = [execute(job, made / f"oracle{seed}", cohort=made / "cohort") for seed, job in planned.oracles.items()]
    lesions = [set(cohort.table["lesion_id"]) for cohort in (Cohort.open(made / "cohort"), *drawn)]
    pixels = [set(cohort.table["sha256"]) for cohort in (Cohort.open(made / "cohort"), *drawn)]
    for sets in (lesions, pixels):
        assert len(set.union(*sets)) == sum(len(one) for one in sets)


def test_new_real_images_are_as_many_as_the_classes_lack(planned: Planned, made: Path) -> None:
    cohort = Cohort.open(made / "cohort")
    drawn = execute(planned.oracles[7], made / "oracle", cohort=made / "cohort")
    lacking = missing(cohort, 15)
    assert 0 in lacking.values()
    assert drawn.counts() == {name: max(1, count) for name, count in lacking.items()}
    assert drawn.classes == cohort.classes


def test_the_same_new_images_are_drawn_whatever_the_generator(planned: Planned) -> None:
    other = Planned(generator={"settings": {"width": 4}})
    assert [job.folder for job in planned.oracles.values()] == [job.folder for job in other.oracles.values()]


def test_a_pool_is_drawn_with_its_seed_and_has_what_the_classes_lack(planned: Planned, made: Path) -> None:
    cohort = Cohort.open(made / "cohort")
    config = TrainConfig(budget_kimg=0.02, snapshots=1, precision="fp32")
    run = train(cohort, Dcgan, DcganConfig(width=2, batch_size=8), config, made / "run")
    pools = [execute(planned.pools[seed], made / f"pool{seed}", cohort=made / "cohort", run=run) for seed in (7, 8)]
    assert [pool.table["seed"].unique().to_list() for pool in pools] == [[7], [8]]
    assert not set(pools[0].table["sha256"]) & set(pools[1].table["sha256"])
    assert all(pool.counts() == missing(cohort, 15) for pool in pools)


def test_a_cohort_appears_with_its_split_or_not_at_all(planned: Planned, tmp_path: Path) -> None:
    config = {**planned.cohort.config, "split": {**planned.cohort.config["split"], "val": 0.9, "test": 0.9}}
    with pytest.raises(ValueError, match=r"val|test|split"):
        work.make_cohort(config, {}, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_a_half_made_cohort_is_made_again(planned: Planned, made: Path, tmp_path: Path) -> None:
    (tmp_path / "cohort.partial").mkdir()
    (tmp_path / "cohort.partial" / "images.npy").write_bytes(b"half")
    again = execute(planned.cohort, tmp_path / "cohort")
    assert again.table.equals(Cohort.open(made / "cohort").table)
    assert read_card(tmp_path / "cohort", "cohort")["size_px"] == 16


@pytest.mark.parametrize("arm", ARMS)
def test_a_fit_trains_on_its_arm_and_judges_on_val_and_test(
    planned: Planned, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    called: dict[str, Any] = {}

    def note(train: Cohort, val: Cohort, test: Cohort, config: Any, out: Path, **facts: Any) -> None:
        called.update(train=train, val=val, test=test, config=config, **facts)

    monkeypatch.setattr("dermsynth.classifiers.fit.fit", note)
    cohort = Cohort.open(made / "cohort")
    inputs = {"cohort": made / "cohort"}
    if arm in ("hybrid", "placebo"):
        inputs["pool"] = tmp_path / "pool"
        make_pool(inputs["pool"], cohort, missing(cohort, 15))
    if arm == "oracle":
        inputs["oracle"] = tmp_path / "oracle"
        work.draw_oracle(planned.oracles[8].config, inputs, tmp_path / "oracle")
    job = planned.fits[arm][8]
    job.work(job.config, inputs, tmp_path / "fit")
    for part in ("val", "test"):
        assert called[part].table.equals(cohort.part(part).table)
    assert set(cohort.part("train").table["image_id"]) <= set(called["train"].table["image_id"])
    assert called["config"].seed == 8
    assert called["augmentation"] == (ClassicalAugmentation() if arm == "classical" else None)
    before = cohort.part("train").counts()
    as_it_is = arm in ("real", "weighted", "focal", "logit-adjusted")
    expected = before if as_it_is else {name: max(15, count) for name, count in before.items()}
    counted = called["train"].table["label"].gather(called["rows"]).value_counts()
    assert dict(counted.iter_rows()) == called["facts"]["train_counts"] == expected
    new = called["train"].table.filter(~pl.col("image_id").is_in(cohort.table["image_id"].to_list()))
    assert bool(new.height) == bool(NEEDS[arm])
    assert called["facts"]["arm"] == arm
    assert called["balance"] == (arm if arm in ("weighted", "focal", "logit-adjusted") else "none")
