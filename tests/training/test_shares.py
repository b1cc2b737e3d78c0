"""Class shares: a class is fed by the square root of its size."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from tests.helpers import make_cohort
from torch import nn

from dermsynth.algorithms.base import Adam, Algorithm, AlgorithmConfig, Batch, Phase
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.training.config import TrainConfig
from dermsynth.training.images import gather
from dermsynth.training.loop import train

COUNTS = (8, 32, 128)
"""Half of them are training images: 4, 16 and 64, whose roots are 2, 4 and 8."""


def shares(counts: tuple[int, ...]) -> list[float]:
    config = TrainConfig(held_out=0)
    images = gather(make_cohort(counts), Dcgan, DcganConfig(batch_size=2), config, None)
    return list(images.shares(images.classes))


def test_shares_are_as_the_roots_of_the_counts() -> None:
    np.testing.assert_allclose(shares(COUNTS), np.array([2, 4, 8]) / 14)


def test_classes_of_one_size_have_one_share() -> None:
    np.testing.assert_allclose(shares((24, 24, 24)), np.full(3, 1 / 3))


class _Counting(Algorithm):
    """Counts the labels that the loop feeds to it."""

    name = "counting"
    Config = AlgorithmConfig
    fed: ClassVar[Counter[int]] = Counter()

    @classmethod
    def check(cls, config: AlgorithmConfig, size_px: int, classes: tuple[str, ...]) -> None:
        return

    def build(self) -> dict[str, nn.Module]:
        return {"generator": Dcgan(DcganConfig(width=2), self.size_px, self.classes).networks["generator"]}

    @property
    def latent(self) -> int:
        return DcganConfig().latent

    def phases(self) -> list[Phase]:
        return [Phase("generator", self.networks["generator"], self.loss, Adam(learning_rate=1e-3))]

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        _Counting.fed.update(batch.labels.tolist())
        loss = sum(parameter.square().sum() for parameter in self.networks["generator"].parameters())
        assert isinstance(loss, torch.Tensor)
        return loss, {"loss_generator": loss}


def test_the_loop_feeds_classes_by_their_shares(tmp_path: Path) -> None:
    _Counting.fed.clear()
    images = 6400
    config = TrainConfig(budget_kimg=images / 1000, precision="fp32", snapshots=1, held_out=0)
    train(make_cohort(COUNTS), _Counting, AlgorithmConfig(batch_size=16), config, tmp_path / "run")
    found = np.array([_Counting.fed[label] for label in range(3)]) / images
    # Four standard errors of the rarest share.
    np.testing.assert_allclose(found, np.array([2, 4, 8]) / 14, atol=4 * np.sqrt(0.25 / images))
