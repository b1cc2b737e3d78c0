"""Maps: that they point at what decides, depend on the weights, and refuse networks they cannot be made of."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.classifiers.asked import planted
from tests.classifiers.discs import QUICK

from dermsynth.classifiers import build
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.explain import METHODS, Method, maps
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.core.randomness import global_torch_seed

pytest.importorskip("captum")
CORNER = 20
"""Of the planted square, 8 px wide: nothing else tells the classes apart."""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    torch.set_num_threads(1)
    parts = [
        planted(name, count, CORNER, seed=seed) for seed, (name, count) in enumerate((("a", 90), ("b", 30), ("c", 30)))
    ]
    config = QUICK.changed(width=8, budget_kimg=1.2)
    found = TrainedClassifier.open(fit(*parts, config, tmp_path_factory.mktemp("planted") / "fit"))
    assert found.card["val_balanced_accuracy"] > 0.95
    return found


IMAGES = planted("d", 12, CORNER, seed=3)


def of(network: Network, method: Method) -> NDArray[np.float32]:
    return maps(network, IMAGES.images[:], IMAGES.labels, method)


@pytest.mark.parametrize("method", METHODS)
def test_the_map_points_at_the_patch_that_decides_the_class(classifier: TrainedClassifier, method: Method) -> None:
    found = np.maximum(of(classifier.loaded(), method), 0)
    assert found.shape == (12, 32, 32)
    here = slice(CORNER - 4, CORNER + 12)  # Grad-CAM's maps have places of 16 px, an occlusion's squares of 4
    share = found[:, here, here].sum(axis=(1, 2)) / found.sum(axis=(1, 2))
    assert share.mean() > 1.5 * (16 / 32) ** 2  # a half more than its share of the area
    assert (found[:, here, here].max(axis=(1, 2)) == found.max(axis=(1, 2))).mean() > 0.7


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return Pearson's correlation of two maps, 0 where one of them is empty."""
    first, second = one - one.mean(), other - other.mean()
    return float((first * second).sum() / (np.linalg.norm(first) * np.linalg.norm(second) or 1.0))


@pytest.mark.parametrize("method", METHODS)
def test_the_map_changes_when_the_weights_are_drawn_anew(classifier: TrainedClassifier, method: Method) -> None:
    """The sanity check of Adebayo et al. 2018 (arXiv:1810.03292): an edge detector would pass every other test."""
    learnt = of(classifier.loaded(), method)
    with global_torch_seed(5, "anew"):
        anew = of(build(classifier.config, 3, 32), method)
    assert np.abs([correlation(*pair) for pair in zip(learnt, anew, strict=True)]).mean() < 0.5


def test_integrated_gradients_sum_to_the_difference_in_score(classifier: TrainedClassifier) -> None:
    network = classifier.loaded()
    pixels = torch.from_numpy(IMAGES.images[:]).float().permute(0, 3, 1, 2) / 127.5 - 1
    plain = pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)
    with torch.no_grad():
        change = (network(pixels) - network(plain)).numpy()[np.arange(12), IMAGES.labels]
    sums = of(network, "integrated-gradients").sum(axis=(1, 2))
    assert np.abs(sums - change).max() < 0.1 * np.abs(change).max()


def test_a_map_is_about_the_class_that_was_asked_for(classifier: TrainedClassifier) -> None:
    network = classifier.loaded()
    other = maps(network, IMAGES.images[:], (IMAGES.labels + 1) % 3, "occlusion")
    square = (slice(None), slice(CORNER, CORNER + 8), slice(CORNER, CORNER + 8))
    assert of(network, "occlusion")[square].mean() > 0 > other[square].mean()


def test_an_image_has_the_same_map_alone_and_among_others(classifier: TrainedClassifier) -> None:
    network = classifier.loaded()
    for method in METHODS:
        alone = maps(network, IMAGES.images[2:3], IMAGES.labels[2:3], method)
        np.testing.assert_allclose(alone[0], of(network, method)[2], atol=1e-4)


@pytest.mark.parametrize("model", ["mobilenet-v1", "resnet-18", "discriminator"])
def test_every_convolutional_network_has_maps_for_grad_cam(model: str) -> None:
    network = build(FitConfig(model=model, width=8), 3, 64)
    large = IMAGES.images[:2].repeat(2, axis=1).repeat(2, axis=2)
    assert maps(network, large, np.array([0, 1]), "grad-cam").shape == (2, 64, 64)


def test_the_network_is_left_in_its_mode_and_without_hooks(classifier: TrainedClassifier) -> None:
    network = classifier.loaded().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    of(network, "grad-cam")
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_features_without_a_gradient_can_only_be_covered(tmp_path: Path) -> None:
    parts = [planted(name, 30, CORNER, seed=seed) for seed, name in enumerate("abc")]
    config = FitConfig(model="probe:handmade")
    network = TrainedClassifier.open(fit(*parts, config, tmp_path / "fit")).loaded()
    for method in ("grad-cam", "integrated-gradients"):
        with pytest.raises(InputError, match=r"no gradient with regard to the image .* take --method occlusion"):
            maps(network, IMAGES.images[:1], IMAGES.labels[:1], method)
    assert np.abs(maps(network, IMAGES.images[:1], IMAGES.labels[:1], "occlusion")).max() > 0


def test_an_unknown_method_and_a_missing_package_are_said(
    classifier: TrainedClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="method 'gradcam': did you mean 'grad-cam'"):
        of(classifier.loaded(), "gradcam")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ConfigError, match=r"pip install 'dermsynth\[explain\]'"):
        of(classifier.loaded(), "grad-cam")
