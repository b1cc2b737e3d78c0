"""Training a finished run further: one class from all classes, with some layers frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, ConfigError, InputError
from dermsynth.pools.sample import sample
from dermsynth.training import checkpoint
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

SMALL = DcganConfig(width=2, batch_size=4)
SHORT = TrainConfig(budget_kimg=0.08, precision="fp32", snapshots=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(make_cohort(), Dcgan, SMALL, SHORT, tmp_path_factory.mktemp("start") / "run")


def further(out: Path, start: Path, settings: DcganConfig = SMALL, **training: Any) -> Path:
    other = make_cohort(prefix="j", seed=1)
    return train(other, Dcgan, settings, SHORT.changed(**training), out, start=start)


def networks(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "networks.safetensors")[0]


def test_it_starts_from_the_weights_of_the_run(tmp_path: Path, trained: Path) -> None:
    # One step with a tiny learning rate stays where it started.
    out = further(tmp_path / "run", trained, SMALL.changed(learning_rate=1e-9), budget_kimg=0.004)
    before, after = networks(trained), networks(out)
    torch.testing.assert_close(after["generator.project.weight"], before["generator.project.weight"])
    torch.testing.assert_close(after["discriminator.score.weight"], before["discriminator.score.weight"])


def test_one_class_is_trained_further_by_a_network_of_all(tmp_path: Path, trained: Path) -> None:
    out = further(tmp_path / "run", trained, classes=["mel"])
    card = read_card(out, "run")
    assert card["classes"] == ["bkl", "mel", "nv"]
    assert set(card["train_counts"]) == {"mel"}
    assert len(sample(out, {"mel": 3}, tmp_path / "pool")) == 3
    with pytest.raises(InputError, match="nv"):
        sample(out, {"nv": 3}, tmp_path / "other")


def test_what_the_first_run_saw_counts_as_seen(tmp_path: Path, trained: Path) -> None:
    out = further(tmp_path / "run", trained)
    seen = set(pl.read_parquet(out / "seen.parquet")["image_id"])
    assert set(pl.read_parquet(trained / "seen.parquet")["image_id"]) < seen
    assert {name[0] for name in seen} == {"i", "j"}


def test_frozen_layers_stay_as_they_were(tmp_path: Path, trained: Path) -> None:
    out = further(tmp_path / "run", trained, freeze=["discriminator.layers", "generator.project"])
    before, after = networks(trained), networks(out)
    for name in ("discriminator.layers.0.weight", "generator.project.weight"):
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before["discriminator.score.weight"], after["discriminator.score.weight"])


def test_an_unknown_layer_is_refused_with_the_nearest(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"no weights 'generator\.projekt'; did you mean 'generator\.project'"):
        further(tmp_path / "run", trained, freeze=["generator.projekt"])


def test_freezing_everything_is_refused(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is left to train in the phase 'discriminator'"):
        further(tmp_path / "run", trained, freeze=["discriminator"])


def test_a_run_of_another_shape_is_refused(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(ArtefactError, match="does not fit the network 'generator'"):
        further(tmp_path / "run", trained, SMALL.changed(width=4))


def test_a_run_of_another_algorithm_is_refused(tmp_path: Path, trained: Path) -> None:
    from dermsynth.algorithms.gan import Gan

    with pytest.raises(ArtefactError, match="is a run of dcgan, not of gan; start from one of gan"):
        train(make_cohort(), Gan, Gan.Config(batch_size=4), SHORT, tmp_path / "run", start=trained)


def test_a_class_that_the_run_does_not_know_is_refused(tmp_path: Path, trained: Path) -> None:
    cohort = make_cohort()
    renamed = cohort.table.with_columns(pl.col("label").replace({"mel": "scc"}))
    other = type(cohort).in_memory(renamed, cohort.images[:], ("bkl", "nv", "scc"))
    with pytest.raises(InputError, match=r"class 'scc' is unknown to .*, whose classes are bkl, mel, nv"):
        train(other, Dcgan, SMALL, SHORT, tmp_path / "run", start=trained)
