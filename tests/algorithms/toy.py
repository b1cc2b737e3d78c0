"""Toy distributions that a generator learns in seconds, and a loop that trains as the real one does.

One class has two modes, dark and bright images: a generator that averages them or that lost one of them shows it in
`modes_found`. Of several classes each has its own colour: `share_of_own_colour` says whether samples follow labels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dermsynth.algorithms import algorithm_class
from dermsynth.algorithms.base import Adam, Algorithm, Batch, Draws, Phase
from dermsynth.core.config import parse
from dermsynth.core.randomness import global_torch_seed, torch_generator

DARK, BRIGHT = -0.6, 0.6
COLOURS = torch.tensor([[0.7, -0.5, -0.5], [-0.5, 0.7, -0.5], [-0.5, -0.5, 0.7], [0.5, 0.5, -0.7]])
CPU = torch.device("cpu")


def make(
    name: str, size_px: int = 16, classes: int | Sequence[str] = 1, *, seed: int = 0, **settings: Any
) -> Algorithm:
    """Return an algorithm with seeded initial weights; a number of classes gives them names."""
    kind = algorithm_class(name)
    names = [f"class{number}" for number in range(classes)] if isinstance(classes, int) else list(classes)
    with global_torch_seed(seed, "init"):
        return kind(parse(kind.Config, settings, "settings"), size_px, names)


def parameters(network: nn.Module) -> int:
    """Return the number of parameters of a network."""
    return sum(p.numel() for p in network.parameters())


def two_modes(n: int, size_px: int, step: int = 0, *, seed: int = 0) -> Tensor:
    """Return n images, alternately dark and bright, with a little noise in every pixel."""
    level = torch.tensor([DARK, BRIGHT])[torch.arange(n) % 2]
    return _noisy(level[:, None].expand(n, 3), size_px, "two modes", step, seed)


def coloured(labels: Tensor, size_px: int, step: int = 0, *, seed: int = 0) -> Tensor:
    """Return an image per label in the colour of its class, with a little noise in every pixel."""
    return _noisy(COLOURS[labels % len(COLOURS)], size_px, "coloured", step, seed)


def _noisy(colour: Tensor, size_px: int, purpose: str, step: int, seed: int) -> Tensor:
    shape = (len(colour), 3, size_px, size_px)
    noise = torch.randn(shape, generator=torch_generator(seed, purpose, step)) * 0.05
    return (colour[:, :, None, None] + noise).clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def toy_batch(algorithm: Algorithm, n: int = 16, step: int = 0, *, seed: int = 0, steps: int = 1) -> Batch:
    """Return the batch of one of `steps` steps, drawn as the loop draws it: classes in turn; two modes for one class.

    An algorithm with domains gets images of its target classes and, as `source`, images of its source classes.
    """
    draws = Draws(seed, step, n, slice(0, n), CPU)
    domains = algorithm.domains()
    wanted = algorithm.classes if domains is None else domains[1]
    labels = _in_turn(algorithm, wanted, n)
    if len(algorithm.classes) == 1:
        images = two_modes(n, algorithm.size_px, step, seed=seed)
    else:
        images = coloured(labels, algorithm.size_px, step, seed=seed)
    noise = draws.normal("noise", algorithm.latent)
    batch = Batch(images, labels, noise, draws, images_seen=step * n, budget=steps * n)
    if domains is not None:
        batch.source_labels = _in_turn(algorithm, domains[0], n)
        batch.source = coloured(batch.source_labels, algorithm.size_px, step, seed=seed + 1)
    return batch


def _in_turn(algorithm: Algorithm, names: Sequence[str], n: int) -> Tensor:
    indices = torch.tensor([algorithm.classes.index(name) for name in names])
    return indices[torch.arange(n) % len(indices)]


@dataclass
class Learned:
    """What `learn` leaves: a copy of the generator in eval mode (averaged if asked for), and every step's scalars."""

    generator: nn.Module
    history: list[dict[str, float]]


