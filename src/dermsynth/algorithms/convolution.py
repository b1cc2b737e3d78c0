"""A convolution for networks whose gradients are part of a loss: the same numbers as `nn.Conv2d`, sooner.

A gradient penalty differentiates the gradient of a score with respect to an image once more, with respect to weights.
PyTorch expresses that second derivative by convolutions with the roles of batch, maps and pixels exchanged: kernels as
large as the image, and copies to get there. Here all derivatives are the two that every backward pass has, of inputs
and of weights, since those are each other's derivatives. A discriminator step of R3GAN with R1 and R2 takes two thirds
of the time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_Pair = tuple[int, ...]


class _Geometry(NamedTuple):
    stride: _Pair
    padding: _Pair
    groups: int

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.conv2d(x, weight, bias, self.stride, self.padding, 1, self.groups)

    def to_input(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of x, of which only the shape matters."""
        return self._backward(gradient, x, weight, [True, False, False])[0]

    def to_weights(self, gradient: Tensor, x: Tensor, weight: Tensor, bias: bool) -> tuple[Tensor, Tensor | None]:
        """Return the gradients of the weight, of which only the shape matters, and of the bias."""
        _, of_weight, of_bias = self._backward(gradient, x, weight, [False, True, bias])
        return of_weight, of_bias if bias else None

    def _backward(self, gradient: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
        maps = [weight.shape[0]]
        found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
            gradient, x, weight, maps, self.stride, self.padding, [1, 1], False, [0, 0], self.groups, wanted
        )
        return found


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with zero padding and no dilation, whose second derivatives are cheap.

    What may be differentiated twice is the gradient with respect to the input, as penalties do; the gradient with
    respect to weights may be taken once.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return N x out_channels x H' x W'."""
        if not torch.is_grad_enabled():
            return super().forward(x)
        weight, bias, kind = self.weight, self.bias, x.device.type
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        with torch.autocast(kind, enabled=False):
            return convolved(x, weight, bias, _Geometry(self.stride, self._padding(), self.groups))

    def _padding(self) -> _Pair:
        if isinstance(self.padding, str) or self.padding_mode != "zeros" or set(self.dilation) != {1}:
            raise NotImplementedError("padding is zeros of a number of pixels, and dilation 1")
        return self.padding


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
    """Return the convolution of x; gradients of weights are computed only where a backward pass asks for them."""
    # Autograd asks whole nodes. With the weights at a node of their own, which adds nothing but hears of the gradient,
    # a pass that wants gradients of images (a penalty, the generator's step) does not compute those of the weights.
    listener = _Weights.apply(x.detach(), weight, bias, geometry)  # type: ignore[no-untyped-call]
    result: Tensor = _Convolution.apply(x, weight, bias, listener, geometry)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, listener: Tensor, geometry: _Geometry
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return geometry.forward(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, Tensor, None]:
        x, weight = ctx.saved_tensors
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = _InputGradient.apply(gradient, weight, x.detach(), ctx.geometry)  # type: ignore[no-untyped-call]
        return of_x, None, None, gradient, None


class _Weights(torch.autograd.Function):
    """Zeros in the shape of the convolution's result, without memory; their gradient is that of the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.has_bias = geometry, bias is not None
        sides = [
            (side + 2 * padding - kernel) // stride + 1
            for side, padding, kernel, stride in zip(
                x.shape[2:], geometry.padding, weight.shape[2:], geometry.stride, strict=True
            )
        ]
        return x.new_zeros(()).expand(len(x), len(weight), *sides)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        return None, *ctx.geometry.to_weights(gradient, x, weight, ctx.has_bias), None


class _InputGradient(torch.autograd.Function):
    """The gradient of the input, linear in the incoming gradient and in the weight."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, x: Tensor, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.geometry = geometry
        return geometry.to_input(gradient, x, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, second: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        gradient, weight = ctx.saved_tensors
        of_gradient = of_weight = None
        if ctx.needs_input_grad[0]:
            of_gradient = ctx.geometry.forward(second, weight, None)
        if ctx.needs_input_grad[1]:
            of_weight, _ = ctx.geometry.to_weights(gradient, second, weight, False)
        return of_gradient, of_weight, None, None
