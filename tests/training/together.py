"""One process of a training that is shared by several: `python together.py OUT`, with torchrun's environment set."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tests.helpers import make_cohort
from torch import Tensor, nn

from dermsynth.algorithms import losses
from dermsynth.algorithms.base import Algorithm, AlgorithmConfig, Batch, Phase, Sgd
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train


class Penalised(Algorithm):
    """A critic with a gradient penalty and R1 against noise images, and a linear generator."""

    name = "penalised"
    Config = AlgorithmConfig
    latent = 4

    @classmethod
    def check(cls, config: AlgorithmConfig, size_px: int, classes: tuple[str, ...]) -> None:
        return

    def build(self) -> dict[str, nn.Module]:
        self.generator = _Linear(self.size_px)
        self.critic = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1),
            nn.InstanceNorm2d(4, affine=True),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(4 * (self.size_px // 2) ** 2, 1),
        )
        return {"generator": self.generator, "critic": self.critic}

    def phases(self) -> list[Phase]:
        sgd = Sgd(learning_rate=0.01, momentum=0.5)
        return [
            Phase("critic", self.critic, self.critic_loss, sgd),
            Phase("generator", self.generator, self.generator_loss, sgd, every=2),
        ]

    def critic_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.generator(batch.noise, batch.labels).detach()
        wasserstein = self.critic(batch.images).mean() - self.critic(fake).mean()
        mix = batch.draws.uniform("mix")
        penalty = losses.gradient_penalty(self.critic, batch.images, fake, mix)
        penalty = penalty + losses.zero_centred_penalty(self.critic, batch.images)
        return penalty - wasserstein, {"loss_critic": penalty - wasserstein}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = -self.critic(self.generator(batch.noise, batch.labels)).mean()
        return loss, {"loss_generator": loss}


class _Linear(nn.Module):
    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.layer = nn.Linear(4, 3 * size_px**2)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        images: Tensor = self.layer(noise).view(-1, 3, self.size_px, self.size_px).tanh()
        return images


def run(out: Path, accumulate: int = 1) -> Path:
    """Train for 12 steps of 8 images."""
    config = TrainConfig(budget_kimg=0.096, precision="fp32", snapshots=2, accumulate=accumulate)
    return train(make_cohort(), Penalised, AlgorithmConfig(batch_size=8), config, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]))
