"""The optimiser of a network: which weights it moves, how far, and which rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.schedule import Turn, factors_of_parts

if TYPE_CHECKING:
    from dermsynth.classifiers.config import FitConfig


class Mover:
    """Adam or SGD over the parts of a network, set anew for every step.

    Weights that do not learn when it is made never do. Biases and the scales of norms, which have one dimension, do not
    decay: pulling them to zero regularises nothing.

    Attributes:
        optimiser: Its groups have the entry `factor`: their learning rate over the head's.
    """

    def __init__(self, network: Network, config: FitConfig) -> None:
        parts = network.parts()
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for part, factor in zip(parts, factors_of_parts(len(parts), config.rate_span), strict=True):
            for parameter in part.parameters():
                if parameter.requires_grad:
                    decay = config.weight_decay if parameter.ndim > 1 else 0.0
                    groups.setdefault((factor, decay), []).append(parameter)
        described: list[dict[str, Any]] = [
            {"params": members, "factor": factor, "weight_decay": decay} for (factor, decay), members in groups.items()
        ]
        self.optimiser: torch.optim.Optimizer
        if config.optimiser == "adam":
            self.optimiser = torch.optim.AdamW(described, config.learning_rate, fused=True)
        else:
            self.optimiser = torch.optim.SGD(described, config.learning_rate, config.momentum, fused=True)
        head = {id(parameter) for parameter in parts[-1].parameters()}
        norms = (module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
        awake = head | {id(parameter) for norm in norms for parameter in norm.parameters()}
        learning = [parameter for members in groups.values() for parameter in members]
        self._resting = [parameter for parameter in learning if id(parameter) not in awake]

    def set(self, turn: Turn) -> None:
        """Prepare for a step: before the backward pass, which leaves out what rests.

        Batch norm goes on learning where its part rests, statistics and scale, as in fastai: statistics of other images
        would fit neither the resting layers nor the head.
        """
        for parameter in self._resting:
            parameter.requires_grad_(not turn.head_only)
        for group in self.optimiser.param_groups:
            group["lr"] = turn.learning_rate * group["factor"]
            if "betas" in group:
                group["betas"] = (turn.momentum, group["betas"][1])
            else:
                group["momentum"] = turn.momentum

    def step(self) -> None:
        """Move the weights and forget their gradients."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
