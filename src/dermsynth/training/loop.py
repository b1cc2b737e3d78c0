"""The one training loop. It asks an algorithm for its phases and runs them; it knows no algorithm's name.

A run lives in `OUT.partial` until its budget is spent, then becomes the artefact `OUT`. The same command continues what
is in `OUT.partial`, bit for bit: every draw is a function of the step, so a checkpoint holds tensors and counters only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from dermsynth.algorithms.base import Algorithm, AlgorithmConfig, Batch, Phase
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.config import Config, digest_of
from dermsynth.core.errors import DivergedError, InputError, InterruptedRunError
from dermsynth.core.locks import alone_in
from dermsynth.core.randomness import global_torch_seed, torch_generator
from dermsynth.training import checkpoint
from dermsynth.training.device import Precision, describe, make_fabric
from dermsynth.training.ema import Average
from dermsynth.training.feed import Feed, by_class
from dermsynth.training.partial import CHECKPOINT, NETWORKS, SEEN, SETTINGS, PartialRun, flat
from dermsynth.training.samples import write_grid
from dermsynth.training.stop import StopRequests

IDENTIFIERS = ("image_id", "lesion_id", "patient_id", "sha256")
"""What `seen.parquet` says of every image that the networks saw: enough to find it again in another cohort."""
_TICKS = 200
"""Lines of history in a run: enough for a curve, few enough to cost nothing."""

Progress = Callable[[int, int], None]
"""Called with (done, total) from time to time."""


class TrainConfig(Config):
    """How long and how an algorithm is trained."""

    budget_kimg: float = Field(200.0, gt=0, description="thousands of real images seen")
    seed: int = Field(0, ge=0)
    precision: Precision = "auto"
    ema_halflife_kimg: float = Field(5.0, gt=0, description="half-life of the averaged weights that are sampled")
    snapshots: int = Field(8, ge=1, description="sample grids over the run, the last one at its end")
    checkpoint_every_s: float = Field(60.0, ge=0, description="seconds of work at risk")


def train(
    cohort: Cohort,
    algorithm_class: type[Algorithm],
    settings: AlgorithmConfig,
    config: TrainConfig,
    out: Path | str,
    *,
    force: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Train an algorithm on the train part of a cohort and return the run's folder.

    Args:
        cohort: Has a split; val and test are never read.
        algorithm_class: One of `dermsynth.algorithms`.
        settings: Its configuration.
        config: Budget, seed and precision.
        out: The folder to make: `networks.safetensors` (all networks and the averaged generator `ema`),
            `history.jsonl`, `samples/*.png` (a row per class, the same noise in each), `seen.parquet` (which images
            and lesions the networks saw) and `card.json`.
        force: Replace a finished run, or start over where a partial one has other settings.
        facts: Go into the card.
        progress: Called with images seen and images in all.

    Raises:
        InputError: the cohort has no split, an empty class, or a size the networks cannot make.
        ArtefactError: `out` exists, its partial run has other settings, or another process is at work there.
        DivergedError: a loss is no longer finite; the last good checkpoint stays in the partial folder.
        InterruptedRunError: the user stopped it; the state is saved.
    """
    out = artefacts.check_free(Path(out), force=force)
    part = _checked(cohort, algorithm_class)
    folder = out.with_name(f"{out.name}.partial")
    run = _Run(part, algorithm_class, settings, config, folder)
    chosen = {
        "algorithm": algorithm_class.name,
        "settings": settings.canonical(),
        "training": config.canonical(),
        "cohort": cohort.identity,
    }
    with artefacts.explained_disk_errors(out):
        folder.mkdir(parents=True, exist_ok=True)
        # A request to stop that arrives while the run is completed waits for the moment that takes.
        with alone_in(folder), StopRequests() as stop:
            artefacts.check_free(out, force=force)  # another process may have finished it while this one got ready
            run.prepare(chosen, force=force)
            run.run(progress, stop)
            run.complete(out, {"config": chosen, "licence": cohort.card.get("licence"), **(facts or {})})
    return out


def _checked(cohort: Cohort, algorithm_class: type[Algorithm]) -> Cohort:
    algorithm_class.check_size(cohort.size_px)
    part = cohort.part("train")
    empty = [name for name, count in part.counts().items() if not count]
    if empty:
        raise InputError(
            f"{cohort.path or 'cohort'}: class '{empty[0]}' has no image in the train part; "
            "split the cohort again or leave the class out when ingesting"
        )
    return part


