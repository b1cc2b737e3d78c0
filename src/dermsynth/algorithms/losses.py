"""Losses as pure functions of network outputs. Scores are logits in float32, any shape; means run over all of them."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def discriminator_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Return -E[log D(x)] - E[log(1 - D(G(z)))] with D = sigmoid(score) (Goodfellow et al. 2014, equation 1)."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_cross_entropy(fake: Tensor) -> Tensor:
    """Return -E[log D(G(z))], the non-saturating generator loss (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean()
