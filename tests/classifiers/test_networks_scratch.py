"""ResNets and MobileNet v1 from scratch, against their published sizes."""

from __future__ import annotations

import pytest
import torch
from tests.classifiers.test_networks import pictures
from torch import nn

from dermsynth.classifiers import build, rebuild
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.network import Network
from dermsynth.core.errors import InputError

NAMES = ["mobilenet-v1", "resnet-18", "resnet-50"]


def thin(name: str, classes: int = 3, size_px: int = 64, **settings: object) -> Network:
    """Return the network with an eighth of its channels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(NetworkConfig(model=name, width=8 if name != "mobilenet-v1" else 4, **settings), classes, size_px)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # torchvision's documentation of resnet18 and resnet50: num_params 11689512 and 25557032.
        ("resnet-18", 11_689_512),
        ("resnet-50", 25_557_032),
        # Howard et al. 2017, table 8: 4.2 million; Keras' summary of MobileNet: 4,231,976 trainable ones.
        ("mobilenet-v1", 4_231_976),
    ],
)
def test_networks_have_the_published_number_of_parameters(name: str, published: int) -> None:
    network = build(NetworkConfig(model=name, stem="imagenet"), 1000, 224)
    assert sum(parameter.numel() for parameter in network.parameters()) == published


@pytest.mark.parametrize("name", NAMES)
def test_width_scales_every_layer(name: str) -> None:
    network, own = thin(name), {"mobilenet-v1": 1024, "resnet-18": 512, "resnet-50": 2048}[name]
    assert network.features(pictures(2)).shape == (2, own // 8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("stem", "size_px", "side"), [("imagenet", 64, 2), ("auto", 64, 2), ("auto", 63, None)])
def test_the_stem_decides_how_much_of_the_image_is_left(name: str, stem: str, size_px: int, side: int | None) -> None:
    network, seen = thin(name, size_px=size_px, stem=stem), []
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    layers[-1].register_forward_hook(lambda _layer, _before, after: seen.append(after.shape[-1]))
    network(pictures(2, size_px))
    small = {"mobilenet-v1": 4, "resnet-18": 8, "resnet-50": 8}[name]
    assert seen == [side or small]


@pytest.mark.parametrize("name", NAMES)
def test_too_small_an_image_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="31 px, this network needs 32"):
        thin(name, size_px=31, stem="imagenet")


@pytest.mark.parametrize("name", NAMES)
def test_statistics_follow_a_tenth_of_a_batch(name: str) -> None:
    assert {m.momentum for m in thin(name).modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


@pytest.mark.parametrize("stem", ["small", "imagenet"])
@pytest.mark.parametrize("name", NAMES)
def test_a_network_made_again_is_the_same_function(name: str, stem: str) -> None:
    network = thin(name, stem=stem)
    again = rebuild(network.description, 3)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(pictures(2)), network.eval()(pictures(2)), rtol=0, atol=0)


@pytest.mark.parametrize("stem", ["small", "imagenet"])
@pytest.mark.parametrize("name", NAMES)
def test_parts_hold_every_parameter_once_from_the_input_on(name: str, stem: str) -> None:
    network = thin(name, stem=stem)
    parts = network.parts()
    held = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in network.parameters())
    order: list[int] = []
    for number, part in enumerate(parts):
        part.register_forward_pre_hook(lambda _module, _images, number=number: order.append(number))
    network(pictures(2))
    assert order == list(range(len(parts)))
    assert parts[-1] is network.head


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_and_channels_last_agree_with_float32(name: str) -> None:
    network, images = thin(name).eval(), pictures(4)
    with torch.no_grad():
        exact = network.features(images)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(network.features(images), exact, rtol=1e-3, atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network.features(images)
            scores = network(images)
    assert rough.dtype == scores.dtype == torch.float32
    assert (rough - exact).norm() / exact.norm() < 0.05
    torch.testing.assert_close(network.head(rough), scores)


@pytest.mark.parametrize("name", NAMES)
def test_images_leave_a_trace_before_batch_norm_knows_its_statistics(name: str) -> None:
    features = thin(name).eval().features(pictures(8))
    assert 1e-2 < features.std() < 1e2


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_few_images_falls(name: str) -> None:
    network, images, labels = thin(name), pictures(12), torch.arange(12) % 3
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    lost = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        lost.append(loss.item())
    assert min(lost[-3:]) < 0.5 * lost[0]
