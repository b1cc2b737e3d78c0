"""Every synthetic image can tell where it comes from, be drawn again alone, and be described."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ArtefactError, InputError
from dermsynth.pools.ancestry import ancestry, differences, redraw
from dermsynth.pools.card import pool_card
from dermsynth.pools.sample import sample
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

SETTINGS = DcganConfig(width=2, batch_size=8)


def trained(out: Path, seed: int = 0) -> Path:
    config = TrainConfig(budget_kimg=0.1, precision="fp32", snapshots=1, seed=seed)
    return train(make_cohort(), Dcgan, SETTINGS, config, out, facts={"licence": "CC BY-NC 4.0. Somebody (2018)"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def pool(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    out = tmp_path_factory.mktemp("pools") / "pool"
    return sample(run, {"mel": 5, "nv": 3}, out, seed=4, told="8 images, 20.0 % of 32 real training images")


def test_an_image_tells_what_made_it_from_which_seed_and_data(pool: Cohort) -> None:
    image_id = pool.table["image_id"][6]
    found = json.loads(json.dumps(ancestry(pool, image_id)))
    assert found["image"]["image_id"] == image_id
    assert (found["image"]["label"], found["image"]["seed"], found["image"]["draw"]) == ("nv", 4, 1)
    assert found["generator"]["networks_sha256"] == found["image"]["generator_sha256"]
    assert found["generator"]["config"]["settings"]["width"] == 2
    assert found["pool"]["drawn"]["reckoned"].startswith("8 images, 20.0 %")
    assert found["learnt_from"] == {"images": 30, "lesions": 30, "licence": "CC BY-NC 4.0. Somebody (2018)"}


def test_an_unknown_or_a_real_image_has_no_ancestry(pool: Cohort, tmp_path: Path) -> None:
    close = pool.table["image_id"][0][:-1] + "x"
    with pytest.raises(InputError, match="did you mean"):
        ancestry(pool, close)
    real = make_cohort().save(tmp_path / "real")
    with pytest.raises(InputError, match="image 'i0' is real, so nothing made it"):
        ancestry(real, "i0")


def test_any_image_can_be_drawn_again_alone(pool: Cohort, run: Path) -> None:
    for row in (0, 4, 7):
        assert np.array_equal(redraw(pool, pool.table["image_id"][row], run), pool.images[row])


def test_another_run_is_refused(pool: Cohort, tmp_path: Path) -> None:
    other = trained(tmp_path / "other", seed=1)
    with pytest.raises(ArtefactError, match="is not the run that made"):
        redraw(pool, pool.table["image_id"][0], other)


def test_pixels_that_differ_are_told(pool: Cohort, run: Path, tmp_path: Path) -> None:
    changed = Cohort.in_memory(pool.table, pool.images[:] ^ 1, pool.classes)
    changed = Cohort(changed.table, changed.images, changed.classes, card=pool.card, path=pool.path)
    with pytest.raises(ArtefactError, match=r"with other pixels \(by at most 1 of 255\)"):
        redraw(changed, pool.table["image_id"][0], run)


def test_two_pools_differ_in_what_was_asked_of_them(pool: Cohort, run: Path, tmp_path: Path) -> None:
    more = sample(run, {"mel": 7, "nv": 2}, tmp_path / "b", seed=4)
    found = differences(pool, more)
    assert found["images"] == {"both": 7, "first": 1, "second": 2}
    assert found["counts"] == {"bkl": [0, 0], "mel": [5, 7], "nv": [3, 2]}
    assert found["settings"]["config.counts.mel"] == [5, 7]
    assert not any(key.startswith("run.") for key in found["settings"])
    assert differences(pool, pool)["settings"] == {}


def test_the_card_has_the_fields_of_a_dataset_card(pool: Cohort) -> None:
    text = pool_card(pool)
    _, front, body = text.split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["task_categories"] == ["image-classification"]
    assert fields["size_categories"] == ["n<1K"]
    assert {"synthetic", "dcgan"} <= set(fields["tags"])
    assert "8 images of 16 x 16 px" in body
    assert "| mel | 5 |" in body
    assert "CC BY-NC 4.0" in body
    assert "8 images, 20.0 % of 32 real training images" in body
    assert "Nothing yet: run `dermsynth measure`." in body


def test_what_was_measured_stands_beside_its_floor(pool: Cohort) -> None:
    measured = {"encoder": "handmade-1", "n": 8, "measures": {"Fréchet distance": {"value": 12.345, "floor": 1.5}}}
    text = pool_card(pool, measured)
    assert "| Fréchet distance | 12.35 | 1.5 |" in text or "| Fréchet distance | 12.34 | 1.5 |" in text
    assert "Encoder: handmade-1, n = 8." in text


def test_screens_stand_in_the_card_with_their_counts(pool: Cohort) -> None:
    screened = Cohort(
        pool.table,
        pool.images,
        pool.classes,
        path=pool.path,
        card={**pool.card, "screens": [{"rule": "near-copy", "kept": 6, "rejected": 2}]},
    )
    assert "| near-copy | 6 | 2 |" in pool_card(screened)
    assert ancestry(screened, pl.Series(screened.table["image_id"])[0])["pool"]["screens"][0]["rule"] == "near-copy"
