"""Drawing a pool: counts, provenance, and that an image can be drawn again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, InputError
from dermsynth.pools.sample import draw_images, load_generator, sample
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train


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
    algorithm, generator = load_generator(run)
    again = draw_images(algorithm, generator, pool.classes.index("mel"), range(66, 67), 1)
    # Kernels may add up in another order for another batch size: at most one grey level.
    assert np.abs(again[0].astype(int) - pool.images[66].astype(int)).max() <= 1


def test_equal_seeds_give_equal_pools_and_other_seeds_other_images(run: Path, tmp_path: Path) -> None:
    pools = [sample(run, {"mel": 5}, tmp_path / str(n), seed=seed) for n, seed in enumerate([0, 0, 1])]
    np.testing.assert_array_equal(pools[0].images[:], pools[1].images[:])
    assert not np.array_equal(pools[0].images[:], pools[2].images[:])


def test_a_pool_keeps_what_its_generator_saw(run: Path, tmp_path: Path) -> None:
    sample(run, {"mel": 1}, tmp_path / "pool")
    expected = make_cohort().part("train").table.select("image_id", "lesion_id", "patient_id", "sha256")
    assert pl.read_parquet(tmp_path / "pool" / "seen.parquet").equals(expected)


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