class _Run:
    """One run: its networks, optimisers and counters, and the folder in which it grows."""

    def __init__(
        self,
        part: Cohort,
        algorithm_class: type[Algorithm],
        settings: AlgorithmConfig,
        config: TrainConfig,
        folder: Path,
    ) -> None:
        self.part, self.config, self.folder = part, config, folder
        self.partial = PartialRun(folder)
        self.fabric = make_fabric(config.precision)
        runs_on = describe(self.fabric)
        # Equal bits need the same of all of these, so a run is continued where they are the same.
        self.machine = ", ".join(
            [*(f"{name} {value}" for name, value in runs_on.items()), f"torch {torch.__version__}"]
        )

        # Networks, and one optimiser per phase.
        with global_torch_seed(config.seed, "init"):
            self.algorithm = algorithm_class(settings, part.size_px, len(part.classes))
        for network in self.algorithm.networks.values():
            # The union of layouts that `Module.to` accepts is not in its stubs.
            network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.phases = self.algorithm.phases()
        self.parameters = {phase.name: list(phase.net.parameters()) for phase in self.phases}
        self.optimisers = {phase.name: _adam(phase, self.parameters[phase.name]) for phase in self.phases}
        self.average = Average(self.algorithm.networks["generator"], config.ema_halflife_kimg)

        # What is fed, when something is written, and how far we are.
        self.batch_size = settings.batch_size
        labels = part.labels
        self.feed = Feed(
            part.images, labels, by_class(labels, _shares(part), self.batch_size, config.seed), self.fabric
        )
        self.steps = max(1, round(config.budget_kimg * 1000 / self.batch_size))
        self.tick = max(1, self.steps // _TICKS)
        self.snapshots = {round(self.steps * (n + 1) / config.snapshots) for n in range(config.snapshots)}
        self.step = 0
        self.wall_s = 0.0
        self.logged: list[dict[str, Tensor]] = []

    def prepare(self, chosen: Mapping[str, Any], *, force: bool) -> None:
        """Continue what is in the partial folder if it has the same settings; else start in it."""
        identity = {**flat(chosen), "machine": self.machine}
        self.digest = digest_of(identity)
        if self.partial.claim(identity, force=force):
            self._restore()
        self.partial.forget_after(self.step * self.batch_size)

    def run(self, progress: Progress, stop: StopRequests) -> None:
        """Run steps until the budget is spent or somebody asks to stop."""
        now = time.monotonic()
        started, saved = now - self.wall_s, now
        while self.step < self.steps:
            self._one_step()
            seen = self.step * self.batch_size
            now = time.monotonic()
            self.wall_s = now - started
            if self.step % self.tick == 0 or self.step == self.steps:
                self._log(seen)
                progress(seen, self.steps * self.batch_size)
            if self.step in self.snapshots:
                write_grid(self.partial.grid(seen), self.algorithm, self.average.network, self.config.seed)
            if stop.requested or now - saved > self.config.checkpoint_every_s:
                self._save()
                saved = now
            if stop.requested and self.step < self.steps:
                raise InterruptedRunError(
                    f"stopped at {seen:,} of {self.steps * self.batch_size:,} images; the state is in "
                    f"{self.folder}: run the same command again to continue"
                )

    def complete(self, out: Path, facts: Mapping[str, Any]) -> None:
        """Write what later stages read and rename the folder."""
        tensors = checkpoint.network_state("ema", self.average.network)
        for name, network in self.algorithm.networks.items():
            tensors |= checkpoint.network_state(name, network)
        checkpoint.save(self.folder / NETWORKS, tensors, {"digest": self.digest})
        artefacts.write_parquet(self.folder / SEEN, self.part.table.select(IDENTIFIERS))
        card = {
            **facts,
            "classes": list(self.part.classes),
            "size_px": self.part.size_px,
            "images_seen": self.step * self.batch_size,
            "train_counts": self.part.counts(),
            "parameters": {
                name: sum(p.numel() for p in network.parameters()) for name, network in self.algorithm.networks.items()
            },
            "wall_s": round(self.wall_s, 1),
            **describe(self.fabric),
        }
        artefacts.finish(self.folder, out, "run", card, leave_out=(CHECKPOINT, SETTINGS))

    def _one_step(self) -> None:
        images, labels = self.feed.batch(self.step)
        noise_generator = torch_generator(self.config.seed, "noise", self.step, self.fabric.device)
        noise = torch.randn(len(labels), self.algorithm.latent, generator=noise_generator, device=self.fabric.device)
        batch = Batch(images, labels, noise)
        scalars: dict[str, Tensor] = {}
        for phase in self.phases:
            if (self.step + 1) % phase.every == 0:
                with self.fabric.autocast():
                    loss, logged = phase.loss(batch)
                # Gradients for this phase's network alone: no work for the others', and nothing to zero in them.
                self.fabric.backward(loss, inputs=self.parameters[phase.name])
                self.optimisers[phase.name].step()
                self.optimisers[phase.name].zero_grad(set_to_none=True)
                scalars |= {name: value.detach() for name, value in logged.items()}
        self.step += 1
        self.average.update(self.step * self.batch_size, self.batch_size)
        self.logged.append(scalars)

    def _log(self, seen: int) -> None:
        """Append a line of means since the last one; here, and not in every step, numbers leave the device."""
        first = self.step - len(self.logged)
        names = sorted({name for scalars in self.logged for name in scalars})
        line: dict[str, float | int] = {"images_seen": seen, "wall_s": round(self.wall_s, 2)}
        for name in names:
            # A phase that runs in every fifth step has a loss in every fifth step.
            steps = [first + number + 1 for number, scalars in enumerate(self.logged) if name in scalars]
            values = torch.stack([scalars[name].float() for scalars in self.logged if name in scalars]).cpu().numpy()
            if not np.isfinite(values).all():
                at = steps[int(np.flatnonzero(~np.isfinite(values))[0])] * self.batch_size
                raise DivergedError(self._advice(name, at))
            line[name] = float(values.mean())
        self.partial.append(line)
        self.logged.clear()

    def _advice(self, name: str, at: int) -> str:
        kept = self.partial.checkpoint
        if kept.exists():
            facts = checkpoint.load(kept)[1]
            good = f"the last good checkpoint, at {int(facts['step']) * self.batch_size:,} images, is {kept}"
        else:
            good = "no checkpoint had been written before"
        return (
            f"{name} is not finite at {at:,} images; {good}. Lower the learning rate (--set learning_rate=…) "
            "and train into another --out"
        )

    def _save(self) -> None:
        tensors = checkpoint.network_state("ema", self.average.network)
        for name, network in self.algorithm.networks.items():
            tensors |= checkpoint.network_state(f"network.{name}", network)
        for name, tensor in tensors.items():  # a checkpoint must be good before it replaces the last one
            if not torch.isfinite(tensor).all():
                raise DivergedError(self._advice(name, self.step * self.batch_size))
        for name, optimiser in self.optimisers.items():
            tensors |= checkpoint.optimiser_state(f"optimiser.{name}", optimiser)
        for number, scalars in enumerate(self.logged):
            tensors |= {f"logged.{number}.{name}": value for name, value in scalars.items()}
        facts = {"step": str(self.step), "wall_s": f"{self.wall_s:.2f}", "digest": self.digest}
        checkpoint.save(self.partial.checkpoint, tensors, facts)

    def _restore(self) -> None:
        path = self.partial.checkpoint
        tensors, facts = checkpoint.load(path)
        checkpoint.load_network("ema", self.average.network, tensors, path)
        for name, network in self.algorithm.networks.items():
            checkpoint.load_network(f"network.{name}", network, tensors, path)
        for name, optimiser in self.optimisers.items():
            checkpoint.load_optimiser(f"optimiser.{name}", optimiser, tensors)
        self.step, self.wall_s = int(facts["step"]), float(facts["wall_s"])
        waiting = {int(key.split(".")[1]) for key in tensors if key.startswith("logged.")}
        self.logged = [
            {key.split(".", 2)[2]: tensor for key, tensor in tensors.items() if key.startswith(f"logged.{number}.")}
            for number in sorted(waiting)
        ]


def _adam(phase: Phase, parameters: list[torch.nn.Parameter]) -> Optimizer:
    chosen = phase.optimiser
    return torch.optim.Adam(parameters, chosen.learning_rate, (chosen.beta1, chosen.beta2), fused=True)


def _shares(part: Cohort) -> NDArray[np.float64]:
    """Return how often each class is fed: by the square root of its size.

    By size, a class of 1 % would get 1 % of the generator's practice; all alike, its few images would be seen so often
    that the discriminator learns them by heart. The square root is the usual compromise for long tails.
    """
    counts = np.array(list(part.counts().values()), dtype=np.float64)
    shares: NDArray[np.float64] = np.sqrt(counts) / np.sqrt(counts).sum()
    return shares
