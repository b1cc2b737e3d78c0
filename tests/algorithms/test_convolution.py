"""The twice differentiable convolution against PyTorch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from dermsynth.algorithms.convolution import Conv2d

KINDS = [
    {"kernel_size": 3, "padding": 1, "groups": 2},
    {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
    {"kernel_size": 1},
    {"kernel_size": 4, "groups": 4},
    {"kernel_size": 5, "stride": (2, 1), "padding": (2, 1)},
]


def networks(**kind: object) -> tuple[nn.Module, nn.Module]:
    """Return the same two-layer network with PyTorch's convolutions and with ours."""
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(4, 4, **kind), nn.LeakyReLU(0.2), nn.Conv2d(4, 3, 1), nn.Tanh())  # type: ignore[arg-type]
    ours = copy.deepcopy(theirs)
    for layer in ours:
        if isinstance(layer, nn.Conv2d):
            layer.__class__ = Conv2d
    return theirs, ours


def images() -> Tensor:
    return torch.randn(2, 4, 7, 6, generator=torch.Generator().manual_seed(1))


def penalised(network: nn.Module) -> Tensor:
    """Return a loss of a score and of the gradient of the score with respect to images."""
    at = images().requires_grad_()
    score = network(at).square().sum()
    (gradient,) = torch.autograd.grad(score, at, create_graph=True)
    return score + gradient.square().sum()


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_the_same_images_and_gradients_twice(kind: dict[str, object]) -> None:
    theirs, ours = networks(**kind)
    torch.testing.assert_close(ours(images()), theirs(images()))
    found = [torch.autograd.grad(penalised(net), list(net.parameters())) for net in (theirs, ours)]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_the_second_derivative_agrees_with_finite_differences() -> None:
    layer = Conv2d(2, 2, 3, padding=1).double()
    x = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)

    def gradient(x: Tensor, weight: Tensor) -> Tensor:
        score = torch.func.functional_call(layer, {"weight": weight, "bias": layer.bias}, (x,)).tanh().sum()
        return torch.autograd.grad(score, x, create_graph=True)[0]

    assert torch.autograd.gradcheck(gradient, (x, layer.weight))


def test_gradients_of_weights_are_not_computed_for_a_pass_to_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    from dermsynth.algorithms import convolution

    asked = []
    original = convolution._Geometry.to_weights
    monkeypatch.setattr(
        convolution._Geometry, "to_weights", lambda self, *given: asked.append(1) or original(self, *given)
    )
    _, ours = networks(kernel_size=3)
    at = images().requires_grad_()
    torch.autograd.grad(ours(at).sum(), at)
    assert not asked
    ours(at).sum().backward(inputs=list(ours.parameters()))
    assert len(asked) == 2


def test_it_runs_in_the_precision_of_autocast_with_float32_gradients() -> None:
    theirs, ours = networks(kernel_size=3)
    results = []
    for network in (theirs, ours):
        with torch.autocast("cpu", torch.bfloat16):
            made = network(images())
            loss = made.float().square().sum()
        loss.backward()
        results.append((made, [p.grad for p in network.parameters()]))
        assert made.dtype == torch.bfloat16
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())
    torch.testing.assert_close(results[0], results[1], rtol=0.02, atol=0.02)


def test_without_gradients_it_is_the_plain_convolution() -> None:
    theirs, ours = networks(kernel_size=3)
    with torch.no_grad():
        assert torch.equal(ours(images()), theirs(images()))


@pytest.mark.parametrize("kind", [{"dilation": 2}, {"padding": "same"}, {"padding_mode": "reflect", "padding": 1}])
def test_what_it_does_not_know_is_refused(kind: dict[str, object]) -> None:
    with pytest.raises(NotImplementedError, match="padding is zeros"):
        Conv2d(4, 4, 3, **kind)(images())  # type: ignore[arg-type]


def test_a_gradient_of_weights_cannot_silently_be_differentiated_again() -> None:
    _, ours = networks(kernel_size=3)
    weights = list(ours.parameters())
    first = torch.autograd.grad(ours(images()).square().sum(), weights, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        torch.stack([gradient.square().sum() for gradient in first]).sum().backward()
