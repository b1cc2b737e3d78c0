"""Drawing a pool: counts, provenance, settings changed for drawing, and that an image can be drawn again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from pydantic import Field
from tests.helpers import make_cohort
from torch import Tensor, nn

from dermsynth.algorithms import ALGORITHMS
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, ConfigError, InputError
from dermsynth.pools.sample import draw_images, sample
from dermsynth.pools.trained import Trained
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train


class LightConfig(DcganConfig):
    light: float = Field(0.0, ge=0, le=2)


class Light(Dcgan):
    """A DCGAN whose images are made lighter when they are drawn."""

    name = "light"
    Config = LightConfig
    sampling = frozenset({"light"})
    told: ClassVar[list[tuple[int, int]]] = []

    def advance(self, networks: Iterable[nn.Module], images_seen: int, budget: int) -> None:
        self.told.append((images_seen, budget))

    def draw(self, generator: nn.Module, noise: Tensor, labels: Tensor) -> Tensor:
        return super().draw(generator, noise, labels) + self.config.light  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _light_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "light", f"{__name__}:Light")


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(budget_kimg=0.1, precision="fp32", snapshots=1, held_out=0)
    out = tmp_path_factory.mktemp("runs") / "light"
    return train(make_cohort(), Light, LightConfig(width=2, batch_size=8), config, out)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(budget_kimg=0.1, precision="fp32", snapshots=1)
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(make_cohort(), Dcgan, DcganConfig(width=2, batch_size=8), config, out)


def test_a_pool_has_the_counts_asked_for(run: Path, tmp_path: Path) -> None:
    pool = sample(run, {"mel": 70, "bkl": 3}, tmp_path / "pool")
    assert pool.counts() == {"bkl": 3, "mel": 70, "nv": 0}
    assert set(pool.table["origin"]) == {"synthetic"}


def test_every_image_says_where_it_comes_from(run: Path, tmp_path: Path) -> None:
    pool = sample(run, {"mel": 3}, tmp_path / "pool", seed=4)
    networks = read_card(run, "run")["files"]["networks.safetensors"]["sha256"]
    assert pool.table.select("algorithm", "generator_sha256", "seed", "draw").rows() == [
        ("dcgan", networks, 4, draw) for draw in range(3)
    ]
    assert read_card(tmp_path / "pool", "cohort")["run"]["config"]["settings"]["width"] == 2


def test_an_image_can_be_drawn_again_alone(run: Path, tmp_path: Path) -> None:
    pool = sample(run, {"mel": 70}, tmp_path / "pool", seed=1)
    again = draw_images(Trained.open(run), "mel", range(66, 67), 1)
    # Kernels may add up in another order for another batch size: at most one grey level.
    assert np.abs(again[0].astype(int) - pool.images[66].astype(int)).max() <= 1


def test_equal_seeds_give_equal_pools_and_other_seeds_other_images(run: Path, tmp_path: Path) -> None:
    pools = [sample(run, {"mel": 5}, tmp_path / str(n), seed=seed) for n, seed in enumerate([0, 0, 1])]
    np.testing.assert_array_equal(pools[0].images[:], pools[1].images[:])
    assert not np.array_equal(pools[0].images[:], pools[2].images[:])


def test_a_pool_keeps_what_its_generator_saw(run: Path, tmp_path: Path) -> None:
    sample(run, {"mel": 1}, tmp_path / "pool")
    expected = make_cohort().part("train").table.select("image_id", "lesion_id", "patient_id", "sha256")
    assert pl.read_parquet(tmp_path / "pool" / "seen.parquet").select(expected.columns).equals(expected)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"mal": 3}, "unknown class 'mal'; did you mean 'mel'"),
        ({"mel": -1}, "cannot draw -1"),
        ({}, "nothing to draw"),
    ],
)
def test_counts_that_make_no_sense_are_refused(run: Path, tmp_path: Path, counts: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample(run, counts, tmp_path / "pool")
    assert not (tmp_path / "pool").exists()


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ArtefactError, match=r"has no card\.json"):
        sample(tmp_path / "run", {"mel": 1}, tmp_path / "pool")


def test_a_pool_opens_as_a_cohort(run: Path, tmp_path: Path) -> None:
    sample(run, {"mel": 2}, tmp_path / "pool")
    assert len(Cohort.open(tmp_path / "pool")) == 2


def test_a_class_that_a_run_trained_further_did_not_see_is_refused(run: Path, tmp_path: Path) -> None:
    config = TrainConfig(budget_kimg=0.02, precision="fp32", snapshots=1, classes=("mel",))
    further = train(make_cohort(), Dcgan, DcganConfig(width=2, batch_size=4), config, tmp_path / "further", start=run)
    with pytest.raises(InputError, match="was trained further on mel, not on 'nv'; draw that class from the run it"):
        sample(further, {"nv": 1}, tmp_path / "pool")
    assert sample(further, {"mel": 2, "nv": 0}, tmp_path / "pool").counts() == {"bkl": 0, "mel": 2, "nv": 0}


def test_settings_changed_for_drawing_change_the_images_and_go_into_the_card(light: Path, tmp_path: Path) -> None:
    plain = sample(light, {"mel": 3}, tmp_path / "plain")
    lighter = sample(light, {"mel": 3}, tmp_path / "lighter", settings={"light": 2})
    assert (lighter.images[:] == 255).all()
    assert not (plain.images[:] == 255).all()
    assert lighter.card["config"]["settings"] == {"light": 2.0}
    assert plain.card["config"]["settings"] == {}
    # Pools that may be joined need different names for different images.
    assert not set(lighter.table["image_id"]) & set(plain.table["image_id"])


def test_a_setting_with_its_value_of_training_changes_nothing(light: Path, tmp_path: Path) -> None:
    plain, same = (
        sample(light, {"mel": 3}, tmp_path / "a"),
        sample(light, {"mel": 3}, tmp_path / "b", settings={"light": 0}),
    )
    assert plain.table.equals(same.table)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 3}, "'width' cannot be changed after training; known: light"),
        ({"lihgt": 1}, "'lihgt' cannot be changed after training; did you mean 'light'"),
        ({"light": 3}, "settings of light: 'light' is 3: Input should be less than or equal to 2"),
    ],
)
def test_settings_that_drawing_does_not_know_are_refused(
    light: Path, tmp_path: Path, settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        sample(light, {"mel": 1}, tmp_path / "pool", settings=settings)


def test_an_algorithm_without_sampling_settings_says_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'width' cannot be changed after training; its images depend on no setting"):
        sample(run, {"mel": 1}, tmp_path / "pool", settings={"width": 3})


def test_a_generator_is_told_how_far_its_training_was(light: Path, tmp_path: Path) -> None:
    Light.told.clear()
    sample(light, {"mel": 1}, tmp_path / "pool")
    card = read_card(light, "run")
    assert Light.told == [(card["chosen_at"], card["images_seen"])]


@pytest.mark.parametrize(("size_px", "at_once"), [(16, 64), (64, 64), (128, 16), (256, 4), (1024, 1)])
def test_fewer_large_images_are_drawn_at_a_time(size_px: int, at_once: int) -> None:
    assert Trained(Path(), {"size_px": size_px}, {}).at_once == at_once


def test_the_pool_of_a_run_of_one_class_can_be_joined_to_the_cohort(tmp_path: Path) -> None:
    from dermsynth.pools.mix import mix

    cohort = make_cohort()
    config = TrainConfig(budget_kimg=0.04, precision="fp32", snapshots=1, classes=("mel",))
    run = train(cohort, Dcgan, DcganConfig(width=2, batch_size=4), config, tmp_path / "run")
    pool = sample(run, {"mel": 3}, tmp_path / "pool")
    assert pool.classes == cohort.classes
    assert mix(cohort, pool).counts()["mel"] == cohort.part("train").counts()["mel"] + 3
