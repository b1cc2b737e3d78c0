"""Fit one classifier: train on an arm's images, choose the state that is best on validation, predict val and test."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.classifiers import build
from dermsynth.classifiers.config import FitConfig
from dermsynth.classifiers.predict import predict
from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.cohorts.augment import ClassicalAugmentation, augment
from dermsynth.cohorts.augment.mixing import mix
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.errors import DivergedError, InputError, LeakageError
from dermsynth.core.randomness import global_torch_seed, torch_generator
from dermsynth.metrics.scores import balanced_accuracy
from dermsynth.training.device import describe, make_fabric
from dermsynth.training.feed import Feed, in_epochs

if TYPE_CHECKING:
    from torch import Tensor

HISTORY, WEIGHTS = "history.jsonl", "classifier.safetensors"
WEIGHTS_PREFIX = "classifier"
_PROGRESS_CALLS = 100

Progress = Callable[[int, int], None]
"""Called with (images seen, images in all) from time to time."""


def fit(
    train: Cohort,
    val: Cohort,
    test: Cohort,
    config: FitConfig,
    out: Path | str,
    *,
    rows: NDArray[np.int64] | None = None,
    augmentation: ClassicalAugmentation | None = None,
    facts: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train a classifier and return its folder.

    The state with the highest balanced accuracy on `val` is kept, of equal ones the earliest. Test images are read
    once, by that state. Same configuration, cohorts and number of threads: the same bits.

    Args:
        train: Training images, real or synthetic.
        val: Real images that choose the state; every class is among them.
        test: Real images that are predicted.
        config: Network and training.
        out: The folder to make: `predictions.parquet` (val and test), `history.jsonl` (a line per scored state),
            `classifier.safetensors` (the chosen one) and `card.json`.
        rows: The rows of `train` that make one epoch; a row may stand in it several times. Default: every row once.
        augmentation: Alters every training image each time it is seen; where it mixes images, the loss is the cross
            entropy to the shares of their classes. Default: images as they are.
        facts: Go into the card.
        force: Replace an existing artefact.
        progress: Called with images seen and images in all.

    Raises:
        InputError: the cohorts have different classes or sizes, a class is missing in `val`, `train` has one class
            only, or `rows` are not rows of `train`.
        LeakageError: a synthetic image is in `val` or `test`, or a lesion is in two of the three.
        DivergedError: the loss or a prediction is no longer finite.
        ArtefactError: `out` exists and `force` is false, or the disk is full.
    """
    started = time.monotonic()
    rows = np.arange(len(train), dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
    _check(train, val, test, rows)
    with artefacts.creating(Path(out), "fit", force=force) as draft:
        run = _Fit(train, val, config, rows, augmentation)
        run.run(progress)
        run.restore_chosen()
        splits = {name: run.predictions(part) for name, part in (("val", val), ("test", test))}
        write_predictions(draft.path / FILE, splits)
        run.save(draft.path)
        draft.card.update(facts or {})
        draft.card.update(run.facts())
        draft.card["wall_s"] = round(time.monotonic() - started, 1)
    return Path(out)


def _check(train: Cohort, val: Cohort, test: Cohort, rows: NDArray[np.int64]) -> None:
    parts = {"train": train, "val": val, "test": test}
    for name, part in parts.items():
        if not len(part):
            raise InputError(f"{name} has no image; split the cohort again")
        if part.classes != train.classes:
            raise InputError(
                f"{name} has classes {', '.join(part.classes)} but train has {', '.join(train.classes)}; "
                "take all three from cohorts with the same classes"
            )
        if part.size_px != train.size_px:
            raise InputError(f"{name} has images of {part.size_px} px but train of {train.size_px}; ingest at one size")
    empty = [name for name, count in val.counts().items() if not count]
    if empty:
        raise InputError(f"class '{empty[0]}' has no image in val, so no state can be chosen; split the cohort again")
    if not len(rows) or rows.min() < 0 or rows.max() >= len(train):
        raise InputError(f"rows must name at least one of the {len(train)} training images, counted from 0")
    found = np.unique(train.labels[rows])
    if len(found) < 2:
        raise InputError(f"train has images of '{train.classes[found[0]]}' only; a classifier needs two classes")
    for name in ("val", "test"):
        synthetic = parts[name].table.filter(pl.col("origin") == "synthetic")
        if synthetic.height:
            raise LeakageError(
                f"{name} holds the synthetic image '{synthetic['image_id'][0]}' ({synthetic.height} in all); "
                "classifiers are judged on real images only"
            )
    for name, other in (("train", "val"), ("train", "test"), ("val", "test")):
        # A leaky split was asked for; even there no image stands in two parts.
        column = "image_id" if parts[other].leaky else "lesion_id"
        shared = parts[name].table.filter(pl.col(column).is_in(parts[other].table[column].to_list()))
        if shared.height:
            raise LeakageError(
                f"lesion '{shared['lesion_id'][0]}' (image '{shared['image_id'][0]}') is in {name} and in {other}; "
                "split the cohort by lesion"
            )


class _Fit:
    """One training run: its network, optimiser and feed, and the best state so far."""

    def __init__(
        self,
        train: Cohort,
        val: Cohort,
        config: FitConfig,
        rows: NDArray[np.int64],
        augmentation: ClassicalAugmentation | None,
    ) -> None:
        import torch

        self.val, self.config, self.augmentation = val, config, augmentation
        self.classes = train.classes
        self.size_px = train.size_px
        self.val_labels = val.labels
        counts = np.bincount(train.labels[rows], minlength=len(self.classes))
        self.train_counts = {name: int(count) for name, count in zip(self.classes, counts, strict=True)}
        self.fabric = make_fabric(config.precision)
        with global_torch_seed(config.seed, "init"):
            self.network = build(config, len(self.classes), self.size_px)
        # The union of layouts that `Module.to` accepts is not in its stubs.
        self.network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.feed = Feed(train.images, train.labels, in_epochs(rows, config.batch_size, config.seed), self.fabric)
        self.history: list[dict[str, float | int]] = []
        self.chosen: dict[str, Tensor] = {}
        self.chosen_line: dict[str, float | int] = {}

    def run(self, progress: Progress | None) -> None:
        """Take the steps; score and maybe keep the state at the evaluations."""
        steps, evaluations = self.config.steps, self.config.evaluations
        scored = {max(1, round(steps * number / evaluations)) for number in range(1, evaluations + 1)}
        losses: list[Tensor] = []
        for step in range(steps):
            losses.append(self._one_step(step))
            if step + 1 in scored:
                self._score(step + 1, losses)
                losses = []
            if progress and ((step + 1) % max(1, steps // _PROGRESS_CALLS) == 0 or step + 1 == steps):
                progress((step + 1) * self.config.batch_size, steps * self.config.batch_size)

    def _one_step(self, step: int) -> Tensor:
        images, labels = self.feed.batch(step)
        if self.augmentation:
            images = augment(images, self.augmentation, torch_generator(self.config.seed, "augment", step))
            if self.augmentation.mixes:
                generator = torch_generator(self.config.seed, "mix", step)
                images, labels = mix(images, labels, len(self.classes), self.augmentation, generator)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(step)
        loss = self._loss(images, labels)
        self.fabric.backward(loss)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross entropy; `labels` are N classes, or N x classes shares."""
        import torch.nn.functional as F

        with self.fabric.autocast():
            return F.cross_entropy(self.network(images), labels)

    def _learning_rate(self, step: int) -> float:
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.config.steps))

    def _score(self, step: int, losses: list[Tensor]) -> None:
        """Write a line of history and keep the state if it is the best. Only here do numbers leave the device."""
        import torch

        values = torch.stack(losses).double().cpu().numpy()
        if not np.isfinite(values).all():
            first = step - len(values) + int(np.flatnonzero(~np.isfinite(values))[0])
            raise self._diverged("the loss", first)
        probabilities = predict(self.network, self.val, self.fabric, self.config.tta)
        if not np.isfinite(probabilities).all():
            raise self._diverged("a prediction", step - 1)
        score = balanced_accuracy(self.val_labels, probabilities.argmax(axis=1), len(self.classes))
        line: dict[str, float | int] = {
            "images_seen": step * self.config.batch_size,
            "loss": float(values.mean()),
            "val_balanced_accuracy": score,
        }
        self.history.append(line)
        if not self.chosen_line or score > self.chosen_line["val_balanced_accuracy"]:
            self.chosen_line = line
            self.chosen = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def _diverged(self, what: str, step: int) -> DivergedError:
        return DivergedError(
            f"{what} is not finite after {(step + 1) * self.config.batch_size:,} images at learning rate "
            f"{self._learning_rate(step):.3g} (learning_rate {self.config.learning_rate:g}); lower learning_rate"
        )

    def restore_chosen(self) -> None:
        """Put the best state back into the network."""
        self.network.load_state_dict(self.chosen)

    def predictions(self, part: Cohort) -> Predictions:
        """Return what the network says about every image of a part, in its order."""
        return Predictions(
            np.array(part.table["image_id"].to_list(), dtype=np.str_),
            np.array(part.table["lesion_id"].to_list(), dtype=np.str_),
            part.labels,
            predict(self.network, part, self.fabric, self.config.tta).astype(np.float64),
            self.classes,
        )

    def save(self, folder: Path) -> None:
        """Write history and chosen weights."""
        from dermsynth.training import checkpoint

        lines = "".join(json.dumps(line) + "\n" for line in self.history)
        artefacts.write_atomically(folder / HISTORY, lines.encode())
        # One entry only: safetensors writes several in an order that changes from run to run.
        built = {"model": self.config.model, "width": self.config.width, "classes": self.classes}
        tensors = checkpoint.network_state(WEIGHTS_PREFIX, self.network)
        checkpoint.save(folder / WEIGHTS, tensors, {"classifier": json.dumps(built)})

    def facts(self) -> dict[str, Any]:
        """Return what the card records."""
        return {
            "config": self.config.canonical(),
            "augmentation": self.augmentation.canonical() if self.augmentation else None,
            "classes": list(self.classes),
            "size_px": self.size_px,
            "network": self.network.description,
            "train_counts": self.train_counts,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "images_seen": self.config.steps * self.config.batch_size,
            "chosen_images_seen": self.chosen_line["images_seen"],
            "val_balanced_accuracy": self.chosen_line["val_balanced_accuracy"],
            **describe(self.fabric),
        }
