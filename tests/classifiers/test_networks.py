"""The networks: shapes, precision of the scores, parts that cover them, and the registry."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dermsynth.classifiers import build, rebuild
from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.networks.small_cnn import SmallCnn
from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError, InputError


def pictures(n: int, size_px: int = 64) -> torch.Tensor:
    """Return n random images in [-1, 1]."""
    return torch.rand(n, 3, size_px, size_px, generator=torch.Generator().manual_seed(0)) * 2 - 1


def small(classes: int = 3) -> Network:
    return build(NetworkConfig(width=4), classes, 32)


@pytest.mark.parametrize("size_px", [16, 50, 128])
def test_the_small_cnn_scores_images_of_every_size(size_px: int) -> None:
    assert build(NetworkConfig(width=4), 5, size_px)(pictures(2, size_px)).shape == (2, 5)


def test_scores_are_float32_under_autocast() -> None:
    network = small().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        scores = network(pictures(64, 32))
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, scores.bfloat16().float())  # more digits than bfloat16 holds


def test_pooling_first_is_the_same_function_as_pooling_last() -> None:
    torch.manual_seed(0)
    network = SmallCnn(4).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    features = pictures(3, 32)
    for convolution, pool, norm, relu in network.layers:  # type: ignore[misc]
        features = pool(relu(norm(convolution(features))))
    torch.testing.assert_close(network(pictures(3, 32)), features.mean(dim=(2, 3)))


def test_the_head_on_the_features_makes_the_scores_and_parts_hold_both() -> None:
    network = small()
    torch.testing.assert_close(network.head(network.eval().features(pictures(2))), network(pictures(2)))
    held = [id(parameter) for part in network.parts() for parameter in part.parameters()]
    assert held == [id(parameter) for parameter in network.parameters()]
    assert network.parts()[-1] is network.head


def test_memory_does_not_grow_with_the_images() -> None:
    network = small()
    assert [network.at_once(size_px) for size_px in (32, 64, 128, 2000)] == [256, 256, 64, 1]


def test_too_small_images_are_refused_before_and_after_building() -> None:
    with pytest.raises(InputError, match="8 px, this network needs 16"):
        build(NetworkConfig(), 3, 8)
    with pytest.raises(InputError, match="8 px, this network needs 16"):
        small()(pictures(2, 8))


def test_one_image_is_no_batch_for_batch_norm_to_learn_from() -> None:
    network = small()
    with pytest.raises(InputError, match="a batch of one image"):
        network(pictures(1))
    assert network.eval()(pictures(1)).shape == (1, 3)


def test_a_network_made_again_has_the_same_weights_by_name_and_shape() -> None:
    network = small()
    again = rebuild(network.description, 3)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(pictures(2)), network.eval()(pictures(2)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "smal-cnn"}, "'model' is 'smal-cnn': unknown model; did you mean 'small-cnn'?"),
        ({"stem": "small"}, "stem: 'small-cnn' has no such setting"),
        ({"fresh": True}, "fresh: 'small-cnn' has no such setting"),
    ],
)
def test_what_no_network_has_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        parse(NetworkConfig, wrong, "settings")
