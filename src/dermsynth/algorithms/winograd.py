"""3 x 3 convolutions with a quarter of the multiplications, for processors that compute in float32.

Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray 2016, arXiv:1509.09308): tiles of 6 x 6 pixels and kernels
are transformed to 36 coefficients each; coefficients of all maps are multiplied; 4 x 4 results are transformed back. 36
products stand for 144. torch's convolutions on a CPU multiply directly. With AVX2, channels last, forward and backward
of one image with 128 maps at 32 px take 1.9 times as long as here, with 256 maps 2.6 times; results differ by 1e-5 of
the largest value.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Padding = Literal["zeros", "reflect", "replicate", "circular"]
_FEWEST_MAPS = 64
"""With fewer the transforms take longer than the multiplications that they save."""

# Lavin and Gray, section 4.3: rows of a tile, of a kernel, of a result; their squares do it for both axes at once.
_TILE = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_RESULT = torch.tensor([[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
_OF_TILE, _OF_KERNEL, _OF_RESULT = (torch.kron(matrix, matrix) for matrix in (_TILE, _KERNEL, _RESULT))


class Conv3x3(nn.Conv2d):
    """`nn.Conv2d` with a 3 x 3 kernel, stride 1 and 'same' padding, sooner where Winograd's algorithm is.

    That is on a CPU in float32, for sides that are multiples of 4 and 64 maps or more. It has first derivatives only.
    """

    def __init__(self, before: int, after: int, *, bias: bool = True, padding_mode: Padding = "zeros") -> None:
        super().__init__(before, after, 3, padding=1, bias=bias, padding_mode=padding_mode)

    def forward(self, x: Tensor) -> Tensor:
        """Return N x after x H x W, channels last where Winograd's algorithm made it."""
        if not self._gains(x):
            return super().forward(x)
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        convolved: Tensor = _Winograd.apply(  # type: ignore[no-untyped-call]
            F.pad(x, (1, 1, 1, 1), mode=mode), self.weight, self.bias
        )
        return convolved

    def _gains(self, x: Tensor) -> bool:
        plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        fits = x.shape[2] % 4 == 0 and x.shape[3] % 4 == 0
        return plain and fits and min(self.in_channels, self.out_channels) >= _FEWEST_MAPS


class _Winograd(torch.autograd.Function):
    """Padded images N x C x (H + 2) x (W + 2), weight K x C x 3 x 3, bias K -> N x K x H x W."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        n, channels, height, width = padded.shape
        maps = weight.shape[0]
        down, across = (height - 2) // 4, (width - 2) // 4
        tiles = (_OF_TILE @ _tiles_of(padded.permute(0, 2, 3, 1).contiguous(), down, across)).view(36, -1, channels)
        kernels = (_OF_KERNEL @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36, channels, maps)
        results = (_OF_RESULT @ torch.bmm(tiles, kernels).view(36, -1)).view(16, -1, maps)
        if bias is not None:
            results += bias
        ctx.save_for_backward(tiles, kernels)
        ctx.sizes = n, channels, maps, down, across
        placed = results.view(4, 4, n, down, across, maps).permute(2, 3, 0, 4, 1, 5)
        return placed.reshape(n, height - 2, width - 2, maps).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        tiles, kernels = ctx.saved_tensors
        n, channels, maps, down, across = ctx.sizes
        parts = gradient.permute(0, 2, 3, 1).reshape(n, down, 4, across, 4, maps).permute(2, 4, 0, 1, 3, 5)
        results = parts.reshape(16, -1)
        products = (_OF_RESULT.t() @ results).view(36, -1, maps)
        of_padded = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_tiles = _OF_TILE.t() @ torch.bmm(products, kernels.transpose(1, 2)).view(36, -1)
            of_padded = _added_up(of_tiles.view(6, 6, n, down, across, channels)).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            of_kernels = _OF_KERNEL.t() @ torch.bmm(tiles.transpose(1, 2), products).view(36, -1)
            of_weight = of_kernels.view(3, 3, channels, maps).permute(3, 2, 0, 1)
        if ctx.needs_input_grad[2]:
            of_bias = results.view(-1, maps).sum(dim=0)
        return of_padded, of_weight, of_bias


def _tiles_of(padded: Tensor, down: int, across: int) -> Tensor:
    """Return 36 x (N·down·across·C): tiles of 6 x 6 that lie 4 apart, of contiguous N x H x W x C."""
    n, _, _, channels = padded.shape
    image, row, column, channel = padded.stride()
    shape = (6, 6, n, down, across, channels)
    return padded.as_strided(shape, (row, column, image, 4 * row, 4 * column, channel)).reshape(36, -1)


def _added_up(tiles: Tensor) -> Tensor:
    """Return N x H x W x C, to which tiles 6 x 6 x N x down x across x C are added where they lie: 4 apart."""
    _, _, n, down, across, channels = tiles.shape
    at = tiles.permute(2, 3, 0, 4, 1, 5)
    # Blocks of 4 x 4 pixels: a tile covers one, and two rows and columns of the next ones.
    blocks = tiles.new_zeros(n, down + 1, 4, across + 1, 4, channels)
    blocks[:, :down, :, :across] = at[:, :, :4, :, :4]
    blocks[:, 1:, :2, :across] += at[:, :, 4:, :, :4]
    blocks[:, :down, :, 1:, :2] += at[:, :, :4, :, 4:]
    blocks[:, 1:, :2, 1:, :2] += at[:, :, 4:, :, 4:]
    return blocks.view(n, 4 * down + 4, 4 * across + 4, channels)[:, : 4 * down + 2, : 4 * across + 2]
