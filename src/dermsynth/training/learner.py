"""Networks, their optimisers and the average, and the one step that moves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from dermsynth.algorithms.base import Adam, Algorithm, AlgorithmConfig, Batch, Draws, Phase, Scalars
from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError
from dermsynth.core.randomness import global_torch_seed, key, seed_layers
from dermsynth.training import checkpoint
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import place
from dermsynth.training.ema import Average
from dermsynth.training.feed import Feed, by_class
from dermsynth.training.images import Start, TrainingImages
from dermsynth.training.processes import Processes


class Learner:
    """An algorithm in training. It knows steps, not files or clocks."""

    def __init__(
        self,
        material: TrainingImages,
        algorithm_class: type[Algorithm],
        settings: AlgorithmConfig,
        config: TrainConfig,
        fabric: Fabric,
        start: Start | None = None,
    ) -> None:
        self.config, self.fabric, self.processes = config, fabric, Processes(fabric)
        self.batch_size = settings.batch_size
        self.steps = max(1, round(config.budget_kimg * 1000 / self.batch_size))
        self.shares = self.processes.shares(self.batch_size, config.accumulate)
        self.learning_rate_factor = 1.0

        # Networks.
        with global_torch_seed(config.seed, "init"):
            self.algorithm = algorithm_class(settings, material.fitted.size_px, material.classes)
        if start is not None:
            tensors = checkpoint.load(start.networks)[0]
            for name, network in self.algorithm.networks.items():
                if has_weights(network):
                    checkpoint.load_network(name, network, tensors, start.networks)
        for network in self.algorithm.networks.values():
            place(network, fabric)
        self._freeze(config.freeze)
        self.average = Average(self.algorithm.networks["generator"], config.ema_halflife_kimg)
        self._compile(config.compile)

        # One optimiser per network, shared by the phases that train it.
        self.phases = self.algorithm.phases()
        self.parameters = {phase.name: self._trained(phase) for phase in self.phases}
        self.optimisers: dict[str, Optimizer] = {}
        self._optimiser_of: dict[str, str] = {}
        first: dict[int, Phase] = {}
        for phase in self.phases:
            owner = first.setdefault(id(phase.net), phase)
            self._optimiser_of[phase.name] = owner.name
            if owner is phase:
                self.optimisers[phase.name] = _optimiser(phase, self.parameters[phase.name])

        # What is fed.
        domains = self.algorithm.domains()
        target = material.classes if domains is None else domains[1]
        self.feed = self._feed(material, target, "feed")
        self.source = None if domains is None else self._feed(material, domains[0], "feed source")

    @property
    def budget(self) -> int:
        """Return the images seen at the end of the run."""
        return self.steps * self.batch_size

    def step(self, number: int) -> Scalars:
        """Run every phase whose turn it is in step `number` (from 0) and return what they log."""
        seen = number * self.batch_size
        self.algorithm.advance(self.algorithm.networks.values(), seen, self.budget)
        scalars: Scalars = {}
        # Phases share what `Batch.once` keeps, unless the batch is computed in parts to save memory.
        only = self._batch(number, self.shares[0]) if len(self.shares) == 1 else None
        for phase in self.phases:
            if (number + 1) % phase.every:
                continue
            logged: list[Scalars] = []
            for share in self.shares:
                batch = only or self._batch(number, share)
                with self.fabric.autocast():
                    loss, found = phase.loss(batch)
                # Gradients for this phase's network alone: no work for the others', and nothing to zero in them.
                self.fabric.backward(loss / len(self.shares), inputs=self.parameters[phase.name])
                logged.append({name: value.detach() for name, value in found.items()})
            self.processes.average_gradients(self.parameters[phase.name])
            self._move(phase, seen / self.budget)
            scalars |= logged[0] if len(logged) == 1 else _mean(logged)
        self.average.update(seen + self.batch_size, self.batch_size)
        return scalars

    def averaged(self, images_seen: int) -> nn.Module:
        """Return the averaged generator, told how far the training is."""
        self.algorithm.advance([self.average.network], images_seen, self.budget)
        return self.average.network

    def weights(self) -> dict[str, Tensor]:
        """Return everything that the networks are; `ema.` is the averaged generator."""
        tensors = checkpoint.network_state("ema", self.average.network)
        for name, network in self.algorithm.networks.items():
            tensors |= checkpoint.network_state(f"network.{name}", network)
        return tensors

    def state(self) -> dict[str, Tensor]:
        """Return everything that a continued run needs."""
        tensors = self.weights()
        for name, optimiser in self.optimisers.items():
            tensors |= checkpoint.optimiser_state(f"optimiser.{name}", optimiser)
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], where: Path) -> None:
        """Take up the state that `state` returned."""
        checkpoint.load_network("ema", self.average.network, tensors, where)
        for name, network in self.algorithm.networks.items():
            checkpoint.load_network(f"network.{name}", network, tensors, where)
        for name, optimiser in self.optimisers.items():
            checkpoint.load_optimiser(f"optimiser.{name}", optimiser, tensors)

    def _feed(self, material: TrainingImages, among: tuple[str, ...], purpose: str) -> Feed:
        labels = material.labels(material.fitted)
        draw = by_class(labels, material.shares(among), self.batch_size, self.config.seed, purpose)
        return Feed(material.fitted.images, labels, draw, self.fabric)

    def _batch(self, number: int, share: slice) -> Batch:
        # Layers that draw from the global generator by design (dropout) draw the same in a resumed run.
        seed_layers(key(self.config.seed, f"layers {share.start}", number), self.fabric.device)
        images, labels = self.feed.batch(number, share)
        draws = Draws(self.config.seed, number, self.batch_size, share, self.fabric.device)
        batch = Batch(
            images,
            labels,
            draws.normal("noise", self.algorithm.latent),
            draws,
            images_seen=number * self.batch_size,
            budget=self.budget,
            mean=self.processes.mean,
        )
        if self.source is not None:
            batch.source, batch.source_labels = self.source.batch(number, share)
        return batch

    def _move(self, phase: Phase, progress: float) -> None:
        optimiser = self.optimisers[self._optimiser_of[phase.name]]
        factor = phase.schedule(progress) * self.learning_rate_factor
        for group in optimiser.param_groups:
            group["lr"] = phase.optimiser.learning_rate * factor
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def _trained(self, phase: Phase) -> list[nn.Parameter]:
        parameters = [parameter for parameter in phase.net.parameters() if parameter.requires_grad]
        if not parameters:
            raise ConfigError(f"freeze: nothing is left to train in the phase '{phase.name}'; freeze fewer layers")
        return parameters

    def _freeze(self, prefixes: Sequence[str]) -> None:
        named = {
            f"{name}.{inner}": parameter
            for name, network in self.algorithm.networks.items()
            for inner, parameter in network.named_parameters()
        }
        for prefix in prefixes:
            frozen = [name for name in named if name == prefix or name.startswith(f"{prefix}.")]
            if not frozen:
                layers = {name.rsplit(".", depth)[0] for name in named for depth in range(1, name.count(".") + 1)}
                raise ConfigError(f"freeze: no weights '{prefix}'; {nearest(prefix, layers)}")
            for name in frozen:
                named[name].requires_grad_(False)

    def _compile(self, how: str) -> None:
        if how == "none":
            return
        for name, network in self.algorithm.networks.items():
            # Compiled code has no second derivative; a penalty on its gradient would raise in the first step.
            if has_weights(network) and name not in self.algorithm.twice_differentiated:
                network.compile(mode="reduce-overhead" if how == "graphs" else "default")


def has_weights(network: nn.Module) -> bool:
    """Return whether a module of an algorithm has parameters; the others only remember something between steps."""
    return any(True for _ in network.parameters())


def _optimiser(phase: Phase, parameters: list[nn.Parameter]) -> Optimizer:
    chosen = phase.optimiser
    if isinstance(chosen, Adam):
        return torch.optim.Adam(parameters, chosen.learning_rate, (chosen.beta1, chosen.beta2), fused=True)
    return torch.optim.SGD(parameters, chosen.learning_rate, chosen.momentum, fused=True)


def _mean(logged: Sequence[Scalars]) -> Scalars:
    return {name: torch.stack([scalars[name].float() for scalars in logged]).mean() for name in logged[0]}
