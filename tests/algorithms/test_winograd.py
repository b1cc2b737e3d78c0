"""Winograd's convolution against torch's, and where it stands aside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dermsynth.algorithms import winograd
from dermsynth.algorithms.winograd import Conv3x3, Padding


def numbers(n: int, maps: int, height: int, width: int) -> Tensor:
    return torch.randn(n, maps, height, width, generator=torch.Generator().manual_seed(0))


def both(layer: Conv3x3, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """Return output and gradients (of x, weight, bias) by Winograd's algorithm and by torch's."""
    found = []
    for fewest in (1, 10**9):
        monkeypatch.setattr(winograd, "_FEWEST_MAPS", fewest)
        given = x.clone().requires_grad_()
        y = layer(given)
        # Weights that differ from pixel to pixel, or shifted gradients would look right.
        towards = torch.arange(y.numel()).view(y.shape).sin()
        found.append([y, *torch.autograd.grad((y * towards).sum(), [given, *layer.parameters()])])
    return found


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).abs().max() <= 2e-5 * theirs.abs().max()


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize(("n", "before", "after", "height", "width"), [(1, 3, 5, 4, 4), (3, 4, 2, 8, 12)])
def test_it_is_torchs_convolution(
    monkeypatch: pytest.MonkeyPatch, padding: Padding, n: int, before: int, after: int, height: int, width: int
) -> None:
    layer = Conv3x3(before, after, padding_mode=padding)
    for ours, theirs in zip(*both(layer, numbers(n, before, height, width), monkeypatch), strict=True):
        assert_close(ours, theirs)


def test_channels_last_gives_the_same_and_stays_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv3x3(4, 6).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = numbers(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    ours, theirs = both(layer, x, monkeypatch)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other)
    assert ours[0].is_contiguous(memory_format=torch.channels_last)


def test_without_a_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = both(Conv3x3(4, 4, bias=False), numbers(1, 4, 4, 4), monkeypatch)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize(
    ("maps", "size_px", "dtype"), [(63, 8, torch.float32), (64, 10, torch.float32), (64, 8, torch.bfloat16)]
)
def test_it_stands_aside_where_it_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, maps: int, size_px: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(winograd, "_Winograd", None)
    layer, x = Conv3x3(maps, 64), numbers(1, maps, size_px, size_px)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert layer(x).dtype == dtype


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    x = numbers(1, 64, 4, 4).requires_grad_()
    (first,) = torch.autograd.grad(Conv3x3(64, 64)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
