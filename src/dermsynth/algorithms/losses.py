"""Losses as pure functions of network outputs. Scores are logits in float32, any shape; means run over all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Critic = Callable[[Tensor], Tensor]
"""Images N x 3 x H x W -> scores, N or N x …, each a function of its own image."""


def discriminator_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E[log D(x)] - E[log(1 - D(G(z)))] with D = sigmoid(score) (Goodfellow et al. 2014, equation 1)."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_cross_entropy(fake: Tensor) -> Tensor:
    """Return -E[log D(G(z))], the non-saturating generator loss (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Return E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Lim and Ye 2017; Miyato et al. 2018, equation 16)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """Return -E[D(G(z))] (Miyato et al. 2018, equation 17)."""
    return -fake.mean()


def least_squares(score: Tensor, target: float) -> Tensor:
    """Return E[(D - target)²] (LSGAN, Mao et al. 2017, arXiv:1611.04076; CycleGAN uses targets 1 and 0)."""
    return (score - target).square().mean()


def relativistic_pairing(winner: Tensor, loser: Tensor) -> Tensor:
    """Return E[softplus(loser - winner)], the relativistic pairing loss of image i of one set against i of the other.

    The discriminator minimises it with real images as winners, the generator with fake ones (Jolicoeur-Martineau 2019,
    arXiv:1807.00734; R3GAN, arXiv:2501.05441, equation 2).
    """
    return softplus(loser - winner).mean()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Return E[(‖∇D(x̂)‖₂ - 1)²] at x̂ = mix·real + (1 - mix)·fake (Gulrajani et al. 2017, arXiv:1704.00028).

    Args:
        critic: Scores; all scores of an image count as one, their mean.
        real: N x 3 x H x W.
        fake: The same shape.
        mix: N, uniform in [0, 1).
    """
    weight = mix.view(-1, 1, 1, 1)
    between = (weight * real + (1 - weight) * fake).detach().requires_grad_()
    norms: Tensor = _gradient(critic(between), between).flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


def zero_centred_penalty(critic: Critic, images: Tensor) -> Tensor:
    """Return E[‖∇D(x)‖²]: R1 on real images, R2 on fake ones (Mescheder et al. 2018, arXiv:1801.04406).

    The loss is gamma / 2 times this.
    """
    at = images.detach().requires_grad_()
    return squared_gradient(critic(at), at)


def squared_gradient(scores: Tensor, images: Tensor) -> Tensor:
    """Return E[‖∇D(x)‖²] from the scores of `images`, which require a gradient: no second forward pass."""
    return _gradient(scores, images).square().flatten(1).sum(dim=1).mean()


def _gradient(scores: Tensor, images: Tensor) -> Tensor:
    """Return the gradient of every image's mean score with respect to the image, in float32, differentiable."""
    means = scores.float().reshape(len(images), -1).mean(dim=1)
    (gradient,) = torch.autograd.grad(means.sum(), images, create_graph=True)
    return gradient.float()
