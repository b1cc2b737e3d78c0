"""Mixup and CutMix: labels follow pixels, shares follow their distribution."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.cohorts.augment.mixing import mix
from dermsynth.core.randomness import torch_generator

MIXUP, CUTMIX, BOTH = {"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.4, "cutmix_alpha": 1.0}
CLASSES = 3


def mixed(images: torch.Tensor, labels: torch.Tensor, **alphas: float) -> tuple[torch.Tensor, torch.Tensor]:
    config = ClassicalAugmentation(policy="none", **alphas)
    return mix(images, labels, CLASSES, config, torch_generator(0, "mix"))


def coloured(count: int = 60, size_px: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images in which every pixel has the colour of the label: 1 in its channel, -1 in the others."""
    labels = torch.arange(count) % CLASSES
    colours = torch.eye(CLASSES)[labels] * 2 - 1
    return colours[:, :, None, None].expand(-1, -1, size_px, size_px).contiguous(), labels


@settings(max_examples=25, deadline=None)
@given(
    mixup=st.floats(0.05, 10),
    cutmix=st.floats(0.05, 10),
    on=st.sampled_from([(1, 0), (0, 1), (1, 1)]),
    n=st.integers(1, 20),
)
def test_the_mass_of_the_labels_is_that_of_the_pixels(mixup: float, cutmix: float, on: tuple[int, int], n: int) -> None:
    images, targets = mixed(*coloured(n), mixup_alpha=mixup * on[0], cutmix_alpha=cutmix * on[1])
    torch.testing.assert_close((images.mean(dim=(2, 3)) + 1) / 2, targets, atol=1e-5, rtol=0)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(n))
    assert targets.min() >= 0


def test_mixup_blends_whole_images() -> None:
    images, _ = mixed(*coloured(), **MIXUP)
    assert torch.equal(images, images[:, :, :1, :1].expand_as(images))


def test_cutmix_pastes_one_rectangle_of_another_image() -> None:
    before, labels = coloured()
    images, targets = mixed(before, labels, **CUTMIX)
    assert images.abs().eq(1).all()  # pixels come from either image, unblended
    foreign = (images != before).any(dim=1)
    filled = foreign.any(dim=1).sum(dim=1) * foreign.any(dim=2).sum(dim=1)
    assert torch.equal(filled, foreign.sum(dim=(1, 2)))
    assert 0.1 < foreign.float().mean() < 0.5
    assert (targets.amax(dim=1) < 1).any()


def test_with_both_each_acts_on_about_half_of_the_images() -> None:
    images, targets = mixed(*coloured(900), **BOTH)
    soft = targets.amax(dim=1) < 0.99
    blended = images[soft].abs().lt(0.999).any(dim=(1, 2, 3)).float().mean()
    assert 0.35 < blended < 0.65


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_shares_of_mixup_have_their_beta_distribution(alpha: float) -> None:
    count = 2000
    images = torch.ones(count, 3, 2, 2) * torch.linspace(-1, 1, count)[:, None, None, None]
    _, targets = mix(
        images,
        torch.arange(count),
        count,
        ClassicalAugmentation(policy="none", mixup_alpha=alpha),
        torch_generator(0, "mix"),
    )
    assert kstest(targets.diagonal().numpy(), beta(alpha, alpha).cdf).pvalue > 0.01


def test_every_image_is_the_partner_of_one_other() -> None:
    _, targets = mix(
        torch.zeros(50, 3, 4, 4),
        torch.arange(50),
        50,
        ClassicalAugmentation(policy="none", mixup_alpha=1.0),
        torch_generator(0, "mix"),
    )
    partners = (targets - targets.diagonal().diag()).gt(0)
    assert partners.sum(dim=0).eq(1).all()
    assert partners.sum(dim=1).eq(1).all()


def test_partners_do_not_depend_on_alpha() -> None:
    before, labels = coloured()
    found = [mixed(before, labels, mixup_alpha=alpha)[1] > 0 for alpha in (0.5, 0.6)]
    assert torch.equal(*found)


@pytest.mark.parametrize("alphas", [MIXUP, CUTMIX, BOTH])
def test_channels_last_stays_channels_last(alphas: dict[str, float]) -> None:
    images, labels = coloured()
    found, _ = mixed(images.to(memory_format=torch.channels_last), labels, **alphas)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, mixed(images, labels, **alphas)[0])
