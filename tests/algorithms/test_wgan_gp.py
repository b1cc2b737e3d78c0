"""WGAN-GP: the layers of paper 001 as it prints them, the penalty's place in the loss, and the condition."""

from __future__ import annotations

import pytest
import torch
from tests.algorithms import toy
from tests.algorithms.sides import leaning, sides
from tests.algorithms.toy import learn, make, parameters, sample, share_of_own_colour, toy_batch
from torch import nn

from dermsynth.algorithms import losses
from dermsynth.algorithms.base import Adam
from dermsynth.algorithms.wgan_gp import Critic, Generator, WganGp, WganGpConfig
from dermsynth.core.errors import InputError

TINY = {"width": 2, "critic_width": 4, "latent": 4}


def by_layer(layers: nn.Module) -> list[int]:
    return [parameters(layer) for layer in layers.children() if parameters(layer)]


def test_generator_has_the_parameters_that_table_3_prints() -> None:
    generator = Generator(WganGpConfig(), 4, 0)
    printed = [5_736_192, 3_584, 25_691_008, 1_792, 6_422_976, 896, 1_605_856, 448, 10_755]
    assert by_layer(generator.layers) == printed
    assert parameters(generator) == 39_473_507


def test_narrow_critic_has_the_parameters_that_table_1_prints() -> None:
    critic = Critic(WganGpConfig(), 4, 0)
    assert by_layer(critic.layers) == [3_072, 128, 131_200, 256, 524_544, 512, 2_097_664, 1_024, 8_193]
    assert parameters(critic) == 2_766_593


def test_wide_critic_has_the_parameters_that_table_2_prints() -> None:
    critic = Critic(WganGpConfig(critic_width=224, first_conv_bias=True), 4, 0)
    printed = [10_976, 448, 1_606_080, 896, 6_423_424, 1_792, 25_691_904, 3_584, 28_673]
    assert by_layer(critic.layers) == printed
    assert parameters(critic) == 33_767_777


@pytest.mark.parametrize(("size_px", "windows"), [(64, 1), (128, 5), (224, 11)])
def test_critic_takes_the_three_sizes_of_the_paper(size_px: int, windows: int) -> None:
    # Table 1 was printed for 128 px, table 2 for 224; the text says 64.
    critic = Critic(WganGpConfig(), 4, 0)
    with torch.no_grad():
        assert critic.windows(torch.zeros(1, 3, size_px, size_px)).shape == (1, 1, windows, windows)


def test_an_images_score_is_the_mean_over_its_windows_for_its_class() -> None:
    critic = Critic(WganGpConfig(critic_width=2), 4, 3)
    images, labels = torch.rand(2, 3, 128, 128), torch.tensor([2, 0])
    windows = critic.windows(images)
    expected = torch.stack([windows[0, 2].mean(), windows[1, 0].mean()])
    torch.testing.assert_close(critic(images, labels), expected)


@pytest.mark.parametrize("size_px", [16, 32, 64, 128, 256])
def test_images_have_the_size_of_the_cohort_and_lie_in_range(size_px: int) -> None:
    algorithm = make("wgan-gp", size_px, 3, **TINY)
    images = sample(algorithm, algorithm.networks["generator"], 3)
    assert images.shape == (3, 3, size_px, size_px)
    assert images.abs().max() <= 1
    assert algorithm.networks["critic"](images, torch.arange(3)).shape == (3,)


def test_generators_of_larger_images_have_at_most_eight_times_their_width() -> None:
    # As at 64 px; doubling on would give 256 px images 400 million parameters in one layer.
    generator = Generator(WganGpConfig(width=2), 6, 0)
    maps = [layer.in_channels for layer in generator.layers if isinstance(layer, nn.ConvTranspose2d)]
    assert maps == [200, 16, 16, 16, 8, 4, 2]


@pytest.mark.parametrize("size_px", [8, 48, 224])
def test_a_size_the_network_cannot_make_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"16, 32, 64, 128, … px, not {size_px}; ingest"):
        make("wgan-gp", size_px, **TINY)


def test_one_class_leaves_the_networks_of_the_paper_and_more_add_a_condition() -> None:
    one, three = make("wgan-gp", 64, 1, **TINY), make("wgan-gp", 64, 3, **TINY)
    # Each class: a row of the first 4 x 4 kernel of the generator, and a last kernel with its bias for the critic.
    added = {name: parameters(three.networks[name]) - parameters(one.networks[name]) for name in one.networks}
    assert added == {"generator": 3 * 16 * 16, "critic": 2 * (32 * 16 + 1), "augmentation": 0}


def test_phases_are_those_of_algorithm_1() -> None:
    phases = make("wgan-gp", **TINY).phases()
    assert [(phase.name, phase.every) for phase in phases] == [("critic", 1), ("generator", 5)]
    assert {phase.optimiser for phase in phases} == {Adam(learning_rate=1e-4, beta1=0.0, beta2=0.9)}


def test_the_critic_is_never_compiled_and_its_scores_are_no_logits() -> None:
    assert WganGp.twice_differentiated == {"critic"}
    assert not WganGp.scores_are_logits


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = make("wgan-gp", classes=3, **TINY)
    batch = toy_batch(algorithm, 6)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        assert all(p.grad is not None for p in phase.net.parameters())
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        phase.net.zero_grad()


