"""A finished run that makes images, and the pool they go to with what is known of their origin."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from numpy.typing import NDArray

from dermsynth.algorithms import algorithm_class
from dermsynth.cohorts.cohort import CohortWriter, writing_cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.config import Config, nearest, parse
from dermsynth.core.errors import ConfigError
from dermsynth.training.finished import FinishedRun
from dermsynth.training.partial import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    from lightning_fabric import Fabric
    from torch import nn

    from dermsynth.algorithms.base import Algorithm

_PIXELS_AT_ONCE = 64 * 64**2
_MOST_AT_ONCE = 64


@dataclass(frozen=True)
class Trained(FinishedRun):
    """A finished run of `dermsynth train` that makes images.

    Attributes:
        changed: Sampling settings with other values than in training.
    """

    changed: Mapping[str, Any]

    @classmethod
    def open(cls, run: Path | str, settings: Mapping[str, Any] | None = None) -> Trained:
        """Return the run; no weight is read yet.

        Raises:
            ArtefactError: it is no finished run.
            ConfigError: `settings` names something that is no sampling setting of the algorithm, or a wrong value.
        """
        path = Path(run)
        card = artefacts.read_card(path, "run")
        trained = cls(path, card, {})
        known = algorithm_class(trained.name).sampling
        for key in settings or {}:
            if key not in known:
                raise ConfigError(f"{path}: '{key}' cannot be changed after training; {_choice(key, known)}")
        chosen = trained._configured(settings or {}).canonical()
        before = card["config"]["settings"]
        return cls(path, card, {key: chosen[key] for key in sorted(known) if chosen[key] != before.get(key)})

    @property
    def translates(self) -> bool:
        """Return whether it makes images from images, not from noise."""
        return algorithm_class(self.name).translates

    @property
    def cohort_classes(self) -> tuple[str, ...]:
        """Return the classes of its cohort, which its pools have, so that they can be joined to the cohort."""
        return tuple(self.card["cohort_classes"])

    @property
    def at_once(self) -> int:
        """Return how many images are made at a time, so that memory does not grow with their size."""
        return max(1, min(_MOST_AT_ONCE, _PIXELS_AT_ONCE // int(self.card["size_px"]) ** 2))

    @cached_property
    def fabric(self) -> Fabric:
        """Return the device on which images are made, in float32."""
        from dermsynth.training.device import make_fabric

        return make_fabric("fp32")

    @cached_property
    def network(self) -> tuple[Algorithm, nn.Module]:
        """Return the algorithm and its averaged generator, in eval mode and as far as the chosen snapshot was."""
        from dermsynth.training import checkpoint
        from dermsynth.training.device import place

        chosen = algorithm_class(self.name)
        algorithm = chosen(self._configured(self.changed), self.card["size_px"], self.classes)
        generator = algorithm.networks["generator"]
        path = self.path / NETWORKS
        checkpoint.load_network("ema", generator, checkpoint.load(path)[0], path)
        budget = self.card["images_seen"]
        place(generator, self.fabric)
        generator.eval().requires_grad_(False)
        algorithm.advance([generator], self.card.get("chosen_at", budget), budget)
        return algorithm, generator

    @contextlib.contextmanager
    def writing_pool(
        self, out: Path | str, classes: Sequence[str], config: Mapping[str, Any], *, force: bool
    ) -> Iterator[CohortWriter]:
        """Build a pool of this run's images; it gets `seen.parquet`, the images that the generator learnt from."""
        facts = {
            "config": {**config, "settings": dict(self.changed)},
            "run": {
                "networks_sha256": self.sha256,
                "config": self.card["config"],
                "images_seen": self.card["images_seen"],
                "chosen_at": self.card.get("chosen_at", self.card["images_seen"]),
            },
            "licence": self.card.get("licence"),
        }
        with writing_cohort(Path(out), classes, force=force, facts=facts) as writer:
            shutil.copyfile(self.path / SEEN, writer.folder / SEEN)
            yield writer

    def rows(self, names: Sequence[str], label: str, images: NDArray[np.uint8], **more: Any) -> pl.DataFrame:
        """Return the table of n images: the columns of a cohort, then `algorithm`, `generator_sha256` and more."""
        return pl.DataFrame(
            {
                "image_id": names,
                "label": label,
                # A synthetic image is a lesion of its own: it is nobody's.
                "lesion_id": names,
                "patient_id": pl.Series([None] * len(names), dtype=pl.String),
                "source": self.name,
                "origin": "synthetic",
                "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
                "algorithm": self.name,
                "generator_sha256": self.sha256,
                **more,
            }
        )

    def _configured(self, settings: Mapping[str, Any]) -> Config:
        model = algorithm_class(self.name).Config
        return parse(model, {**self.card["config"]["settings"], **settings}, f"settings of {self.name}")


def _choice(key: str, known: frozenset[str]) -> str:
    return nearest(key, known) if known else "its images depend on no setting"
