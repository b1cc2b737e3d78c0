"""The one training loop. It asks an algorithm for its phases and runs them; it knows no algorithm's name.

A run lives in `OUT.partial` until its budget is spent, then becomes the artefact `OUT`. The same command continues what
is in `OUT.partial`, bit for bit: every draw is a function of the step, so a checkpoint holds tensors and counters only.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermsynth.algorithms.base import Algorithm, AlgorithmConfig
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.config import digest_of
from dermsynth.core.errors import ConfigError, DivergedError, InterruptedRunError
from dermsynth.core.locks import alone_in
from dermsynth.training import checkpoint
from dermsynth.training.config import TrainConfig
from dermsynth.training.device import describe, make_fabric
from dermsynth.training.images import Start, TrainingImages, gather
from dermsynth.training.learner import Learner, has_weights
from dermsynth.training.loggers import Logger, make_loggers
from dermsynth.training.looks import Looks
from dermsynth.training.monitors import Finding, findings
from dermsynth.training.partial import BEST, GOOD, NETWORKS, WORKING, PartialRun, flat
from dermsynth.training.samples import read_grid, write_grid
from dermsynth.training.stop import StopRequests

_TICKS = 200
"""Lines of history in a run: enough for a curve, few enough to cost nothing."""
_AGREE_EVERY = 10
"""Several processes ask each other in every so many steps whether to stop."""

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (done, total) from time to time."""


