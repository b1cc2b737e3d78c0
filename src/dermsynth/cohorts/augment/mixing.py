"""Mixup (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899), image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from dermsynth.cohorts.augment import ClassicalAugmentation


def mix(
    images: torch.Tensor, labels: torch.Tensor, classes: int, config: ClassicalAugmentation, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images mixed with others of the batch, and every class's share of the pixels.

    The papers draw one share for a batch and may mix an image with itself; here each image draws its own share and
    meets another image. A share is the quantile of its Beta
    distribution at a uniform value, so every image takes the same number of draws, and a larger alpha moves it to the
    middle. If both are on, either acts on half of the images.

    Args:
        images: N x 3 x H x W, float32 in [-1, 1], any memory format and device, H = W.
        labels: N, int64.
        classes: Number of classes.
        config: `mixup_alpha` and `cutmix_alpha`, one of them above 0.
        generator: Source of the values.

    Returns:
        Images like the input, and targets N x classes, float32, whose rows sum to 1.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F
    from scipy.special import betaincinv

    from dermsynth.cohorts.augment.erasing import boxes

    draws = torch.rand(len(images), 5, generator=generator, device=generator.device)
    chance = bool(config.cutmix_alpha) / (bool(config.cutmix_alpha) + bool(config.mixup_alpha))
    which, share = draws[:, :2].cpu().double().numpy().T
    alpha = np.where(which < chance, config.cutmix_alpha, config.mixup_alpha)
    kept = torch.from_numpy(betaincinv(alpha, alpha, share)).float().to(images.device)
    side = (1 - kept).sqrt()
    which, _, y, x, place = draws.to(images.device).unbind(1)
    pasted = boxes(images.shape[-1], y - side / 2, side, x - side / 2, side)
    theirs = torch.where((which < chance)[:, None, None, None], pasted.float(), (1 - kept)[:, None, None, None])
    order = place.argsort()
    partner = order.roll(1)[order.argsort()]  # in a ring of random order, the one before
    shares = theirs.mean(dim=(1, 2, 3))[:, None]
    targets = F.one_hot(labels, classes).float()
    return images.lerp(images[partner], theirs), targets.lerp(targets[partner], shares)
