"""Losses against their definitions, numbers worked by hand, and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from dermsynth.algorithms import losses


def smooth_critic(*, scores: int = 1) -> nn.Module:
    """Return a small float64 critic with a curvature everywhere; LeakyReLU's kinks would spoil finite differences."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.Softplus(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, scores)).double()


def images(n: int = 3, size_px: int = 6, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, size_px, size_px, generator=generator, dtype=torch.float64) * 2 - 1


def slopes_by_differences(critic: nn.Module, at: Tensor, step: float = 1e-5) -> Tensor:
    """Return the gradient of every image's mean score by central differences, one pixel after the other."""
    slopes = torch.zeros_like(at)
    flat, found = at.flatten(1), slopes.flatten(1)
    with torch.no_grad():
        for pixel in range(flat.shape[1]):
            moved = torch.zeros_like(flat)
            moved[:, pixel] = step
            up, down = (critic((flat + sign * moved).view_as(at)).flatten(1).mean(dim=1) for sign in (1, -1))
            found[:, pixel] = (up - down) / (2 * step)
    return slopes


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
    assert torch.isfinite(losses.relativistic_pairing(far, far.flip(0)))


def test_discriminator_hinge_counts_what_is_within_the_margin() -> None:
    # Real: 0.5 lacks 0.5, 2 lacks nothing, -1 lacks 2. Fake: -0.5 lacks 0.5, -3 nothing, 1 lacks 2.
    real, fake = torch.tensor([0.5, 2.0, -1.0]), torch.tensor([-0.5, -3.0, 1.0])
    assert losses.discriminator_hinge(real, fake).item() == pytest.approx(2.5 / 3 + 2.5 / 3)


def test_generator_hinge_is_minus_the_mean_score() -> None:
    assert losses.generator_hinge(torch.tensor([0.5, -3.0, 1.0])).item() == pytest.approx(0.5)


def test_least_squares_is_the_mean_squared_distance_from_the_target() -> None:
    scores = torch.tensor([[0.5, 2.0], [-1.0, 1.0]])
    assert losses.least_squares(scores, 1.0).item() == pytest.approx((0.25 + 1 + 4 + 0) / 4)
    assert losses.least_squares(scores, 0.0).item() == pytest.approx((0.25 + 4 + 1 + 1) / 4)


def test_relativistic_pairing_compares_image_with_image() -> None:
    # -log sigmoid(1) and -log sigmoid(-2); crossing the pairs would give another mean.
    winner, loser = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 5.0])
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert losses.relativistic_pairing(winner, loser).item() == pytest.approx(expected)


def test_relativistic_pairing_of_equal_scores_is_log_2_wherever_they_lie() -> None:
    scores = torch.tensor([-7.0, 0.0, 100.0])
    assert losses.relativistic_pairing(scores, scores).item() == pytest.approx(math.log(2))


def test_gradient_penalty_of_a_linear_critic_is_the_squared_excess_of_its_slope() -> None:
    # The slope is 0.5 for each of 3 x 2 x 2 values: its norm is sqrt(12) / 2.
    real, fake = images(2, 2).float(), images(2, 2, seed=2).float()
    penalty = losses.gradient_penalty(lambda x: 0.5 * x.sum(dim=(1, 2, 3)), real, fake, torch.rand(2))
    assert penalty.item() == pytest.approx((math.sqrt(12) / 2 - 1) ** 2)


def test_gradient_penalty_looks_at_the_drawn_place_between_real_and_fake() -> None:
    # The slope of |x|^2 / 2 at x is x itself, so the penalty tells where it was taken.
    real, fake, mix = images(3).float(), images(3, seed=2).float(), torch.tensor([0.0, 0.25, 1.0])
    penalty = losses.gradient_penalty(lambda x: 0.5 * x.square().sum(dim=(1, 2, 3)), real, fake, mix)
    places = [fake[0], 0.25 * real[1] + 0.75 * fake[1], real[2]]
    expected = sum((place.norm().item() - 1) ** 2 for place in places) / 3
    assert penalty.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scores", [1, 5])
def test_gradient_penalty_agrees_with_finite_differences(scores: int) -> None:
    # Several scores of an image count as their mean, as a critic's windows do.
    critic, real, fake = smooth_critic(scores=scores), images(), images(seed=2)
    mix = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    between = mix.view(-1, 1, 1, 1) * real + (1 - mix.view(-1, 1, 1, 1)) * fake
    norms = slopes_by_differences(critic, between).flatten(1).norm(dim=1)
    penalty = losses.gradient_penalty(critic, real, fake, mix)
    assert penalty.item() == pytest.approx((norms - 1).square().mean().item(), rel=1e-5)


def test_gradient_penaltys_own_gradient_agrees_with_finite_differences() -> None:
    # What the optimiser sees: a second derivative, of which a detached graph would give 0.
    critic, real, fake, mix = smooth_critic(), images(), images(seed=2), torch.rand(3, dtype=torch.float64)
    weights = [parameter for parameter in critic.parameters() if parameter.ndim > 1]
    gradients = torch.autograd.grad(losses.gradient_penalty(critic, real, fake, mix), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        # Along the gradient the penalty rises by its squared length per unit; float32 inside bounds the precision.
        step = 1e-3 / gradient.norm()
        moved = []
        for sign in (1, -1):
            with torch.no_grad():
                weight += sign * step * gradient
            moved.append(losses.gradient_penalty(critic, real, fake, mix).item())
            with torch.no_grad():
                weight -= sign * step * gradient
        slope = (moved[0] - moved[1]) / (2 * step.item())
        assert slope == pytest.approx(gradient.square().sum().item(), rel=1e-3)


def test_zero_centred_penalty_of_a_linear_critic_is_its_squared_slope() -> None:
    penalty = losses.zero_centred_penalty(lambda x: 0.5 * x.sum(dim=(1, 2, 3)), images(2, 2).float())
    assert penalty.item() == pytest.approx(12 / 4)


def test_zero_centred_penalty_agrees_with_finite_differences() -> None:
    critic, at = smooth_critic(), images()
    expected = slopes_by_differences(critic, at).square().flatten(1).sum(dim=1).mean()
    assert losses.zero_centred_penalty(critic, at).item() == pytest.approx(expected.item(), rel=1e-5)


def test_squared_gradient_needs_no_second_pass_and_says_the_same() -> None:
    critic, at = smooth_critic(), images().requires_grad_()
    again = losses.zero_centred_penalty(critic, at)
    torch.testing.assert_close(losses.squared_gradient(critic(at), at), again)


def test_penalties_are_float32_where_the_critic_is_bfloat16() -> None:
    critic = smooth_critic().float()
    real, fake = images().float(), images(seed=2).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = [
            losses.gradient_penalty(critic, real, fake, torch.rand(3)),
            losses.zero_centred_penalty(critic, real),
        ]
    assert [penalty.dtype for penalty in found] == [torch.float32] * 2
