"""Discriminators as classifiers: paper 003's three readings, ACGAN's own layer, the controls, and leakage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.algorithms.tiny import SIZE_PX, TINY
from tests.classifiers.test_networks import pictures
from tests.helpers import CLASSES, make_cohort

from dermsynth.algorithms import ALGORITHMS, algorithm_class
from dermsynth.classifiers import build, rebuild
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.discriminator import Discriminator
from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, InputError, LeakageError
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import to_network
from dermsynth.training.finished import FinishedRun
from dermsynth.training.loop import train

COHORTS = {size_px: make_cohort((24, 32, 40), size_px=size_px) for size_px in (16, 32)}
WITH_FEATURES = ["acgan", "dcgan", "r3gan", "sgan", "wgan-gp"]
QUICK: dict[str, Any] = {"budget_kimg": 0.05, "batch_size": 8, "evaluations": 1, "precision": "fp32"}


def trained(name: str, folder: Path) -> Path:
    """Return a run of a few steps."""
    chosen = algorithm_class(name)
    settings = chosen.Config(batch_size=4, **TINY[name])
    return train(COHORTS[SIZE_PX[name]], chosen, settings, TrainConfig(budget_kimg=0.03, snapshots=1), folder / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: trained(name, folder) for name in ("acgan", "dcgan", "sgan", "cgan")}


def made(model: str, size_px: int = 16, classes: int = 3, **settings: Any) -> Network:
    return build(NetworkConfig(model=model, **settings), classes, size_px)


def fitted(model: str, out: Path, size_px: int = 16, **settings: Any) -> Path:
    cohort = COHORTS[size_px]
    return fit(
        *(cohort.part(name) for name in ("train", "val", "test")), FitConfig(model=model, **{**QUICK, **settings}), out
    )  # type: ignore[misc]


@pytest.mark.parametrize("name", WITH_FEATURES)
def test_features_are_what_the_discriminators_last_layer_is_given(name: str) -> None:
    size_px, chosen = SIZE_PX[name], algorithm_class(name)
    algorithm = chosen(chosen.Config(**TINY[name]), size_px, CLASSES)
    network = algorithm.networks["critic" if name == "wgan-gp" else "discriminator"].eval()
    given: list[torch.Tensor] = []
    # The last before the scores; R3GAN's score is a product with this layer's features.
    last = {"acgan": "answers", "sgan": "answers", "dcgan": "score", "wgan-gp": "layers.6", "r3gan": "basis"}[name]
    if name == "r3gan":
        network.get_submodule(last).register_forward_hook(lambda _layer, _before, after: given.append(after))
    else:
        network.get_submodule(last).register_forward_pre_hook(lambda _layer, before: given.append(before[0]))
    labels = () if name in ("acgan", "sgan") else (torch.tensor([0, 1]),)
    network(pictures(2, size_px), *labels)
    backbone = Discriminator(name, TINY[name], size_px, CLASSES)
    backbone.take(algorithm)
    torch.testing.assert_close(backbone.eval()(pictures(2, size_px)), given[0].flatten(1))
    assert backbone.dimensions == given[0].flatten(1).shape[1]


def test_every_algorithm_either_has_features_or_says_which_have(runs: dict[str, Path]) -> None:
    for name in ALGORITHMS:
        chosen, size_px = algorithm_class(name), SIZE_PX[name]
        algorithm = chosen(chosen.Config(**TINY[name]), size_px, ("df", "mel", "nv"))
        assert (algorithm.feature_layers() is not None) == (name in WITH_FEATURES), name
        assert (algorithm.class_layer() is not None) == (name in ("acgan", "sgan")), name
    with pytest.raises(
        InputError, match="the discriminator of cgan does not .* take a run of " + ", ".join(WITH_FEATURES[:-1])
    ):
        made(f"discriminator:{runs['cgan']}")


@pytest.mark.parametrize("name", ["acgan", "sgan"])
def test_the_own_layer_says_what_the_discriminator_says(name: str, runs: dict[str, Path]) -> None:
    size_px = SIZE_PX[name]
    run = FinishedRun.open(runs[name])
    chosen = algorithm_class(name)
    algorithm = chosen(chosen.Config(**run.card["config"]["settings"]), size_px, run.classes)
    run.load(algorithm)
    answer = algorithm.networks["discriminator"].eval()(pictures(3, size_px))
    expected = answer[1] if name == "acgan" else answer
    torch.testing.assert_close(made(f"class-head:{runs[name]}", size_px)(pictures(3, size_px)), expected)


def test_the_discriminator_of_a_run_starts_with_its_weights_and_a_fresh_one_does_not(runs: dict[str, Path]) -> None:
    model = f"discriminator:{runs['dcgan']}"
    learnt, again, fresh = made(model), made(model), made(model, fresh=True)
    weights = [dict(network.backbone.named_parameters()) for network in (learnt, again, fresh)]
    assert {name: w.shape for name, w in weights[0].items()} == {name: w.shape for name, w in weights[2].items()}
    name = next(iter(weights[0]))
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])


def test_the_control_is_dcgans_discriminator_from_scratch() -> None:
    # Paper 003: 64, 128, 256 and 512 maps, 5 x 5 kernels, then 4 x 4 x 512 values to the scores.
    expected = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64 + 2 * (128 + 256 + 512) + 8192 * 2 + 2
    network = build(NetworkConfig(model="discriminator"), 2, 64)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert made("discriminator", 64, width=8).backbone.dimensions == 8192 // 8


@pytest.mark.parametrize("name", ["acgan", "sgan", "dcgan"])
def test_parts_hold_every_parameter_once_from_the_input_on(name: str, runs: dict[str, Path]) -> None:
    network = made(f"discriminator:{runs[name]}", SIZE_PX[name])
    held = [id(parameter) for part in network.parts() for parameter in part.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in network.parameters())
    order: list[int] = []
    for number, part in enumerate(network.parts()):
        part.register_forward_pre_hook(lambda _module, _images, number=number: order.append(number))
    network(pictures(2, SIZE_PX[name]))
    assert order == list(range(len(network.parts())))


@pytest.mark.parametrize(
    ("model", "name"),
    [("discriminator", "dcgan"), ("discriminator", "acgan"), ("probe:discriminator", "sgan"), ("class-head", "sgan")],
)
def test_a_fit_is_opened_without_the_run_and_says_the_same(
    model: str, name: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    run = shutil.copytree(runs[name], tmp_path / "run")
    folder = fitted(f"{model}:{run}", tmp_path / "fit", SIZE_PX[name])
    shutil.rmtree(run)
    found = TrainedClassifier.open(folder).probabilities(COHORTS[SIZE_PX[name]].part("test"))
    np.testing.assert_allclose(found, read_predictions(folder).probabilities, atol=1e-6)
    origin = read_card(folder, "fit")["network"]["origin"]
    assert origin["networks_sha256"] == FinishedRun.open(runs[name]).sha256


def test_frozen_features_stay_frozen_and_fine_tuned_ones_move(runs: dict[str, Path], tmp_path: Path) -> None:
    before = made(f"discriminator:{runs['dcgan']}").backbone.state_dict()
    for model, moved in ((f"probe:discriminator:{runs['dcgan']}", False), (f"discriminator:{runs['dcgan']}", True)):
        trained = TrainedClassifier.open(fitted(model, tmp_path / str(moved)))
        after = trained._network[0].backbone.state_dict()
        assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items()) == moved


def test_the_own_layer_of_a_run_learns_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    folder, cohort = fitted(f"class-head:{runs['sgan']}", tmp_path / "fit"), COHORTS[16].part("test")
    images = to_network(torch.from_numpy(cohort.images[:]), TrainedClassifier.open(folder)._network[1])
    expected = made(f"class-head:{runs['sgan']}")(images).softmax(dim=1)
    np.testing.assert_allclose(read_predictions(folder).probabilities, expected.numpy(), atol=1e-6)
    assert read_card(folder, "fit")["images_seen"] == 0


@pytest.mark.parametrize("model", ["discriminator", "probe:discriminator", "knn:discriminator", "class-head"])
@pytest.mark.parametrize("part", ["val", "test"])
def test_a_run_that_saw_a_held_out_lesion_is_refused(
    model: str, part: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    cohort = COHORTS[16]
    parts = {name: cohort.part(name) for name in ("train", "val", "test")}
    seen = pl.read_parquet(runs["sgan"] / "seen.parquet")["lesion_id"][0]
    lesions = [seen, *parts[part].table["lesion_id"][1:]]
    parts[part] = replace(parts[part], table=parts[part].table.with_columns(lesion_id=pl.Series(lesions)))
    parts["train"] = parts["train"].select(pl.col("lesion_id") != seen)
    config = FitConfig(model=f"{model}:{runs['sgan']}", **QUICK)
    with pytest.raises(LeakageError, match=f"saw lesion_id '{seen}', which is in the {part} part"):
        fit(parts["train"], parts["val"], parts["test"], config, tmp_path / "fit")


def test_a_fresh_network_of_a_run_saw_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    cohort = COHORTS[16]
    swapped = {"train": cohort.part("test"), "val": cohort.part("train"), "test": cohort.part("val")}
    config = FitConfig(model=f"discriminator:{runs['dcgan']}", fresh=True, **QUICK)
    fit(swapped["train"], swapped["val"], swapped["test"], config, tmp_path / "fit")
    with pytest.raises(LeakageError):
        fit(swapped["train"], swapped["val"], swapped["test"], config.changed(fresh=False), tmp_path / "other")


def test_what_a_run_cannot_be_asked_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dcgan tells no classes apart; take a run of acgan or sgan"):
        made(f"class-head:{runs['dcgan']}")
    with pytest.raises(InputError, match="knows 3 classes, the cohort 2"):
        made(f"class-head:{runs['sgan']}", classes=2)
    with pytest.raises(InputError, match="images have 32 px, this discriminator knows 16"):
        made(f"discriminator:{runs['sgan']}", 32)
    with pytest.raises(ArtefactError):
        made(f"discriminator:{tmp_path}")


def test_classes_of_another_name_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    renamed = {"bkl": "df", "mel": "mel", "nv": "nv"}
    cohort = COHORTS[16]
    other = replace(
        cohort, classes=("df", "mel", "nv"), table=cohort.table.with_columns(pl.col("label").replace(renamed))
    )
    parts = [other.part(name) for name in ("train", "val", "test")]
    with pytest.raises(InputError, match="its discriminator knows bkl, mel, nv, the cohort has df, mel, nv"):
        fit(parts[0], parts[1], parts[2], FitConfig(model=f"class-head:{runs['sgan']}", **QUICK), tmp_path / "fit")


def test_a_network_made_again_is_the_same_function(runs: dict[str, Path]) -> None:
    for model in (f"discriminator:{runs['sgan']}", f"class-head:{runs['sgan']}"):
        network = made(model)
        again = rebuild(network.description, 3)
        again.load_state_dict(network.state_dict())
        torch.testing.assert_close(again.eval()(pictures(2, 16)), network.eval()(pictures(2, 16)), rtol=0, atol=0)
