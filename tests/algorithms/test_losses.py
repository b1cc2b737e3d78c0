"""Losses against their definitions, written out with sigmoids and logarithms."""

from __future__ import annotations

import torch

from dermsynth.algorithms import losses


def test_discriminator_cross_entropy_is_the_sum_of_both_entropies() -> None:
    real, fake = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([0.1, -0.4])
    expected = -torch.log(torch.sigmoid(real)).mean() - torch.log(1 - torch.sigmoid(fake)).mean()
    torch.testing.assert_close(losses.discriminator_cross_entropy(real, fake), expected)


def test_generator_cross_entropy_is_minus_log_of_being_taken_for_real() -> None:
    fake = torch.tensor([0.1, -0.4, 3.0])
    torch.testing.assert_close(losses.generator_cross_entropy(fake), -torch.log(torch.sigmoid(fake)).mean())


def test_extreme_scores_stay_finite() -> None:
    far = torch.tensor([1e4, -1e4])
    assert torch.isfinite(losses.discriminator_cross_entropy(far, far))
