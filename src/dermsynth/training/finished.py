"""A finished run of `dermsynth train`, as later stages read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.training.partial import NETWORKS

if TYPE_CHECKING:
    from dermsynth.algorithms.base import Algorithm


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    Attributes:
        path: Its folder.
        card: What its card says.
    """

    path: Path
    card: Mapping[str, Any]

    @classmethod
    def open(cls, run: Path | str) -> Self:
        """Return the run; no weight is read yet. Raises ArtefactError if it is no finished run."""
        return cls(Path(run), artefacts.read_card(Path(run), "run"))

    @property
    def name(self) -> str:
        """Return the name of the algorithm."""
        return str(self.card["config"]["algorithm"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes that the networks know; a run that was trained further may have seen only some lately."""
        return tuple(self.card["classes"])

    @property
    def size_px(self) -> int:
        """Return the side of its images."""
        return int(self.card["size_px"])

    @property
    def sha256(self) -> str:
        """Return the hash of the weights."""
        return str(self.card["files"][NETWORKS]["sha256"])

    def seen(self) -> pl.DataFrame:
        """Return which images its networks learnt from: `image_id`, `lesion_id`, `patient_id`, `sha256`."""
        return pl.read_parquet(self.path / SEEN)

    def load(self, algorithm: Algorithm) -> None:
        """Put the weights of the run's end into the networks of its algorithm.

        Raises:
            ArtefactError: they do not fit.
        """
        from dermsynth.training import checkpoint
        from dermsynth.training.learner import has_weights

        path = self.path / NETWORKS
        tensors, _ = checkpoint.load(path)
        for name, network in algorithm.networks.items():
            if has_weights(network):
                checkpoint.load_network(name, network, tensors, path)
