"""Layers that several papers share. What only one paper has stands in that paper's file."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def with_class(noise: Tensor, labels: Tensor, condition: int) -> Tensor:
    """Return noise N x latent with the class appended as a one-hot vector; `condition` 0 appends nothing."""
    if not condition:
        return noise
    return torch.cat([noise, class_vector(labels, condition).to(noise.dtype)], dim=1)


def class_vector(labels: Tensor, condition: int) -> Tensor:
    """Return N x K for K = `condition` classes: one-hot for labels N; shares of classes, N x K, as they are."""
    return labels if labels.is_floating_point() else F.one_hot(labels, condition)


def embedded(embedding: nn.Embedding, labels: Tensor) -> Tensor:
    """Return the vectors of labels N, or between them for shares of classes, N x K."""
    found: Tensor = labels @ embedding.weight if labels.is_floating_point() else embedding(labels)
    return found


def own_class(scores: Tensor, labels: Tensor) -> Tensor:
    """Return, of scores N x K, the one of the image's own class, N; with K = 1 the only one."""
    return scores.gather(1, labels[:, None]).squeeze(1) if scores.shape[1] > 1 else scores.squeeze(1)


def doublings(size_px: int, first_px: int = 4) -> int | None:
    """Return how often `first_px` is doubled to reach `size_px`: 4 for 64; None where it never does."""
    times = size_px // first_px
    if times < 1 or size_px % first_px or times & (times - 1):
        return None
    return times.bit_length() - 1


def capped_maps(width: int, most_maps: int, size_px: int) -> int:
    """Return the number of maps at a size: `width` at 64 px, twice as many at half the side, within 1 and `most_maps`.

    256 and 512 are Progressive GAN's (arXiv:1710.10196, table 2): 512 up to 32 px, 16 at 1024 px.
    """
    return max(1, min(most_maps, width * 64 // size_px))


def pixel_norm(x: Tensor) -> Tensor:
    """Return x, N x C or N x C x H x W, with a mean square of 1 over C (arXiv:1710.10196, section 4.2)."""
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    scale = (length.square() / x.shape[1] + 1e-8).rsqrt()
    return x * scale.to(x.dtype)


def normal_init(network: nn.Module, deviation: float = 0.02) -> None:
    """Draw weights from N(0, deviation) and norm gains from N(1, deviation); biases start at 0 (DCGAN, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, deviation)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.weight is not None:
            nn.init.normal_(module.weight, 1.0, deviation)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def he_init(layers: nn.Sequential, condition: int = 0) -> None:
    """Draw the weights of linear layers so that what passes keeps its variance through ReLUs; biases start at 0.

    He et al. 2015, arXiv:1502.01852, uniform. The first layer's last `condition` inputs, a one-hot class, weigh as much
    as all others together: as one input among thousands of pixels the class is not found.
    """
    linear = [module for module in layers.modules() if isinstance(module, nn.Linear)]
    for layer in linear:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    if condition:
        with torch.no_grad():
            linear[0].weight[:, -condition:].normal_()


class EqualisedLinear(nn.Module):
    """A linear layer with equalised learning rate (Karras et al. 2018, arXiv:1710.10196, section 4.1).

    The stored weights are N(0, 1) and are scaled by He's constant whenever they are used, so that Adam moves every
    layer at the same relative speed. `rate` slows the layer down further (StyleGAN's mapping network, 0.01).
    """

    def __init__(self, before: int, after: int, *, gain: float = 1.0, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))
        self.scale, self.rate = gain / math.sqrt(before) * rate, rate

    def forward(self, x: Tensor) -> Tensor:
        """Return N x after."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConv2d(nn.Module):
    """A convolution with equalised learning rate, 'same' padding and stride 1; see EqualisedLinear."""

    def __init__(self, before: int, after: int, kernel_px: int, *, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel_px, kernel_px))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.scale, self.padding = gain / math.sqrt(before * kernel_px**2), kernel_px // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return N x after x H x W."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class MinibatchDeviation(nn.Module):
    """Appends a map with the standard deviation over a group of images (Karras et al. 2018, section 3).

    A discriminator can see from it that fake images vary too little. N x C x H x W -> N x (C + 1) x H x W. Groups are
    formed by position in the batch, `group` images each, or all where N is smaller or not a multiple.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Return x with one more channel."""
        n, channels, height, width = x.shape
        group = self.group if n % self.group == 0 else n
        grouped = x.float().reshape(group, -1, channels, height, width)
        spread = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        extra = spread.repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width).to(x.dtype)
        return torch.cat([x, extra], dim=1)


def doubling_maps(width: int, stages: int) -> list[int]:
    """Return the number of maps from the image inwards: 64, 128, 256, 512 for width 64 and 4 stages."""
    return [width * 2**stage for stage in range(stages)]