def train(
    cohort: Cohort,
    algorithm_class: type[Algorithm],
    settings: AlgorithmConfig,
    config: TrainConfig,
    out: Path | str,
    *,
    start: Path | str | None = None,
    loggers: Sequence[str] = (),
    force: bool = False,
    facts: Mapping[str, Any] | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Train an algorithm on the train part of a cohort and return the run's folder.

    Under `torchrun` all processes call this with the same arguments; the first one writes the files.

    Args:
        cohort: Has a split; val and test are never read.
        algorithm_class: One of `dermsynth.algorithms`.
        settings: Its configuration.
        config: Budget, seed and precision.
        out: The folder to make: `networks.safetensors` (all networks, and the averaged generator `ema` of the best
            snapshot), `history.jsonl`, `looks.jsonl` (what was measured at the snapshots), `findings.jsonl` (what the
            monitors noticed), `samples/*.png` (a row per class, the same noise in each), `seen.parquet` (which images
            and lesions the networks saw) and `card.json`.
        start: A finished run of the same algorithm and shape whose networks are trained further. Its classes are
            kept; the cohort holds some of them.
        loggers: `tensorboard`, `mlflow`: where curves go beside the run's folder.
        force: Replace a finished run, or start over where a partial one has other settings.
        facts: Go into the card.
        progress: Called with images seen and images in all.

    Raises:
        InputError: the cohort has no split, an empty class, fewer images of a class than a batch takes, or a size or
            classes that the algorithm cannot do with.
        ConfigError: memory ran out, a layer to freeze does not exist, or a batch cannot be divided.
        ArtefactError: `out` exists, its partial run has other settings, another process is at work there, or `start`
            does not fit.
        DivergedError: a loss was not finite, and again after going back to the last good state with half the learning
            rate; the state stays in the partial folder.
        InterruptedRunError: the user stopped it; the state is saved.
    """
    out = artefacts.check_free(Path(out), force=force)
    origin = None if start is None else Start.open(start, algorithm_class.name)
    material = gather(cohort, algorithm_class, settings, config, origin)
    folder = out.with_name(f"{out.name}.partial")
    chosen = {
        "algorithm": algorithm_class.name,
        "settings": settings.canonical(),
        "training": config.canonical(),
        "cohort": cohort.identity,
        "start": None if origin is None else origin.sha256,
    }
    with explained_memory(settings), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        run = _Run(material, algorithm_class, settings, config, folder, origin)
        with artefacts.explained_disk_errors(out), contextlib.ExitStack() as held:
            if run.is_first:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone_in(folder))
                artefacts.check_free(out, force=force)  # another process may have finished it meanwhile
            # A request to stop that arrives while the run is completed waits for the moment that takes.
            stop = held.enter_context(StopRequests())
            run.prepare(chosen, force=force)
            with run.logging_to(make_loggers(loggers, out, flat(chosen), run.seen) if run.is_first else ()):
                run.run(progress, stop)
            run.complete(out, {"config": chosen, "licence": cohort.card.get("licence"), **(facts or {})})
    return out


@contextlib.contextmanager
def explained_memory(settings: AlgorithmConfig) -> Iterator[None]:
    """Turn the errors of an allocator into one line that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU's allocator raises a plain RuntimeError.
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if known or any(words in str(error) for words in ("can't allocate memory", "not enough memory")):
            raise ConfigError(
                f"out of memory with batch_size {settings.batch_size}: compute the batch in parts "
                "(--set accumulate=2), or lower --set batch_size=… or --set width=…"
            ) from None
        raise


class _NotFiniteError(Exception):
    """A loss or a weight is not finite."""


class _Run:
    """One run: the learner, its counters, and the folder in which it grows."""

    def __init__(
        self,
        material: TrainingImages,
        algorithm_class: type[Algorithm],
        settings: AlgorithmConfig,
        config: TrainConfig,
        folder: Path,
        start: Start | None = None,
    ) -> None:
        self.material, self.config, self.folder = material, config, folder
        self.partial = PartialRun(folder)
        self.fabric = make_fabric(config.precision)
        # Equal bits need the same of all of these, so a run is continued where they are the same.
        runs_on = describe(self.fabric)
        self.machine = ", ".join(
            [*(f"{name} {value}" for name, value in runs_on.items()), f"torch {torch.__version__}"]
        )
        self._make_learner = partial(Learner, material, algorithm_class, settings, config, self.fabric, start)
        self.learner = self._make_learner()
        self.is_first = self.learner.processes.is_first
        self.batch_size, self.steps = self.learner.batch_size, self.learner.steps
        self.tick = max(1, self.steps // _TICKS)
        self.snapshots = {round(self.steps * (n + 1) / config.snapshots) for n in range(config.snapshots)}
        self.step = 0
        self.wall_s = 0.0
        self.logged: list[dict[str, Tensor]] = []
        self.history: list[dict[str, float]] = []
        self.looks: list[dict[str, float]] = []
        self._grid: NDArray[np.uint8] | None = None
        self._loggers: Sequence[Logger] = ()

    @property
    def seen(self) -> int:
        """Return the real images seen so far."""
        return self.step * self.batch_size

    def prepare(self, chosen: Mapping[str, Any], *, force: bool) -> None:
        """Continue what is in the partial folder if it has the same settings; else start in it."""
        identity = {**flat(chosen), "machine": self.machine}
        self.digest = digest_of(identity)
        if self.is_first:
            self.partial.claim(identity, force=force)
        self.learner.processes.wait()
        if self.partial.checkpoint.exists():
            self._restore(self.partial.checkpoint)
        self._forget()
        self._looking = Looks(self.learner, self.material) if self.is_first else None

    @contextlib.contextmanager
    def logging_to(self, loggers: Sequence[Logger]) -> Iterator[None]:
        """Send curves, pictures and findings to loggers inside the block."""
        self._loggers, status = loggers, "failed"
        try:
            yield
            status = "finished"
        except InterruptedRunError:
            status = "stopped"
            raise
        finally:
            for logger in loggers:
                logger.close(status)
            self._loggers = ()

    def run(self, progress: Progress, stop: StopRequests) -> None:
        """Run steps until the budget is spent or somebody asks to stop."""
        now = time.monotonic()
        started, saved = now - self.wall_s, now
        while self.step < self.steps:
            try:
                self.logged.append(self.learner.step(self.step))
                self.step += 1
                now = time.monotonic()
                self.wall_s = now - started
                if self.step % self.tick == 0 or self.step == self.steps:
                    self._log()
                    progress(self.seen, self.learner.budget)
                if self.step in self.snapshots:
                    self._snapshot()
                stopping = self._stopping(stop)
                if stopping or now - saved > self.config.checkpoint_every_s:
                    self._save(self.partial.checkpoint)
                    saved = now
            except _NotFiniteError as problem:
                self._roll_back(str(problem))
                started = time.monotonic() - self.wall_s
                continue
            if stopping and self.step < self.steps:
                raise InterruptedRunError(
                    f"stopped at {self.seen:,} of {self.learner.budget:,} images; the state is in "
                    f"{self.folder}: run the same command again to continue"
                )

    def complete(self, out: Path, facts: Mapping[str, Any]) -> None:
        """Write what later stages read and rename the folder."""
        if not self.is_first:
            return
        best = self.partial.folder / BEST
        chosen_at, tensors = self.seen, checkpoint.network_state("ema", self.learner.average.network)
        if best.exists():
            tensors, known = checkpoint.load(best)
            chosen_at = int(known["images_seen"])
        for name, network in self.learner.algorithm.networks.items():
            if has_weights(network):
                tensors |= checkpoint.network_state(name, network)
        checkpoint.save(self.folder / NETWORKS, tensors, {"digest": self.digest})
        held_out = self.material.held_out.table["image_id"].implode()
        seen = self.material.seen
        artefacts.write_parquet(self.folder / SEEN, seen.with_columns(held_out=seen["image_id"].is_in(held_out)))
        networks = self.learner.algorithm.networks
        card = {
            **facts,
            "classes": list(self.material.classes),
            "cohort_classes": list(self.material.cohort_classes),
            "size_px": self.material.fitted.size_px,
            "images_seen": self.seen,
            "chosen_at": chosen_at,
            "train_counts": self._train_counts(),
            "held_out": len(self.material.held_out),
            "parameters": {
                name: sum(p.numel() for p in network.parameters())
                for name, network in networks.items()
                if has_weights(network)
            },
            "wall_s": round(self.wall_s, 1),
            **describe(self.fabric),
        }
        artefacts.finish(self.folder, out, "run", card, leave_out=WORKING)

    def _train_counts(self) -> dict[str, int]:
        counts = self.material.fitted.counts()
        return {name: count + self.material.held_out.counts()[name] for name, count in counts.items()}

    def _stopping(self, stop: StopRequests) -> bool:
        processes = self.learner.processes
        if processes.count == 1:
            return stop.requested
        return self.step % _AGREE_EVERY == 0 and processes.agree(stop.requested)

    def _log(self) -> None:
        """Append a line of means since the last one; here, and not in every step, numbers leave the device."""
        first = self.step - len(self.logged)
        names = sorted({name for scalars in self.logged for name in scalars})
        line: dict[str, float] = {"images_seen": self.seen, "wall_s": round(self.wall_s, 2)}
        for name in names:
            # A phase that runs in every fifth step has a loss in every fifth step.
            steps = [first + number + 1 for number, scalars in enumerate(self.logged) if name in scalars]
            stacked = torch.stack([scalars[name].float() for scalars in self.logged if name in scalars])
            values = self.learner.processes.mean(stacked).cpu().numpy()
            if not np.isfinite(values).all():
                at = steps[int(np.flatnonzero(~np.isfinite(values))[0])] * self.batch_size
                raise _NotFiniteError(f"{name} is not finite at {at:,} images")
            line[name] = float(values.mean())
        self.logged.clear()
        self.history.append(line)
        if self.is_first:
            self.partial.append_history(line)
            for logger in self._loggers:
                logger.line(self.seen, line)

    def _snapshot(self) -> None:
        """Look at the averaged generator, keep it if it is the best so far, and keep the state to go back to."""
        if self._looking is not None:
            look, self._grid = self._looking.look(self.seen, self._grid)
            write_grid(self.partial.grid(self.seen), self._grid)
            distance = look.get("kernel_distance")
            if distance is not None and distance <= min((at["kernel_distance"] for at in self.looks), default=distance):
                tensors = checkpoint.network_state("ema", self.learner.average.network)
                checkpoint.save(self.folder / BEST, tensors, {"images_seen": str(self.seen)})
            self.looks.append(look)
            self.partial.append_look(look)
            for logger in self._loggers:
                logger.line(self.seen, {name: value for name, value in look.items() if name != "images_seen"})
                logger.picture(self.seen, self.partial.grid(self.seen))
            logits, settings = self.learner.algorithm.scores_are_logits, self.learner.algorithm.config.canonical()
            for finding in findings(self.history, self.looks, logits=logits, settings=settings):
                self._tell(finding)
        self._save(self.folder / GOOD)

    def _tell(self, finding: Finding) -> None:
        if self.is_first:
            log.warning("%s", finding.message)
            self.partial.append_finding(finding)
            for logger in self._loggers:
                logger.finding(finding.images_seen, finding.message)

    def _roll_back(self, problem: str) -> None:
        """Go back to the last snapshot once, with half the learning rate; raise DivergedError the second time.

        Snapshots come at fixed steps, so that where the run goes back to does not depend on the clock.
        """
        halved = self.learner.learning_rate_factor / 2
        good = self.folder / GOOD
        if halved < 0.5:
            raise DivergedError(
                f"{problem}, again after the learning rate was halved; the last good state is in {self.folder}. "
                "Lower the learning rate (--set learning_rate=…) or try --set precision=fp32, and train into another "
                "--out"
            )
        self.logged.clear()
        self.learner.processes.wait()
        if good.exists():
            self._restore(good)
        else:
            self.learner = self._make_learner()
            self.step, self.wall_s = 0, 0.0
        self._forget()
        self.learner.learning_rate_factor = halved
        if self.is_first:
            self._looking = Looks(self.learner, self.material)
        self._tell(
            Finding("rolled back", self.seen, f"{problem}: back to {self.seen:,} images, with half the learning rate")
        )
        self._save(self.partial.checkpoint)

    def _forget(self) -> None:
        """Drop what was written after the step at which the run now stands, and read what was written before."""
        if self.is_first:
            self.partial.forget_after(self.seen)
        self.learner.processes.wait()
        self.history, self.looks = self.partial.history(), self.partial.looks()
        last = self.partial.last_grid()
        self._grid = None if last is None else read_grid(last, self.material.fitted.size_px)

    def _save(self, path: Path) -> None:
        if not self.is_first:
            return
        for tensor in self.learner.weights().values():  # a checkpoint must be good before it replaces the last one
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                if self.learner.processes.count > 1:  # the loss will tell all processes at once
                    return
                raise _NotFiniteError(f"a weight is not finite at {self.seen:,} images")
        tensors = self.learner.state()
        for number, scalars in enumerate(self.logged):
            tensors |= {f"logged.{number}.{name}": value for name, value in scalars.items()}
        facts = {
            "step": str(self.step),
            "wall_s": f"{self.wall_s:.2f}",
            "learning_rate_factor": str(self.learner.learning_rate_factor),
            "digest": self.digest,
        }
        checkpoint.save(path, tensors, facts)

    def _restore(self, path: Path) -> None:
        tensors, facts = checkpoint.load(path)
        self.learner.restore(tensors, path)
        self.learner.learning_rate_factor = float(facts["learning_rate_factor"])
        self.step, self.wall_s = int(facts["step"]), float(facts["wall_s"])
        waiting = {int(name.split(".")[1]) for name in tensors if name.startswith("logged.")}
        self.logged = [
            {name.split(".", 2)[2]: tensor for name, tensor in tensors.items() if name.startswith(f"logged.{number}.")}
            for number in sorted(waiting)
        ]
