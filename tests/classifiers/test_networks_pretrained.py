"""`hf:`: networks of several families with random weights, what they compute, and the folders that are refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.classifiers.test_networks import pictures
from tests.helpers import make_cohort
from torch import nn

from dermsynth.classifiers import build, rebuild
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.fit import fit
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.predictions import read_predictions
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.core.errors import InputError
from dermsynth.encoders.pretrained import Pretrained
from dermsynth.training.device import to_pixels

SIDE_PX = 32
PREPROCESSOR = {
    "size": {"height": SIDE_PX, "width": SIDE_PX},
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
}
FAMILIES = ["convnext", "dinov2", "mobilenet_v2", "resnet", "vit"]
TOKENS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE_PX, "patch_size": 8}
SMALLEST: dict[str, dict[str, Any]] = {
    "convnext": {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 8, 12, 16]},
    "dinov2": {**TOKENS, "mlp_ratio": 2},
    "mobilenet_v2": {"depth_multiplier": 0.1},
    "resnet": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 12, 16], "embedding_size": 8, "layer_type": "basic"},
    "vit": {**TOKENS, "intermediate_size": 32},
}


def save(family: str, folder: Path) -> Path:
    """Save a tiny network as the hub holds them: as a classifier, with random weights and statistics."""
    from transformers import AutoConfig, AutoModelForImageClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(family, **SMALLEST[family])
        network = AutoModelForImageClassification.from_config(config)  # type: ignore[no-untyped-call]
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr, operator]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("weights")
    return {family: save(family, parent / family) for family in FAMILIES}


def made(folder: Path, **settings: Any) -> Network:
    return build(NetworkConfig(model=f"hf:{folder}", **settings), 3, 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_the_encoder_of_the_same_folder(family: str, folders: dict[str, Path]) -> None:
    network, images = made(folders[family]).eval(), pictures(2, 48)
    pixels = to_pixels(images)
    with torch.no_grad():
        found = network.features(pixels.permute(0, 3, 1, 2) / 127.5 - 1)
    np.testing.assert_allclose(found.numpy(), Pretrained(folders[family]).encode(pixels.numpy()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_hold_every_parameter_once_from_the_input_on(family: str, folders: dict[str, Path]) -> None:
    network = made(folders[family])
    parts = network.parts()
    held = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in network.parameters())
    assert parts[-1] is network.head
    assert len(parts) > 3
    order: list[int] = []
    for number, part in enumerate(parts):
        part.register_forward_pre_hook(lambda _module, _images, number=number: order.append(number))
    network(pictures(2))
    assert order == sorted(order)
    assert set(order) == set(range(len(parts)))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_gets_a_gradient(family: str, folders: dict[str, Path]) -> None:
    network = made(folders[family])
    network(pictures(2)).square().sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert without in ([], ["backbone.network.embeddings.mask_token"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_is_made_again_without_its_folder(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    gone = shutil.copytree(folders[family], tmp_path / "gone")
    network = made(gone)
    description = json.loads(json.dumps(network.description))
    shutil.rmtree(gone)
    again = rebuild(description, 3)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(pictures(2)), network.eval()(pictures(2)), rtol=0, atol=0)
    assert str(tmp_path) not in json.dumps(description)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_and_channels_last_agree_with_float32(family: str, folders: dict[str, Path]) -> None:
    network, images = made(folders[family]).eval(), pictures(4)
    with torch.no_grad():
        exact = network.features(images)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(network.features(images), exact, rtol=1e-3, atol=1e-3)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network.features(images)
            scores = network(images)
    assert rough.dtype == scores.dtype == torch.float32
    assert (rough - exact).norm() / exact.norm() < 0.05


def test_fresh_weights_are_others_in_the_same_network(folders: dict[str, Path]) -> None:
    for family in ("resnet", "vit"):
        trained, fresh = made(folders[family]), made(folders[family], fresh=True)
        shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in (trained, fresh)]
        assert shapes[0] == shapes[1]
        first = next(name for name, tensor in trained.named_parameters() if tensor.ndim > 1 and tensor.std() > 0)
        assert not torch.equal(trained.get_parameter(first), fresh.get_parameter(first))


@pytest.mark.parametrize("family", FAMILIES)
def test_images_may_be_resized_to_another_side(family: str, folders: dict[str, Path]) -> None:
    network, sides = made(folders[family], input_px=64), []
    network.parts()[0].register_forward_pre_hook(lambda _module, given: sides.append(given[0].shape[2:]))
    assert network.eval()(pictures(2, 40)).shape == (2, 3)
    assert sides == [(64, 64)]


def test_statistics_of_mobilenets_survive_their_first_batches(folders: dict[str, Path]) -> None:
    network = made(folders["mobilenet_v2"])
    assert {m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_it_is_recorded_which_weights_were_read(folders: dict[str, Path]) -> None:
    import hashlib

    sha256 = hashlib.sha256((folders["vit"] / "model.safetensors").read_bytes()).hexdigest()
    assert made(folders["vit"]).description["origin"] == {"name": "vit", "sha256": sha256, "fresh": False}


def test_a_trial_takes_other_weights_behind_a_path_for_another_fit(folders: dict[str, Path], tmp_path: Path) -> None:
    from dermsynth.core.config import parse
    from dermsynth.trials.plan import plan
    from dermsynth.trials.protocol import Protocol

    folder = shutil.copytree(folders["vit"], tmp_path / "weights")
    values = {
        "name": "x",
        "cohort": {"source": {"kind": "phantom", "counts": {"mel": 8, "nv": 16}}, "size_px": 32},
        "arms": ["real", "oversampled", "hybrid"],
        "fill_to": 16,
        "classifier": {"model": f"hf:{folder}"},
    }
    before = plan(parse(Protocol, values, "trial"))[1]["fits"]
    assert plan(parse(Protocol, values, "trial"))[1]["fits"] == before
    known = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in known.items()}, folder / "model.safetensors", {"format": "pt"})
    after = plan(parse(Protocol, values, "trial"))[1]["fits"]
    assert all(before[arm][seed] != after[arm][seed] for arm in before for seed in before[arm])


def test_a_fit_keeps_all_it_needs(folders: dict[str, Path], tmp_path: Path) -> None:
    cohort = make_cohort((12, 16, 20))
    parts = {name: cohort.part(name) for name in ("train", "val", "test")}
    gone = shutil.copytree(folders["mobilenet_v2"], tmp_path / "gone")
    config = FitConfig(model=f"hf:{gone}", budget_kimg=0.05, batch_size=8, evaluations=1, rate_span=10, head_first=0.3)
    folder = fit(parts["train"], parts["val"], parts["test"], config, tmp_path / "fit")
    shutil.rmtree(gone)
    found = TrainedClassifier.open(folder).probabilities(parts["test"])
    np.testing.assert_allclose(found, read_predictions(folder).probabilities, atol=1e-6)


def changed(folder: Path, to: Path, **tensors: torch.Tensor) -> Path:
    """Return a copy of a folder in which weights with this end of their name are others."""
    shutil.copytree(folder, to)
    known = load_file(folder / "model.safetensors")
    for end, tensor in tensors.items():
        known[next(name for name in known if name.endswith(end.replace("__", ".")))] = tensor
    save_file(known, to / "model.safetensors", {"format": "pt"})
    return to


def test_weights_that_are_not_finite_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = changed(folders["vit"], tmp_path / "nan", layernorm__bias=torch.full((16,), torch.nan))
    with pytest.raises(InputError, match=r"nan: the weights of 'layernorm.bias' are not finite; bring the folder"):
        made(folder)


def test_weights_of_another_shape_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = changed(folders["vit"], tmp_path / "shape", layernorm__bias=torch.zeros(17))
    with pytest.raises(
        InputError, match=r"shape: the weights of 'layernorm.bias' have the shape \(17,\), expected \(16,\)"
    ):
        made(folder)


def test_pickled_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["vit"], tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled: no \*.safetensors file"):
        made(folder)


def test_a_size_that_the_network_cannot_take_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"images of 8 x 8 px do not fit this network"):
        build(NetworkConfig(model=f"hf:{folders['convnext']}", input_px=8), 3, 64)


def test_a_name_that_cannot_be_fetched_says_how_to_bring_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"run 'hf download nobody/nothing --local-dir FOLDER', bring the folder") as e:
        build(NetworkConfig(model="hf:nobody/nothing"), 3, 64)
    assert "\n" not in str(e.value)


def test_a_folder_that_is_absent_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(InputError, match="some/where/else: no such folder"):
        build(NetworkConfig(model="hf:some/where/else"), 3, 64)


def test_the_imagenet_network_is_made_of_its_folder() -> None:
    parent = Path(os.environ.get("DERMSYNTH_WEIGHTS", Path(__file__).parents[3] / "shared" / "weights"))
    folder = parent / "mobilenet_v2_imagenet"
    if not folder.is_dir():
        pytest.skip(f"needs pretrained weights: {folder} is absent (set DERMSYNTH_WEIGHTS)")
    network, pixels = made(folder).eval(), to_pixels(pictures(2))
    with torch.no_grad():
        found = network.features(pixels.permute(0, 3, 1, 2) / 127.5 - 1)
    np.testing.assert_allclose(found.numpy(), Pretrained(folder).encode(pixels.numpy()), rtol=1e-3, atol=1e-3)


def test_a_probe_of_its_features_is_exported_with_the_same_answers(folders: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from tests.classifiers.asked import saved
    from tests.classifiers.discs import TEST, TRAIN, VAL

    from dermsynth.classifiers.config import FitConfig
    from dermsynth.classifiers.export_onnx import export_onnx
    from dermsynth.classifiers.fit import fit
    from dermsynth.classifiers.predictions import read_predictions

    config = FitConfig(model=f"probe:hf:{folders['vit']}", precision="fp32")
    done = fit(TRAIN, saved(VAL, tmp_path / "val"), saved(TEST, tmp_path / "test"), config, tmp_path / "fit")
    exported = export_onnx(done, tmp_path / "probe.onnx")
    (found,) = runtime.InferenceSession(exported.path).run(None, {"images": TEST.images[: len(TEST)]})
    np.testing.assert_allclose(found, read_predictions(done, "test").probabilities, atol=1e-4)
