"""ResNets and MobileNet v1 from scratch, as papers 001, 003 and 004 train them."""

from __future__ import annotations

from typing import Literal

from torch import nn
from transformers import MobileNetV1Config, ResNetConfig

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.vision import Vision, plain

_SMALL_BELOW_PX = 64
"""The papers' stem leaves 2 x 2 places of such an image, and one of a smaller image: the rest is padding."""


def resnet_18(choice: NetworkConfig, argument: str, size_px: int) -> Vision:
    """Return the backbone of the model `resnet-18` (He et al. 2016, arXiv:1512.03385, table 1)."""
    return _resnet(choice, size_px, [2, 2, 2, 2], 1, "basic")


def resnet_50(choice: NetworkConfig, argument: str, size_px: int) -> Vision:
    """Return the backbone of the model `resnet-50`: bottlenecks, with the stride in their 3 x 3 convolution."""
    return _resnet(choice, size_px, [3, 4, 6, 3], 4, "bottleneck")


def mobilenet_v1(choice: NetworkConfig, argument: str, size_px: int) -> Vision:
    """Return the backbone of the model `mobilenet-v1` (Howard et al. 2017, arXiv:1704.04861, table 1).

    Weights start so that what passes keeps its variance (He et al. 2015, arXiv:1502.01852). Those of `transformers`,
    N(0, 0.02) everywhere, shrink it to 1e-35 through 27 layers until batch norm has learnt its statistics.
    """
    config = MobileNetV1Config(
        depth_multiplier=(choice.width or 32) / 32,
        min_depth=1,
        hidden_act="relu",  # the paper's; ReLU6 came with the code for phones
        tf_padding=False,  # TensorFlow's padding is off centre, and slower here
    )
    made = Vision(plain(config), stem=_stem(choice, size_px))
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return made


def _resnet(
    choice: NetworkConfig, size_px: int, depths: list[int], widening: int, layer: Literal["basic", "bottleneck"]
) -> Vision:
    width = choice.width or 64
    config = ResNetConfig(
        embedding_size=width,
        hidden_sizes=[width * widening * 2**stage for stage in range(4)],
        depths=depths,
        layer_type=layer,
    )
    return Vision(plain(config), stem=_stem(choice, size_px))


def _stem(choice: NetworkConfig, size_px: int) -> str:
    if choice.stem != "auto":
        return choice.stem
    return "small" if size_px < _SMALL_BELOW_PX else "imagenet"
