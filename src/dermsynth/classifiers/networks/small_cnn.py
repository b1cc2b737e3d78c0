"""The small convolutional network of paper 001."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from dermsynth.classifiers.networks.config import NetworkConfig
from dermsynth.classifiers.networks.network import Backbone

_WIDTH = 16


class SmallCnn(Backbone):
    """The "CNN" of Goren & Cinarer (paper 001) at 64 px, as we read it, without its linear layer.

    The paper gives no layer table, only: from scratch, ReLU, Adam. This is the plain stack of its time: four times
    (3x3 convolution, 2x2 max-pooling, batch norm, ReLU) with width, 2, 4 and 8 times width channels, then the mean
    over the image, for images of any side from 16 px.

    Pooling comes before batch norm and ReLU: ReLU and a scale above zero (it starts at 1) keep the order of values, so
    the maximum is the same one, and the two most memory-bound layers work on a quarter of the values.

    Args:
        width: Channels of the first convolution.
    """

    kind = "small-cnn"

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width]
        self.width, self.dimensions = width, channels[-1]
        self.least_px = 16  # four poolings leave one pixel of it
        self.layers = nn.Sequential(*(_block(before, after) for before, after in pairwise(channels)))

    @property
    def settings(self) -> dict[str, Any]:
        """Return the width."""
        return {"width": self.width}

    def blocks(self) -> list[nn.Module]:
        """Return the four blocks."""
        return list(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return features N x 8 width, float32."""
        features: Tensor = self.layers(images).float().mean(dim=(2, 3))
        return features


def small_cnn(choice: NetworkConfig, argument: str, size_px: int) -> SmallCnn:
    """Return the backbone of the model `small-cnn`."""
    return SmallCnn(choice.width or _WIDTH)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),  # batch norm has the bias
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