def learn(algorithm: Algorithm, steps: int, n: int = 16, *, seed: int = 0, decay: float = 0.0) -> Learned:
    """Train in float32 as the loop does; `decay` averages the generator's weights over about 1 / (1 - decay) steps.

    Gradients reach the phase's network alone, phases of one network share an optimiser, phases keep to their turns and
    schedules, and the global generator is seeded by the step.
    """
    phases = algorithm.phases()
    optimisers: dict[int, tuple[float, torch.optim.Optimizer]] = {}
    for phase in phases:
        if id(phase.net) not in optimisers:
            optimisers[id(phase.net)] = (phase.optimiser.learning_rate, _optimiser(phase))
    for network in algorithm.networks.values():
        network.train()
    live = algorithm.networks["generator"]
    averaged = copy.deepcopy(live).eval().requires_grad_(False)
    history = []
    for step in range(steps):
        algorithm.advance(algorithm.networks.values(), step * n, steps * n)
        batch = toy_batch(algorithm, n, step, seed=seed, steps=steps)
        scalars: dict[str, Tensor] = {}
        with global_torch_seed(seed, "step", step):
            for phase in phases:
                if (step + 1) % phase.every:
                    continue
                rate, optimiser = optimisers[id(phase.net)]
                for group in optimiser.param_groups:
                    group["lr"] = rate * phase.schedule(batch.progress)
                loss, logged = phase.loss(batch)
                loss.backward(inputs=[p for p in phase.net.parameters() if p.requires_grad])
                optimiser.step()
                optimiser.zero_grad()
                scalars |= logged
        history.append({name: float(value.detach()) for name, value in scalars.items()})
        _average(averaged, live, decay)
    algorithm.advance([averaged], steps * n, steps * n)
    return Learned(averaged, history)


def _optimiser(phase: Phase) -> torch.optim.Optimizer:
    chosen = phase.optimiser
    parameters = [p for p in phase.net.parameters() if p.requires_grad]
    if isinstance(chosen, Adam):
        return torch.optim.Adam(parameters, chosen.learning_rate, (chosen.beta1, chosen.beta2))
    return torch.optim.SGD(parameters, chosen.learning_rate, chosen.momentum)


@torch.no_grad()
def _average(averaged: nn.Module, live: nn.Module, decay: float) -> None:
    pairs = zip(averaged.state_dict().values(), live.state_dict().values(), strict=True)
    for old, new in pairs:
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


@torch.no_grad()
def sample(algorithm: Algorithm, generator: nn.Module, labels: Tensor | int, *, seed: int = 0) -> Tensor:
    """Return an image per label (a number: so many, classes in turn) from a generator in eval mode."""
    if isinstance(labels, int):
        labels = torch.arange(labels) % len(algorithm.classes)
    noise = torch.randn(len(labels), algorithm.latent, generator=torch_generator(seed, "sample"))
    return algorithm.draw(generator.eval(), noise, labels)


@dataclass(frozen=True)
class Modes:
    """The mean brightness, and the shares of images that are within 0.35 of the dark and of the bright mode."""

    mean: float
    dark: float
    bright: float

    @property
    def both(self) -> bool:
        """Whether each mode has a fair share and little lies between them."""
        return min(self.dark, self.bright) > 0.15 and self.dark + self.bright > 0.7 and abs(self.mean) < 0.3


def modes_found(images: Tensor) -> Modes:
    """Return which of the two modes of `two_modes` the images show."""
    level = images.float().mean(dim=(1, 2, 3))
    near = [((level - mode).abs() < 0.35).float().mean().item() for mode in (DARK, BRIGHT)]
    return Modes(level.mean().item(), near[0], near[1])


def share_of_own_colour(images: Tensor, labels: Tensor, classes: int) -> float:
    """Return the share of images whose mean colour is nearest to that of their own class."""
    nearest = torch.cdist(images.float().mean(dim=(2, 3)), COLOURS[:classes]).argmin(dim=1)
    return (nearest == labels).float().mean().item()
