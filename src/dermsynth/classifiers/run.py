"""One classifier in training: its network, optimiser and feed, and the best state so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermsynth.classifiers import build
from dermsynth.classifiers.balance import Balance, loss_of
from dermsynth.classifiers.choose import Line, scores
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.networks.network import Network
from dermsynth.classifiers.optimise import Mover
from dermsynth.classifiers.predict import predict
from dermsynth.classifiers.schedule import Turn, turn
from dermsynth.cohorts.augment import ClassicalAugmentation, augment
from dermsynth.cohorts.augment.mixing import mix
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import DivergedError
from dermsynth.core.randomness import global_torch_seed, key, seed_layers, torch_generator
from dermsynth.training import checkpoint
from dermsynth.training.device import make_fabric, place
from dermsynth.training.ema import Average
from dermsynth.training.feed import Feed, in_epochs


class Run:
    """One training run. It knows steps, not files or clocks.

    Attributes:
        step: Steps taken.
        history: A line for every scored state.
        chosen_line: That of the best one.
    """

    def __init__(
        self,
        train: Cohort,
        val: Cohort,
        config: FitConfig,
        rows: NDArray[np.int64],
        augmentation: ClassicalAugmentation | None = None,
        balance: Balance = "none",
    ) -> None:
        self.val, self.config, self.augmentation = val, config, augmentation
        self.classes = train.classes
        self.val_labels = val.labels
        counts = np.bincount(train.labels[rows], minlength=len(self.classes))
        self.train_counts = {name: int(count) for name, count in zip(self.classes, counts, strict=True)}
        self.fabric = make_fabric(config.precision)
        self.loss = loss_of(balance, self.train_counts, config.label_smoothing, self.fabric.device)
        with global_torch_seed(config.seed, "init"):
            self.network = build(config, len(self.classes), train.size_px)
        place(self.network, self.fabric)
        self.mover = Mover(self.network, config)
        self.average = None if config.ema_halflife_kimg is None else Average(self.network, config.ema_halflife_kimg)
        self.feed = Feed(train.images, train.labels, in_epochs(rows, config.batch_size, config.seed), self.fabric)
        # The same steps for every training set, whatever its size.
        steps, evaluations = config.steps, config.evaluations
        self._scored = {max(1, round(steps * number / evaluations)) for number in range(1, evaluations + 1)}
        self.step = 0
        self.history: list[Line] = []
        self.chosen_line: Line = {}
        self._chosen: dict[str, Tensor] = {}
        self._losses: list[Tensor] = []

    @property
    def predictor(self) -> Network:
        """Return the network that is scored and predicts."""
        return self.network if self.average is None else self.average.network

    @property
    def images_seen(self) -> int:
        """Return the training images seen so far, repeats counted."""
        return self.step * self.config.batch_size

    def advance(self) -> None:
        """Take a step; score the state and maybe keep it where it is time to.

        Raises:
            DivergedError: a loss since the last evaluation, or a prediction, is not finite.
        """
        self._losses.append(self.learn(self.step, turn(self.config, self.step)))
        self.step += 1
        if self.average is not None:
            self.average.update(self.images_seen, self.config.batch_size)
        if self.step in self._scored:
            self._score()

    def learn(self, step: int, setting: Turn) -> Tensor:
        """Move the weights by the batch of a step; return its loss, which stays on the device."""
        seed = self.config.seed
        images, labels = self.feed.batch(step)
        if self.augmentation:
            images = augment(images, self.augmentation, torch_generator(seed, "augment", step))
            if self.augmentation.mixes:
                generator = torch_generator(seed, "mix", step)
                images, labels = mix(images, labels, len(self.classes), self.augmentation, generator)
        # Layers that draw from the global generator by design (dropout) draw the same in a continued fit.
        seed_layers(key(seed, "layers", step), self.fabric.device)
        self.mover.set(setting)
        with self.fabric.autocast():
            loss = self.loss(self.network(images), labels)
        self.fabric.backward(loss)
        self.mover.step()
        return loss.detach()

    def _score(self) -> None:
        """Write a line of history and keep the state if it is the best. Only here do numbers leave the device."""
        losses = torch.stack(self._losses).double().cpu().numpy()
        self._losses = []
        if not np.isfinite(losses).all():
            raise self._diverged("the loss", self.step - len(losses) + int(np.flatnonzero(~np.isfinite(losses))[0]))
        probabilities = predict(self.predictor, self.val, self.fabric, self.config.tta)
        if not np.isfinite(probabilities).all():
            raise self._diverged("a prediction", self.step - 1)
        line: Line = {"images_seen": self.images_seen, "loss": float(losses.mean())}
        line |= scores(self.config.choose_by, self.val_labels, probabilities)
        self.history.append(line)
        score = f"val_{self.config.choose_by}"
        if not self.chosen_line or line[score] > self.chosen_line[score]:
            self.chosen_line = line
            self._chosen = {name: tensor.detach().clone() for name, tensor in self.predictor.state_dict().items()}

    def _diverged(self, what: str, step: int) -> DivergedError:
        return DivergedError(
            f"{what} is not finite after {(step + 1) * self.config.batch_size:,} images at learning rate "
            f"{turn(self.config, step).learning_rate:.3g} (learning_rate {self.config.learning_rate:g}); "
            "lower learning_rate"
        )

    def restore_chosen(self) -> None:
        """Put the best state into the predictor."""
        self.predictor.load_state_dict(self._chosen)

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors and the facts that a continued run needs."""
        tensors = checkpoint.network_state("network", self.network)
        tensors |= checkpoint.optimiser_state("optimiser", self.mover.optimiser)
        tensors |= {f"chosen.{name}": tensor for name, tensor in self._chosen.items()}
        if self.average is not None:
            tensors |= checkpoint.network_state("ema", self.average.network)
        if self._losses:
            tensors["losses"] = torch.stack(self._losses)
        scored = {"history": self.history, "chosen_line": self.chosen_line}
        return tensors, {"step": str(self.step), "scored": json.dumps(scored)}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, str], where: Path) -> None:
        """Take up the state that `state` returned; `where` is its file, for messages."""
        checkpoint.load_network("network", self.network, tensors, where)
        checkpoint.load_optimiser("optimiser", self.mover.optimiser, tensors)
        self._chosen = {
            name.removeprefix("chosen."): tensor for name, tensor in tensors.items() if name.startswith("chosen.")
        }
        if self.average is not None:
            checkpoint.load_network("ema", self.average.network, tensors, where)
        losses = tensors.get("losses", torch.empty(0)).to(self.fabric.device)
        self._losses = list(losses.unbind())
        self.step = int(facts["step"])
        scored: dict[str, Any] = json.loads(facts["scored"])
        self.history, self.chosen_line = scored["history"], scored["chosen_line"]
