"""Networks from images to one score per class. They know no loss."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from dermsynth.core.errors import InputError


class SmallCnn(nn.Module):
    """The "CNN" of Goren & Cinarer (paper 001) at 64 px, as we read it.

    The paper gives no layer table, only: from scratch, ReLU, Adam. This is the plain stack of its time: four times
    (3x3 convolution, 2x2 max-pooling, batch norm, ReLU) with width, 2, 4 and 8 times width channels, then the mean
    over the image and one linear layer, for images of any side from 16 px.

    Pooling comes before batch norm and ReLU: ReLU and a scale above zero (it starts at 1) keep the order of values, so
    the maximum is the same one, and the two most memory-bound layers work on a quarter of the values.

    Args:
        classes: Number of scores.
        width: Channels of the first convolution.
    """

    MIN_SIZE_PX = 16  # four poolings leave one pixel of it

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width]
        self.blocks = nn.Sequential(*(_block(before, after) for before, after in pairwise(channels)))
        self.scores = nn.Linear(channels[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores N x classes, float32, for images N x 3 x H x W in [-1, 1]; a softmax makes probabilities.

        Raises:
            InputError: the images are too small.
        """
        if min(images.shape[2:]) < self.MIN_SIZE_PX:
            raise InputError(
                f"images have {min(images.shape[2:])} px, this network needs {self.MIN_SIZE_PX}; ingest larger ones"
            )
        features = self.blocks(images).float().mean(dim=(2, 3))
        # In bfloat16 the scores would have 8 bits: ties between classes, and steps in every ROC curve.
        with torch.autocast(images.device.type, enabled=False):
            scores: Tensor = self.scores(features)
        return scores


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),  # batch norm has the bias
        nn.MaxPool2d(2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
