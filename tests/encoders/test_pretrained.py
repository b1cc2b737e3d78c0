"""A pretrained network as an encoder, against its own forward pass on images that PIL resized."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dermsynth.core.errors import InputError
from dermsynth.encoders.pretrained import Pretrained

SIDE_PX = 32
MEAN, DEVIATION = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
PREPROCESSOR = {
    "size": {"height": SIDE_PX, "width": SIDE_PX},
    "rescale_factor": 1 / 255,
    "image_mean": MEAN,
    "image_std": DEVIATION,
}


def images(n: int = 3, size_px: int = SIDE_PX, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth random images, so that resizing them leaves something."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    return resized(coarse, size_px).round().astype(np.uint8)


def resized(pixels: NDArray[np.uint8], size_px: int) -> NDArray[np.float32]:
    """Return the images as PIL's antialiasing bicubic filter resizes them, colour by colour in float32 (clean-fid)."""
    sides = (size_px, size_px)
    planes = [
        [np.asarray(Image.fromarray(plane, "F").resize(sides, Image.Resampling.BICUBIC)) for plane in image]
        for image in pixels.astype(np.float32).transpose(0, 3, 1, 2)
    ]
    return np.array(planes).transpose(0, 2, 3, 1).clip(0, 255)


def save_network(folder: Path) -> Path:
    """Save a tiny MobileNetV2 with random weights and statistics, as a classifier, the way the hub holds them."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    torch.manual_seed(0)
    network = MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.1, image_size=SIDE_PX))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_network(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Pretrained:
    return Pretrained(folder)


def reference(folder: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    from transformers import MobileNetV2ForImageClassification

    network = MobileNetV2ForImageClassification.from_pretrained(folder).eval()
    scaled = (pixels / 255.0 - np.array(MEAN)) / np.array(DEVIATION)
    with torch.no_grad():
        maps = network.mobilenet_v2(torch.from_numpy(scaled).permute(0, 3, 1, 2).float()).last_hidden_state
    return maps.mean(dim=(2, 3)).numpy()


def test_features_are_the_networks_own_pooled_maps(folder: Path, encoder: Pretrained) -> None:
    pixels = images()
    features = encoder.encode(pixels)
    assert features.dtype == np.float32
    assert features.shape == (3, encoder.dimensions)
    np.testing.assert_allclose(features, reference(folder, pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size_px", [24, 100])
def test_images_are_resized_as_pil_does(encoder: Pretrained, size_px: int) -> None:
    pixels = images(size_px=size_px)
    prepared = encoder._folder.preparation.of(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    prepared = prepared.permute(0, 2, 3, 1).numpy()
    found = (prepared * np.array(DEVIATION) + np.array(MEAN)) * 255
    np.testing.assert_allclose(found, resized(pixels, SIDE_PX), atol=1e-2)


def test_an_image_does_not_depend_on_its_neighbours(encoder: Pretrained) -> None:
    pixels = images(40)
    together = encoder.encode(pixels)
    np.testing.assert_allclose(together[[39, 0]], encoder.encode(pixels[[39, 0]]), rtol=1e-4, atol=1e-5)


def test_every_call_gives_the_same(folder: Path, encoder: Pretrained) -> None:
    np.testing.assert_array_equal(encoder.encode(images()), Pretrained(f"hf:{folder}").encode(images()))


def test_a_lower_precision_around_it_does_not_reach_the_encoder(encoder: Pretrained) -> None:
    before = encoder.encode(images())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = encoder.encode(images())
    np.testing.assert_array_equal(inside, before)


def test_no_images_have_no_features(encoder: Pretrained) -> None:
    assert encoder.encode(images()[:0]).shape == (0, encoder.dimensions)


def test_the_name_tells_the_weights_apart(folder: Path, encoder: Pretrained) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    assert encoder.name == f"hf:tiny@{hashlib.sha256(weights).hexdigest()[:12]}"


def test_nothing_is_printed_when_a_network_is_read(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert Pretrained(folder).dimensions > 0
    assert capfd.readouterr() == ("", "")


def test_a_pooling_layer_without_weights_is_not_used(tmp_path: Path) -> None:
    # Such a layer would be drawn at random: the same folder would give other features in every process.
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16
    )
    ViTForImageClassification(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    np.testing.assert_array_equal(Pretrained(tmp_path).encode(images()), Pretrained(tmp_path).encode(images()))


def test_dinov2_gives_the_class_token_after_the_last_norm(tmp_path: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    network = Dinov2Model(config).eval()
    network.save_pretrained(tmp_path)
    side = {"do_center_crop": True, "crop_size": {"height": 28, "width": 28}, "size": {"shortest_edge": 32}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | side))
    pixels = images(size_px=28)
    scaled = torch.from_numpy((pixels / 255.0 - np.array(MEAN)) / np.array(DEVIATION)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = network(scaled).last_hidden_state[:, 0]
    np.testing.assert_allclose(Pretrained(tmp_path).encode(pixels), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_another_preparation_of_the_same_weights_is_another_encoder(folder: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | {"image_std": [0.5, 0.5, 0.5]}))
    assert Pretrained(tmp_path).identity != Pretrained(folder).identity


def test_a_name_on_the_hub_without_a_network_says_how_to_bring_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"run 'hf download facebook/dinov2-nowhere --local-dir FOLDER'") as caught:
        Pretrained("facebook/dinov2-nowhere")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [40, {"shortest_edge": 40}, {"height": 40, "width": 40}])
def test_every_way_to_declare_the_size_is_read(folder: Path, tmp_path: Path, size: object) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | {"size": size}))
    assert Pretrained(tmp_path).side_px == (40, 40)


def test_the_crop_is_the_networks_input(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    declared = PREPROCESSOR | {"do_center_crop": True, "crop_size": 28}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(declared))
    assert Pretrained(tmp_path).side_px == (28, 28)


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((2, 3, 8, 8), np.uint8)]
)
def test_images_of_another_type_or_shape_are_refused(encoder: Pretrained, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="this encoder needs uint8 N x H x W x 3"):
        encoder.encode(pixels)


def test_a_folder_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        Pretrained(tmp_path / "nowhere")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"no \*.safetensors file; save the network with save_pretrained"):
        Pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "absent"), ("{", "cannot be read"), ("[]", "cannot be read"), ('{"size": 32}', "image_mean")],
)
def test_unusable_preprocessing_is_refused(tmp_path: Path, folder: Path, text: str | None, message: str) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    if text is not None:
        (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(InputError, match=f"preprocessor_config.json: .*{message}"):
        Pretrained(tmp_path)


def test_an_unknown_network_is_refused_in_one_line(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    (tmp_path / "config.json").write_text('{"model_type": "unheard-of"}')
    with pytest.raises(InputError, match="transformers cannot read this network") as caught:
        Pretrained(tmp_path).encode(images())
    assert "\n" not in str(caught.value)


def test_missing_weights_are_refused(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    lost = next(name for name in tensors if name.endswith("convolution.weight"))
    del tensors[lost]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match=r"the weights of '.*convolution.weight' are missing"):
        Pretrained(tmp_path).encode(images())


def test_the_imagenet_network_sees_what_it_should() -> None:
    parent = Path(os.environ.get("DERMSYNTH_WEIGHTS", Path(__file__).parents[3] / "shared" / "weights"))
    folder = parent / "mobilenet_v2_imagenet"
    if not folder.is_dir():
        pytest.skip(f"needs pretrained weights: {folder} is absent (set DERMSYNTH_WEIGHTS)")
    from transformers import MobileNetV2ForImageClassification

    encoder, pixels = Pretrained(folder), images(2, 64)
    assert encoder.side_px == (224, 224)
    features = encoder.encode(pixels)
    assert features.shape == (2, 1280)
    scaled = torch.from_numpy(resized(pixels, 224)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = MobileNetV2ForImageClassification.from_pretrained(folder).eval().mobilenet_v2(scaled).pooler_output
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-3)