def test_critics_loss_is_that_of_algorithm_1() -> None:
    # Written out with separate passes and the penalty at the points that the batch draws.
    algorithm = make("wgan-gp", classes=3, penalty=7.0, **TINY)
    assert isinstance(algorithm, WganGp)
    batch = toy_batch(algorithm, 6)
    loss, scalars = algorithm.critic_loss(batch)
    fake = algorithm.generator(batch.noise, batch.labels).detach()
    real_score = algorithm.critic(batch.images, batch.labels).mean()
    fake_score = algorithm.critic(fake, batch.labels).mean()
    mix = batch.draws.uniform("mix")
    penalty = losses.gradient_penalty(lambda x: algorithm.critic(x, batch.labels), batch.images, fake, mix)
    torch.testing.assert_close(loss, fake_score - real_score + 7 * penalty)
    torch.testing.assert_close(scalars["wasserstein"], real_score - fake_score)
    torch.testing.assert_close(scalars["penalty"], penalty)


def test_a_score_does_not_depend_on_the_images_beside_it() -> None:
    # Batch norm would break this, and with it the penalty, which is a function of single images.
    critic = Critic(WganGpConfig(critic_width=4), 2, 0)
    images, labels = torch.randn(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64)
    torch.testing.assert_close(critic(images[1:2], labels[1:2]), critic(images, labels)[1:2])


def test_norm_of_the_critic_is_instance_norm() -> None:
    critic = Critic(WganGpConfig(critic_width=4), 2, 0)
    norms = [layer for layer in critic.layers if isinstance(layer, nn.GroupNorm)]
    for norm in norms:
        maps = torch.randn(2, norm.num_channels, 8, 8)
        expected = nn.functional.instance_norm(maps, weight=norm.weight, bias=norm.bias)
        torch.testing.assert_close(norm(maps), expected)
    assert len(norms) == 2


def test_the_papers_critic_hardly_sees_contrast_and_one_without_norm_does() -> None:
    # Why `critic_norm: none` is there: a norm after the first, linear layer takes away what multiplies an image.
    images, labels = torch.randn(4, 3, 16, 16).clamp(-1, 1), torch.zeros(4, dtype=torch.int64)
    ratio = {}
    for norm in ("instance", "none"):
        critic = Critic(WganGpConfig(critic_width=8, critic_norm=norm), 2, 0)
        full, half = critic(images, labels), critic(images / 2, labels)
        ratio[norm] = ((full - half).abs().mean() / full.abs().mean()).item()
    assert ratio["instance"] < 0.02
    assert ratio["none"] == pytest.approx(0.5, abs=0.05)


def test_generator_is_judged_on_other_noise_than_the_critic_saw() -> None:
    algorithm = make("wgan-gp", **TINY)
    assert isinstance(algorithm, WganGp)
    batch = toy_batch(algorithm, 4)
    seen: list[torch.Tensor] = []
    algorithm.generator.register_forward_pre_hook(lambda _net, arguments: seen.append(arguments[0]))
    algorithm.critic_loss(batch)
    algorithm.generator_loss(batch)
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("number", [0, 1])
def test_a_phases_loss_falls_when_it_steps(number: int) -> None:
    algorithm = make("wgan-gp", classes=3, width=4, critic_width=4, latent=4)
    phase = algorithm.phases()[number]
    weights = list(phase.net.parameters())
    optimiser = torch.optim.Adam(weights, 1e-3)
    found = []
    for _ in range(6):
        loss = phase.loss(toy_batch(algorithm, 16))[0]
        loss.backward(inputs=weights)
        optimiser.step()
        optimiser.zero_grad()
        found.append(loss.item())
    assert found[-1] < found[0]


def test_augmented_images_are_what_the_critic_and_its_penalty_see() -> None:
    # ADA's p rises from the signs of differences: a critic's scores have no zero of their own.
    algorithm = make("wgan-gp", augment="ada", **TINY)
    assert isinstance(algorithm, WganGp)
    scalars = algorithm.critic_loss(toy_batch(algorithm, 8))[1]
    assert -1 <= scalars["ada_sign"].item() <= 1
    assert torch.isfinite(scalars["penalty"])


def test_it_learns_both_modes_of_a_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "two_modes", sides)
    settings = {"width": 4, "critic_width": 8, "latent": 4, "critic_norm": "none", "n_critic": 1}
    algorithm = make("wgan-gp", learning_rate=2e-3, **settings)
    found = leaning(sample(algorithm, learn(algorithm, 200, decay=0.9).generator, 128))
    assert (found > 0.3).float().mean() > 0.2
    assert (found < -0.3).float().mean() > 0.2
    assert abs(found.mean()) < 0.2


def test_samples_follow_their_label() -> None:
    algorithm = make("wgan-gp", classes=3, width=4, critic_width=8, latent=4, learning_rate=2e-3, n_critic=2)
    learned = learn(algorithm, 150, 18, decay=0.9)
    labels = torch.arange(99) % 3
    assert share_of_own_colour(sample(algorithm, learned.generator, labels), labels, 3) > 0.95
