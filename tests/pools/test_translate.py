"""Translating a pool: its partners, and that nothing held out is translated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.helpers import make_cohort
from torch import Tensor, nn

from dermsynth.algorithms import ALGORITHMS
from dermsynth.algorithms.cyclegan import Cyclegan, CycleganConfig
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.pools.mix import mix
from dermsynth.pools.sample import sample
from dermsynth.pools.translate import translate
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

TRAINING = TrainConfig(budget_kimg=0.002, precision="fp32", snapshots=1, held_out=0)


class Negative(Cyclegan):
    """Its translation is the photographic negative."""

    name = "negative"

    def translate(self, generator: nn.Module, images: Tensor) -> Tensor:
        return -images


@pytest.fixture(autouse=True)
def _negative_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "negative", f"{__name__}:Negative")


def made(out: Path, kind: type[Cyclegan], *target: str, source: tuple[str, ...] = ("nv",)) -> Path:
    settings = CycleganConfig(width=1, blocks=0, source=source, target=target)
    return train(cohort(), kind, settings, TRAINING, out)


def cohort() -> Cohort:
    return make_cohort(size_px=32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("runs") / "run", Negative, "mel")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("runs") / "wide", Negative, "mel", "bkl")


def test_every_training_image_of_the_source_class_becomes_one_of_the_target_class(run: Path, tmp_path: Path) -> None:
    pool = translate(run, cohort(), tmp_path / "pool")
    wanted = cohort().part("train").table.filter(pl.col("label") == "nv")["image_id"]
    assert sorted(pool.table["translated_from"]) == sorted(wanted)
    assert pool.counts() == {"bkl": 0, "mel": len(wanted), "nv": 0}
    assert set(pool.table["origin"]) == {"synthetic"}


def test_every_image_is_the_translation_of_its_partner(run: Path, tmp_path: Path) -> None:
    whole = cohort()
    pool = translate(run, whole, tmp_path / "pool")
    row_of = {name: row for row, name in enumerate(whole.table["image_id"])}
    partners = whole.images[np.array([row_of[name] for name in pool.table["translated_from"]])]
    np.testing.assert_array_equal(pool.images[:], 255 - partners)


def test_a_trained_network_translates(tmp_path: Path) -> None:
    chosen = made(tmp_path / "run", Cyclegan, "bkl", source=("nv", "mel"))
    pool = translate(chosen, cohort(), tmp_path / "pool", count=3)
    assert pool.counts() == {"bkl": 3, "mel": 0, "nv": 0}
    assert len({image.tobytes() for image in pool.images[:]}) == 3


def test_every_image_says_where_it_comes_from(run: Path, tmp_path: Path) -> None:
    pool = translate(run, cohort(), tmp_path / "pool", count=2, seed=3)
    networks = read_card(run, "run")["files"]["networks.safetensors"]["sha256"]
    assert pool.table.select("algorithm", "generator_sha256", "translated_from_label", "seed", "draw").rows() == [
        ("negative", networks, "nv", 3, draw) for draw in range(2)
    ]
    assert pool.card["config"] == {
        "count": 2, "label": "mel", "seed": 3, "cohort": cohort().identity, "settings": {},
    }  # fmt: skip


def test_a_larger_count_keeps_the_first_images(run: Path, tmp_path: Path) -> None:
    few, more = (translate(run, cohort(), tmp_path / str(n), count=n).table for n in (3, 7))
    assert few["image_id"].to_list() == more["image_id"].to_list()[:3]


def test_another_seed_picks_other_images(run: Path, tmp_path: Path) -> None:
    one, other = (translate(run, cohort(), tmp_path / str(n), count=4, seed=n).table["image_id"] for n in (0, 1))
    assert set(one) != set(other)


def test_a_translated_pool_joins_the_cohort(run: Path, tmp_path: Path) -> None:
    pool = translate(run, cohort(), tmp_path / "pool")
    assert mix(cohort(), pool).counts()["mel"] == cohort().part("train").counts()["mel"] + len(pool)


def test_the_class_of_the_images_must_be_said_where_there_are_several(wide: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"translates to mel, bkl; say which class .* for example --label mel"):
        translate(wide, cohort(), tmp_path / "pool")
    assert translate(wide, cohort(), tmp_path / "pool", label="bkl", count=2).counts()["bkl"] == 2


def test_a_label_that_is_no_target_is_refused(wide: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label 'nv' is no target class of it; known: bkl, mel"):
        translate(wide, cohort(), tmp_path / "pool", label="nv")


@pytest.mark.parametrize("count", [0, 17])
def test_more_images_than_there_are_are_refused(run: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match=f"cannot translate {count} images: the train part has 16 of the source"):
        translate(run, cohort(), tmp_path / "pool", count=count)


def test_a_cohort_with_another_split_is_refused(run: Path, tmp_path: Path) -> None:
    whole = cohort()
    turned = whole.table["split"].replace({"train": "test", "test": "train"})
    other = replace(whole, table=whole.table.with_columns(split=turned))
    with pytest.raises(LeakageError, match=r"saw lesion_id '.*', which is in the test part"):
        translate(run, other, tmp_path / "pool")
    assert not (tmp_path / "pool").exists()


def test_an_image_that_the_run_did_not_see_is_refused(run: Path, tmp_path: Path) -> None:
    # It was held out when the run was trained, and now stands in the train part.
    whole = cohort()
    moved = whole.table.with_columns(split=whole.table["split"].replace({"test": "train"}))
    with pytest.raises(LeakageError, match=r"'i\d+' is not among those that .* was trained on \(8 such images in all"):
        translate(run, replace(whole, table=moved), tmp_path / "pool")


def test_other_pixels_under_a_known_name_are_refused(run: Path, tmp_path: Path) -> None:
    whole = cohort()
    other = replace(whole, table=whole.table.with_columns(sha256="other " + pl.col("sha256")))
    with pytest.raises(LeakageError, match="is not among those that"):
        translate(run, other, tmp_path / "pool")


def test_synthetic_images_are_not_translated_again(run: Path, tmp_path: Path) -> None:
    whole = cohort()
    first = whole.part("train").table.filter(pl.col("label") == "nv")["image_id"][0]
    origin = pl.when(pl.col("image_id") == first).then(pl.lit("synthetic")).otherwise(pl.lit("real"))
    pool = translate(run, replace(whole, table=whole.table.with_columns(origin=origin)), tmp_path / "pool")
    assert first not in set(pool.table["translated_from"])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_cohort(size_px=16), "has images of 16 px, and .* translates 32 px"),
        (make_cohort(size_px=32, split=False), "has no split; run 'dermsynth split"),
        (replace(make_cohort((12, 0, 32), size_px=32), classes=("bkl", "nv")), "has no class 'mel', which"),
    ],
    ids=["size", "split", "class"],
)
def test_a_cohort_that_does_not_fit_is_refused(run: Path, tmp_path: Path, other: Cohort, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translate(run, other, tmp_path / "pool")


def test_sampling_a_run_that_translates_names_the_other_command(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="negative makes images from images, not from noise; use 'dermsynth translate"):
        sample(run, {"mel": 1}, tmp_path / "pool")


def test_translating_by_a_run_that_samples_names_the_other_command(tmp_path: Path) -> None:
    chosen = train(cohort(), Dcgan, DcganConfig(width=1, batch_size=2), TRAINING, tmp_path / "run")
    with pytest.raises(InputError, match=r"dcgan draws images from noise; use 'dermsynth sample .* --per-class …'"):
        translate(chosen, cohort(), tmp_path / "pool")


def test_an_existing_pool_is_kept(run: Path, tmp_path: Path) -> None:
    translate(run, cohort(), tmp_path / "pool", count=1)
    with pytest.raises(ArtefactError, match="already exists"):
        translate(run, cohort(), tmp_path / "pool", count=1)
