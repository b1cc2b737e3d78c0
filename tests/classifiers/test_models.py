"""The networks: shapes, precision of the scores, and the registry."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dermsynth.classifiers import MODELS, model_builder
from dermsynth.classifiers.models import SmallCnn
from dermsynth.core.errors import ConfigError, InputError


@pytest.mark.parametrize("size_px", [16, 32, 50, 64, 128])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_scores_images_of_every_size(name: str, size_px: int) -> None:
    network = model_builder(name)(5, 4)
    assert network(torch.zeros(2, 3, size_px, size_px)).shape == (2, 5)


def test_scores_are_float32_under_autocast() -> None:
    network = SmallCnn(3, 4).eval()
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        scores = network(images)
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, scores.bfloat16().float())  # more digits than bfloat16 holds


def test_pooling_first_is_the_same_function_as_pooling_last() -> None:
    torch.manual_seed(0)
    network = SmallCnn(4, 4).eval()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    features = images
    for convolution, pool, norm, relu in network.blocks:  # type: ignore[misc, attr-defined]
        features = pool(relu(norm(convolution(features))))
    torch.testing.assert_close(network(images), network.scores(features.mean(dim=(2, 3))))


def test_too_small_images_are_refused() -> None:
    with pytest.raises(InputError, match="8 px, this network needs 16"):
        SmallCnn(3, 4)(torch.zeros(2, 3, 8, 8))


def test_a_misspelt_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown model 'smal-cnn'; did you mean 'small-cnn'"):
        model_builder("smal-cnn")
