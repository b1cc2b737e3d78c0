"""The network of Inception-v3 up to its pooled features (Szegedy et al. 2016, arXiv:1512.00567), as FID has it.

Layers carry the names of the published weights. Every 3 x 3 mean leaves out the padding, and the last block takes a
maximum where the one before takes a mean: both are so in TensorFlow's graph of 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE_PX = 299

Kernel = int | tuple[int, int]
Step = tuple[str, int, Kernel]
"""A convolution: the end of its name, its channels, its kernel (height, width)."""


class InceptionV3(nn.Module):
    """Images N x 3 x 299 x 299, float32 in [-1, 1) -> features N x 2048."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.Mixed_5b = _block_of_5(192, 32)
        self.Mixed_5c = _block_of_5(256, 64)
        self.Mixed_5d = _block_of_5(288, 64)
        self.Mixed_6a = _Block(
            288,
            [
                [("branch3x3", 384, 3)],
                [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
            ],
            "maximum",
            stride=2,
        )
        self.Mixed_6b = _block_of_6(128)
        self.Mixed_6c = _block_of_6(160)
        self.Mixed_6d = _block_of_6(160)
        self.Mixed_6e = _block_of_6(192)
        self.Mixed_7a = _Block(
            768,
            [
                [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)],
                [
                    ("branch7x7x3_1", 192, 1),
                    ("branch7x7x3_2", 192, (1, 7)),
                    ("branch7x7x3_3", 192, (7, 1)),
                    ("branch7x7x3_4", 192, 3),
                ],
            ],
            "maximum",
            stride=2,
        )
        self.Mixed_7b = _block_of_7(1280, "mean")
        self.Mixed_7c = _block_of_7(2048, "maximum")

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = F.max_pool2d(x, 3, stride=2)
        for block in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a, self.Mixed_6b, self.Mixed_6c):
            x = block(x)
        for block in (self.Mixed_6d, self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c):
            x = block(x)
        pooled: Tensor = x.mean(dim=(2, 3))
        return pooled


def resized(pixels: Tensor) -> Tensor:
    """Return images N x C x H x W at 299 px, resized as TensorFlow 1 does: pixel i lies at i times the sides' ratio."""
    (low_y, high_y, part_y), (low_x, high_x, part_x) = (_places(side, pixels) for side in pixels.shape[2:])
    upper, lower = pixels[:, :, low_y], pixels[:, :, high_y]
    top, bottom = (rows[..., low_x] + (rows[..., high_x] - rows[..., low_x]) * part_x for rows in (upper, lower))
    return top + (bottom - top) * part_y[:, None]


def _places(side: int, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each of the 299 pixels the two pixels that it lies between, and how far it is from the first."""
    places = torch.arange(SIDE_PX, dtype=torch.float32, device=pixels.device) * (side / SIDE_PX)
    low = places.floor().long()
    return low, (low + 1).clamp(max=side - 1), (places - low).to(pixels.dtype)


class _Convolution(nn.Module):
    def __init__(self, before: int, after: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """Branches of convolutions and one of pooling, side by side; with `stride` 2 the last of each halves the side.

    Where two steps share their number (2a and 2b), both see what came before, and both are in the output.
    """

    def __init__(
        self, before: int, branches: list[list[Step]], pooling: str, *, pooled: int | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        self.branches, self.pooling, self.stride = branches, pooling, stride
        for steps in branches:
            channels = before
            for number, (name, after, kernel) in enumerate(steps):
                halves = stride == 2 and number == len(steps) - 1
                high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
                padding = 0 if halves else (high // 2, wide // 2)
                self.add_module(name, _Convolution(channels, after, kernel, 2 if halves else 1, padding))
                channels = channels if name.endswith("a") else after
        if pooled is not None:
            self.branch_pool = _Convolution(before, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for steps in self.branches:
            y = x
            for name, _, _ in steps:
                z = getattr(self, name)(y)
                if name.endswith("a"):
                    found.append(z)
                else:
                    y = z
            found.append(y)
        if self.stride == 2:
            found.append(F.max_pool2d(x, 3, stride=2))
        else:
            around = (
                F.max_pool2d(x, 3, stride=1, padding=1)
                if self.pooling == "maximum"
                else F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
            )
            found.append(self.branch_pool(around))
        return torch.cat(found, dim=1)


def _block_of_5(before: int, pooled: int) -> _Block:
    branches: list[list[Step]] = [
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
    ]
    return _Block(before, branches, "mean", pooled=pooled)


def _block_of_6(narrow: int) -> _Block:
    wide, high = (1, 7), (7, 1)
    branches: list[list[Step]] = [
        [("branch1x1", 192, 1)],
        [("branch7x7_1", narrow, 1), ("branch7x7_2", narrow, wide), ("branch7x7_3", 192, high)],
        [
            ("branch7x7dbl_1", narrow, 1),
            ("branch7x7dbl_2", narrow, high),
            ("branch7x7dbl_3", narrow, wide),
            ("branch7x7dbl_4", narrow, high),
            ("branch7x7dbl_5", 192, wide),
        ],
    ]
    return _Block(768, branches, "mean", pooled=192)


def _block_of_7(before: int, pooling: str) -> _Block:
    wide, high = (1, 3), (3, 1)
    branches: list[list[Step]] = [
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), ("branch3x3_2a", 384, wide), ("branch3x3_2b", 384, high)],
        [
            ("branch3x3dbl_1", 448, 1),
            ("branch3x3dbl_2", 384, 3),
            ("branch3x3dbl_3a", 384, wide),
            ("branch3x3dbl_3b", 384, high),
        ],
    ]
    return _Block(before, branches, pooling, pooled=192)
