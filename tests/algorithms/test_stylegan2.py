"""StyleGAN2: its modulated convolution against the definition, its regularisations, mixing and truncation."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from tests.algorithms import toy
from torch import Tensor, nn
from torch.nn import functional as F

from dermsynth.algorithms.stylegan2 import (
    Discriminator,
    Generator,
    Mapper,
    ModulatedConv2d,
    StyleGan2,
    StyleGan2Config,
    ToRgb,
)
from dermsynth.core.errors import InputError

TINY = {"width": 2, "most_maps": 8, "latent": 4}


def tiny(size_px: int = 16, classes: int = 1, **settings: object) -> StyleGan2:
    algorithm = toy.make("stylegan2", size_px, classes, **{"batch_size": 8, **TINY, **settings})
    assert isinstance(algorithm, StyleGan2)
    return algorithm


def grouped(x: Tensor, weight: Tensor, modulation: Tensor, *, demodulate: bool) -> Tensor:
    """Return equations 1 and 3 of the paper as they stand: every image has weights of its own."""
    n, after = len(x), len(weight)
    own = weight[None] * modulation[:, None, :, None, None]
    if demodulate:
        own = own / (own.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    flat = F.conv2d(x.reshape(1, -1, *x.shape[2:]), own.flatten(0, 1), padding=weight.shape[-1] // 2, groups=n)
    return flat.view(n, after, *x.shape[2:])


def test_networks_have_the_parameters_of_their_layers() -> None:
    # 64 px with the ADA paper's maps for small images: 256 at 64 px, 512 below; counted by hand.
    maps, latent = [512, 512, 512, 512, 256], 512
    pairs = list(itertools.pairwise(maps))

    def modulated(before: int, after: int) -> int:
        return 9 * before * after + after + (latent + 1) * before

    expected = 2 * (latent + 1) * latent  # mapping
    expected += maps[0] * 16 + modulated(maps[0], maps[0])
    expected += sum(modulated(before, after) + modulated(after, after) for before, after in pairs)
    expected += sum(3 * count + 3 + (latent + 1) * count for count in maps)
    assert toy.parameters(Generator(StyleGan2Config(), 64, 0)) == expected
    expected = 4 * maps[-1] + 9 * 513 * 512 + 512 + (16 * 512 + 1) * 512 + 513
    expected += sum(9 * (inner**2 + inner * outer) + inner + outer + inner * outer for outer, inner in pairs)
    assert toy.parameters(Discriminator(StyleGan2Config(), 64, 0)) == expected


def test_classes_add_an_embedding_to_either_network() -> None:
    config = StyleGan2Config(**TINY)
    one, seven = Generator(config, 16, 0), Generator(config, 16, 7)
    # The mapping network's first layer sees it beside the noise.
    assert toy.parameters(seven) - toy.parameters(one) == 7 * 4 + 4 * 4
    score = toy.parameters(Discriminator(config, 16, 7)) - toy.parameters(Discriminator(config, 16, 0))
    assert score == 7 * 8


@pytest.mark.parametrize("size_px", [16, 32, 64])
def test_images_have_the_size_of_the_cohort(size_px: int) -> None:
    algorithm = tiny(size_px, classes=3)
    batch = toy.toy_batch(algorithm, 3)
    assert algorithm.fake(batch).shape == (3, 3, size_px, size_px)
    drawn = algorithm.draw(algorithm.generator.eval(), batch.noise * 100, batch.labels)
    assert drawn.dtype == torch.float32
    assert drawn.abs().max() <= 1


@pytest.mark.parametrize("size_px", [8, 24, 100])
def test_a_size_that_is_never_reached_is_refused(size_px: int) -> None:
    with pytest.raises(InputError, match=rf"16, 32, 64, 128, … px, not {size_px}; ingest"):
        tiny(size_px)


def test_modulated_convolution_is_the_grouped_convolution_of_the_paper() -> None:
    layer = ModulatedConv2d(6, 5, 3)
    nn.init.normal_(layer.bias)
    x, style = torch.randn(4, 6, 8, 8), torch.randn(4, 3)
    convolved = grouped(x, layer.weight * layer.scale, layer.style(style), demodulate=True)
    # LeakyReLU's gain is part of the layer; the bias is added behind it.
    expected = math.sqrt(2) * convolved + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, style), expected, atol=1e-5, rtol=1e-4)


def test_colours_are_modulated_and_not_demodulated() -> None:
    layer = ToRgb(6, 3)
    nn.init.normal_(layer.bias)
    x, style = torch.randn(4, 6, 8, 8), torch.randn(4, 3)
    weight = layer.weight[:, :, None, None] * layer.scale
    expected = grouped(x, weight, layer.style(style), demodulate=False) + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, style), expected, atol=1e-5, rtol=1e-4)


def test_demodulation_makes_the_variance_independent_of_the_style() -> None:
    layer = ModulatedConv2d(32, 32, 8)
    x = torch.randn(6, 32, 32, 32)
    style = torch.randn(6, 8) * torch.tensor([1e-2, 0.1, 1, 10, 1e2, 1e3])[:, None]
    inner = layer(x, style)[:, :, 1:-1, 1:-1]
    # Unit variance, times the gain of two for the LeakyReLU behind.
    torch.testing.assert_close(inner.square().mean(dim=(1, 2, 3)), torch.full((6,), 2.0), atol=0.15, rtol=0)


def test_enlarging_is_the_papers_filter() -> None:
    from dermsynth.algorithms.stylegan2 import _enlarge

    x = torch.randn(1, 1, 8, 8)
    taps = torch.tensor([1.0, 3, 3, 1]) / 4
    filtered = F.conv_transpose2d(x, torch.outer(taps, taps)[None, None], stride=2, padding=1)
    # At the borders the paper's filter sees zeros.
    torch.testing.assert_close(_enlarge(x)[..., 1:-1, 1:-1], filtered[..., 1:-1, 1:-1])


def test_weights_are_stored_with_deviation_one_and_those_of_the_mapping_move_slowly() -> None:
    config = StyleGan2Config(width=16, most_maps=64, latent=64)
    generator, discriminator = Generator(config, 16, 0), Discriminator(config, 16, 0)
    for weight in (generator.synthesis.first.weight, discriminator.blocks[0].keeping.weight, discriminator.flat.weight):
        assert weight.std().item() == pytest.approx(1, abs=0.03)
    layer = generator.mapping.layers[0]
    # A step of Adam moves stored weights by equal amounts; here a hundredth of it arrives.
    assert layer.weight.std().item() == pytest.approx(100, rel=0.05)
    assert layer.scale == pytest.approx(math.sqrt(2 / 64) / 100)


def test_the_class_weighs_as_much_as_the_noise() -> None:
    mapper = Mapper(StyleGan2Config(latent=64), 3)
    seen: list[Tensor] = []
    mapper.layers[0].register_forward_hook(lambda module, given, made: seen.append(given[0]))
    mapper(torch.randn(5, 64), torch.arange(5) % 3)
    noise, label = seen[0].split(64, dim=1)
    torch.testing.assert_close(noise.square().mean(dim=1), label.square().mean(dim=1))


def test_the_label_changes_the_image_and_the_score() -> None:
    algorithm = tiny(classes=3)
    labels = torch.arange(3)
    made = algorithm.generator.eval()(torch.ones(3, 4), labels)
    assert not torch.allclose(made[0], made[1])
    # The deviation over the batch is that of one image repeated: 0 for all.
    scores = algorithm.discriminator(torch.ones(3, 3, 16, 16), labels)
    assert len(scores.unique()) == 3


def test_styles_are_mixed_in_training_only() -> None:
    algorithm = tiny(style_mixing=1.0)
    batch = toy.toy_batch(algorithm, 4)
    plain = algorithm.generator(batch.noise, batch.labels)
    mixed = algorithm.fake(batch)
    assert not any(torch.allclose(one, other) for one, other in zip(plain, mixed, strict=True))
    drawn = algorithm.draw(algorithm.generator.eval(), batch.noise, batch.labels)
    torch.testing.assert_close(drawn, plain.clamp(-1, 1))


def test_without_mixing_training_images_are_those_of_their_noise() -> None:
    algorithm = tiny(style_mixing=0.0)
    batch = toy.toy_batch(algorithm, 4)
    torch.testing.assert_close(algorithm.fake(batch), algorithm.generator(batch.noise, batch.labels))


def test_mixing_takes_later_layers_from_the_other_noise() -> None:
    algorithm = tiny(style_mixing=1.0)
    batch = toy.toy_batch(algorithm, 64)
    seen: list[Tensor] = []
    algorithm.generator.synthesis.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    algorithm.fake(batch)
    own = algorithm.generator.mapping(batch.noise, batch.labels)
    kept = (seen[0] == own[:, None]).all(dim=2)
    # The first layer is always the image's own, the last never; once swapped, layers stay so.
    assert kept[:, 0].all()
    assert not kept[:, -1].any()
    assert (kept.int().diff(dim=1) <= 0).all()
    assert len(kept.sum(dim=1).unique()) == algorithm.generator.synthesis.layers - 1


def test_the_mean_style_follows_each_class() -> None:
    generator = tiny(classes=3).generator
    noise, labels = torch.randn(40, 4), torch.tensor([0, 0, 0, 1]).repeat(10)
    style = generator.mapping(noise, labels).detach()
    generator.mean_style.fill_(0.5)
    generator.follow_mean_style(noise, labels, lambda value: value)
    # A class with its even share of the batch, a third, moves by 1 - 0.998; these have 3/4 and 1/4.
    for label, share in ((0, 3 / 4), (1, 1 / 4)):
        kept = 0.998 ** (3 * share)
        expected = kept * 0.5 + (1 - kept) * style[labels == label].mean(dim=0)
        torch.testing.assert_close(generator.mean_style[label], expected)
    assert torch.equal(generator.mean_style[2], torch.full((4,), 0.5))


def test_a_step_of_the_discriminator_moves_the_mean_style() -> None:
    algorithm = tiny()
    algorithm.discriminator_loss(toy.toy_batch(algorithm, 4))
    assert algorithm.generator.mean_style.abs().max() > 0


def test_truncation_0_draws_the_mean_image_of_the_class() -> None:
    algorithm = tiny(classes=3, truncation=0.0)
    generator = algorithm.generator.eval()
    generator.mean_style.copy_(torch.randn(3, 4))
    noise, labels = torch.randn(6, 4), torch.arange(6) % 3
    drawn = algorithm.draw(generator, noise, labels)
    styles = generator.mean_style[labels][:, None].expand(-1, generator.synthesis.layers, -1)
    torch.testing.assert_close(drawn, generator.synthesis(styles).clamp(-1, 1))
    torch.testing.assert_close(drawn[:3], drawn[3:])
    assert not torch.allclose(drawn[0], drawn[1])


def test_truncation_lies_between_the_mean_and_the_style_and_spares_training() -> None:
    algorithm = tiny(truncation=0.25)
    generator = algorithm.generator
    generator.mean_style.copy_(torch.randn(1, 4))
    noise, labels = torch.randn(2, 4), torch.zeros(2, dtype=torch.int64)
    style = generator.mapping(noise, labels)
    torch.testing.assert_close(generator.styles(noise, labels)[:, 0], style)
    generator.eval()
    torch.testing.assert_close(generator.styles(noise, labels)[:, 3], 0.75 * generator.mean_style + 0.25 * style)


def test_truncation_can_be_changed_when_images_are_drawn() -> None:
    assert "truncation" in StyleGan2.sampling
    # Its weights fit a generator with another one.
    tiny(truncation=0.5).generator.load_state_dict(tiny().generator.state_dict())


def test_copies_of_the_generator_carry_the_moving_means() -> None:
    algorithm = tiny()
    algorithm.generator.mean_style.fill_(0.5)
    average = copy.deepcopy(algorithm.generator)
    assert torch.equal(average.mean_style, algorithm.generator.mean_style)
    assert {"mean_style", "path_length"} <= set(average.state_dict())


def test_phases_take_turns_as_in_the_paper() -> None:
    phases = tiny().phases()
    assert [(phase.name, phase.every) for phase in phases] == [
        ("discriminator", 1),
        ("r1", 16),
        ("generator", 1),
        ("path_length", 4),
    ]
    # Lazy regularisation shares the optimiser, whose rate and memory are those of 16 steps in 17.
    assert phases[0].net is phases[1].net
    assert phases[0].optimiser.learning_rate == pytest.approx(2.5e-3 * 16 / 17)
    assert phases[0].optimiser.beta2 == pytest.approx(0.99 ** (16 / 17))


def test_without_path_length_there_is_no_such_phase() -> None:
    phases = tiny(path_length=0).phases()
    assert [phase.name for phase in phases] == ["discriminator", "r1", "generator"]
    assert phases[2].optimiser.learning_rate == 2.5e-3


def test_ada_is_on_unless_it_is_switched_off() -> None:
    algorithm = tiny()
    found = algorithm.discriminator_loss(toy.toy_batch(algorithm, 4))[1]
    assert {"ada_p", "score_real", "score_fake", "loss_discriminator"} <= set(found)
    assert "ada_p" not in tiny(augment="none").discriminator_loss(toy.toy_batch(algorithm, 4))[1]


def test_gamma_of_r1_is_the_ada_papers_rule_unless_given() -> None:
    assert tiny(64, batch_size=32).r1 == pytest.approx(0.0002 * 64 * 64 / 32)
    assert tiny(r1=10).r1 == 10


def test_r1_is_half_gamma_times_the_squared_gradient_for_sixteen_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # The gradient by finite differences; casts to float32 would drown them.
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    algorithm = tiny(augment="none", r1=3.0)
    critic = algorithm.discriminator.double()
    batch = toy.toy_batch(algorithm, 2)
    # Images of 4 x 4 blocks: fewer pixels to try, each of which moves its 16 pixels.
    batch.images = batch.images.double()
    slope = torch.zeros(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        for index in itertools.product(range(2), range(3), range(0, 16, 5), range(0, 16, 5)):
            nudge = torch.zeros_like(slope)
            nudge[index] = 1e-5
            up, down = (critic(batch.images + sign * nudge, batch.labels).sum() for sign in (1, -1))
            slope[index] = (up - down) / 2e-5
    at = batch.images.detach().clone().requires_grad_()
    (exact,) = torch.autograd.grad(critic(at, batch.labels).sum(), at)
    torch.testing.assert_close(exact[:, :, ::5, ::5], slope[:, :, ::5, ::5], atol=1e-7, rtol=1e-4)
    loss, found = algorithm.r1_loss(batch)
    torch.testing.assert_close(loss, 16 * 3.0 / 2 * exact.square().sum(dim=(1, 2, 3)).mean())
    torch.testing.assert_close(found["penalty"], exact.square().sum(dim=(1, 2, 3)).mean())


def gradients_are_those_of_differences(loss: object, weights: list[Tensor]) -> None:
    assert callable(loss)
    loss().backward()
    for weight in weights:
        direction = torch.randn_like(weight)
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight += step * direction
            values.append(loss().item())
            with torch.no_grad():
                weight -= step * direction
        assert weight.grad is not None
        slope = (weight.grad * direction).sum().item()
        assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)


def test_gradients_of_r1_are_those_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    algorithm = tiny(classes=3, augment="none")
    critic = algorithm.discriminator.double()
    batch = toy.toy_batch(algorithm, 4)
    batch.images = batch.images.double()
    weights = [
        critic.from_rgb.weight,
        critic.blocks[0].halving.weight,
        critic.blocks[1].skip.weight,
        critic.flat.weight,
    ]
    gradients_are_those_of_differences(lambda: algorithm.r1_loss(batch)[0], weights)


def test_gradients_of_the_path_length_are_those_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    algorithm = tiny(classes=3)
    generator = algorithm.generator.double()
    # A mean that stays, or the two sides of a difference would move it.
    monkeypatch.setattr(generator, "follow_path_length", lambda length: torch.tensor(0.1, dtype=torch.float64))
    batch = toy.toy_batch(algorithm, 4)
    batch.noise = batch.noise.double()
    synthesis = generator.synthesis
    weights = [synthesis.enlarging[0].weight, synthesis.refining[1].style.weight, synthesis.to_rgb[2].weight]
    gradients_are_those_of_differences(
        lambda: algorithm.path_length_loss(batch)[0], [*weights, generator.mapping.layers[0].weight]
    )


def test_the_path_length_is_that_of_the_jacobian() -> None:
    algorithm = tiny(path_length=3.0)
    batch = toy.toy_batch(algorithm, 2)
    styles = algorithm.generator.styles(batch.noise[:1], batch.labels[:1]).detach()
    jacobian = torch.autograd.functional.jacobian(algorithm.generator.synthesis, styles, vectorize=True)
    jacobian = jacobian.reshape(3 * 16 * 16, algorithm.generator.synthesis.layers, 4)
    noise = batch.draws.normal("path length", 3, 16, 16)[0].flatten() / 16
    expected = torch.einsum("p,pld->ld", noise, jacobian).square().sum(dim=1).mean().sqrt()
    algorithm.generator.path_length.fill_(0.2)
    loss, found = algorithm.path_length_loss(batch)
    mean = 0.99 * 0.2 + 0.01 * expected
    torch.testing.assert_close(found["path_length"], mean)
    torch.testing.assert_close(loss, 3.0 * 4 * (expected - mean).square())


def test_the_mean_path_length_starts_at_the_first_one_and_moves_by_a_hundredth() -> None:
    generator = tiny().generator
    assert generator.follow_path_length(torch.tensor(3.0)) == 3
    assert generator.follow_path_length(torch.tensor(5.0)).item() == pytest.approx(3.02)
    assert generator.path_length.item() == pytest.approx(3.02)


def test_penalties_go_past_compiled_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Compiled code has no second derivative; this is what `Module.compile` puts in the way.
    def compiled(*given: object) -> None:
        raise AssertionError("the compiled network was called")

    algorithm = tiny(augment="none")
    batch = toy.toy_batch(algorithm, 4)
    for network in (algorithm.generator, algorithm.discriminator):
        monkeypatch.setattr(network, "_compiled_call_impl", compiled)
    assert algorithm.r1_loss(batch)[0].isfinite()
    assert algorithm.path_length_loss(batch)[0].isfinite()
    with pytest.raises(AssertionError, match="was called"):
        algorithm.discriminator_loss(batch)


def test_the_discriminators_loss_falls_when_it_steps() -> None:
    algorithm = tiny(augment="none")
    batch = toy.toy_batch(algorithm, 16)
    optimiser = torch.optim.Adam(algorithm.discriminator.parameters(), 1e-2, (0.0, 0.99))
    first = algorithm.discriminator_loss(batch)[0]
    for _ in range(5):
        algorithm.discriminator_loss(batch)[0].backward(inputs=list(algorithm.discriminator.parameters()))
        optimiser.step()
        optimiser.zero_grad()
    assert algorithm.discriminator_loss(batch)[0] < first


def test_each_phase_moves_its_own_network_only() -> None:
    algorithm = tiny(classes=3)
    batch = toy.toy_batch(algorithm, 6)
    for phase in algorithm.phases():
        phase.loss(batch)[0].backward(inputs=list(phase.net.parameters()))
        others = [net for net in algorithm.networks.values() if net is not phase.net]
        assert all(p.grad is None for net in others for p in net.parameters())
        # Penalties do not see what is merely added.
        if phase.every == 1:
            assert all(p.grad is not None for p in phase.net.parameters())
        phase.net.zero_grad()


def test_it_learns_both_modes() -> None:
    # One layer of mapping, which learns slowly by design, and nothing that such a short run would pay for in vain.
    quick = {"mapping_layers": 1, "latent": 2, "path_length": 0, "style_mixing": 0, "augment": "none"}
    algorithm = tiny(width=4, most_maps=16, r1=1.0, learning_rate=0.01, **quick)
    # Ten images: the toy's modes alternate, and groups of four for the deviation would each hold one mode alone.
    generator = toy.learn(algorithm, 150, 10, decay=0.95).generator
    found = toy.modes_found(toy.sample(algorithm, generator, 64))
    assert found.both, found


def test_images_follow_their_label() -> None:
    algorithm = tiny(classes=3, width=8, most_maps=32, latent=16, r1=0.5, learning_rate=0.01, augment="none")
    generator = toy.learn(algorithm, 70, 12, decay=0.9).generator
    labels = torch.arange(60) % 3
    assert toy.share_of_own_colour(toy.sample(algorithm, generator, labels), labels, 3) > 0.8


def test_an_image_does_not_depend_on_those_drawn_beside_it() -> None:
    algorithm = tiny(classes=3, truncation=0.7)
    generator = algorithm.generator.eval()
    noise, labels = torch.randn(5, 4), torch.arange(5) % 3
    together = algorithm.draw(generator, noise, labels)
    alone = torch.cat([algorithm.draw(generator, noise[n : n + 1], labels[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(together, alone)
