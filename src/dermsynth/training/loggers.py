"""Curves, pictures and findings of a run for TensorBoard and MLflow, beside what its own folder always holds.

A run that is continued repeats what it did after its last checkpoint, bit for bit. Each logger sees to it that a step
stands there once all the same, and that a run which goes back to an earlier state after a loss that was not finite does
not mix what came after it with what came before.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dermsynth.core.config import digest_of, nearest
from dermsynth.core.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

_NOTE = "mlflow.note.content"  # what MLflow shows as the description of a run
_KEY, _OUT, _CONTINUES = "dermsynth.key", "dermsynth.out", "dermsynth.continues"


class Logger(Protocol):
    """Where a run tells its course.

    `images_seen` only grows, unless the run goes back to an earlier state: then a finding at that state comes first.
    """

    def line(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Log numbers by name; `images_seen` among them is left out."""

    def picture(self, images_seen: int, path: Path) -> None:
        """Log a PNG of samples."""

    def finding(self, images_seen: int, message: str) -> None:
        """Log what a monitor noticed."""

    def close(self, status: str) -> None:
        """Write what is left; `status` is `finished`, `stopped` or `failed`."""


def make_loggers(names: Sequence[str], out: Path, settings: Mapping[str, Any], images_seen: int = 0) -> list[Logger]:
    """Return one logger for each name. What fails in them later is logged as a warning and stops no run.

    Args:
        names: `tensorboard` writes to the folder `OUT.tensorboard`, since `OUT` itself is sealed when it is complete;
            `mlflow` to where MLflow always does: $MLFLOW_TRACKING_URI, else its store in the current folder, experiment
            $MLFLOW_EXPERIMENT_NAME or `dermsynth`.
        out: The folder that the run becomes.
        settings: Flat JSON values, logged once.
        images_seen: Where the run goes on; 0 for one that starts, whose earlier attempts are then forgotten.

    Raises:
        ConfigError: an unknown name, an extra that is not installed, or a store that cannot be used.
    """
    for name in names:
        if name not in _LOGGERS:
            raise ConfigError(f"unknown logger '{name}'; {nearest(name, _LOGGERS)}")
    return [_Harmless(name, _opened(name, Path(out), settings, images_seen)) for name in dict.fromkeys(names)]


def _opened(name: str, out: Path, settings: Mapping[str, Any], images_seen: int) -> Logger:
    make, extra = _LOGGERS[name]
    try:
        return make(out, settings, images_seen)
    except ImportError as error:
        raise ConfigError(f"logger '{name}' is not installed ({error}): pip install 'dermsynth[{extra}]'") from None
    except Exception as error:  # MLflow's stores raise errors of their databases, servers and its own
        raise ConfigError(f"logger '{name}' cannot be used: {_on_one_line(error)}") from error


class _Harmless:
    """Passes everything on until something fails; then warns once and is silent, since the run is worth more."""

    def __init__(self, name: str, logger: Logger) -> None:
        self._name, self._logger = name, logger
        self._failed = False

    def line(self, images_seen: int, values: Mapping[str, float]) -> None:
        self._try(lambda: self._logger.line(images_seen, values))

    def picture(self, images_seen: int, path: Path) -> None:
        self._try(lambda: self._logger.picture(images_seen, path))

    def finding(self, images_seen: int, message: str) -> None:
        self._try(lambda: self._logger.finding(images_seen, message))

    def close(self, status: str) -> None:
        self._try(lambda: self._logger.close(status))

    def _try(self, call: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            call()
        except Exception as error:
            self._failed = True
            log.warning("%s: %s; nothing more is logged there, the run goes on", self._name, _on_one_line(error))


class _TensorBoard:
    """Event files in `OUT.tensorboard`; a session that starts at a step makes readers drop what came after it."""

    def __init__(self, out: Path, settings: Mapping[str, Any], images_seen: int) -> None:
        self._folder, self._settings = out.with_name(f"{out.name}.tensorboard"), settings
        self._at = images_seen
        self._writer = self._session(images_seen)

    def line(self, images_seen: int, values: Mapping[str, float]) -> None:
        writer = self._writer_at(images_seen)
        for name, value in values.items():
            if name != "images_seen":
                writer.add_scalar(name, value, images_seen)
        writer.flush()  # so that a killed run leaves no gap before its last checkpoint

    def picture(self, images_seen: int, path: Path) -> None:
        import numpy as np
        from PIL import Image

        with Image.open(path) as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        self._writer_at(images_seen).add_image("samples", pixels, images_seen, dataformats="HWC")

    def finding(self, images_seen: int, message: str) -> None:
        self._writer_at(images_seen).add_text("findings", message, images_seen)

    def close(self, status: str) -> None:
        self._writer.close()

    def _writer_at(self, images_seen: int) -> SummaryWriter:
        if images_seen < self._at:
            self._writer.close()
            self._writer = self._session(images_seen)
        self._at = images_seen
        return self._writer

    def _session(self, images_seen: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if images_seen:
            return SummaryWriter(str(self._folder), purge_step=images_seen + 1)
        for earlier in self._folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        writer = SummaryWriter(str(self._folder))
        rows = "".join(f"| {name} | {value} |\n" for name, value in self._settings.items())
        writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", 0)
        return writer


class _Mlflow:
    """One MLflow run for one run, found again by output folder and settings when it is continued.

    MLflow takes no point back. What is repeated after a checkpoint is therefore skipped, since it is the same; and a
    run that went back to an earlier state goes on in another MLflow run, which names the first.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], images_seen: int) -> None:
        from mlflow import MlflowClient

        self._out, self._settings = out, settings
        self._key = digest_of({"out": str(out), "settings": dict(settings)})
        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "dermsynth")
        known = self._client.get_experiment_by_name(name)
        self._experiment: str = known.experiment_id if known else self._client.create_experiment(name)
        self._at = images_seen
        self._logged: dict[str, int] = {}  # the last step of every metric
        self._note: list[str] = []
        earlier = self._earlier()
        if images_seen and earlier:
            self._id = self._continue(earlier[0])
        else:
            for unfinished in earlier:
                if unfinished.info.status == "RUNNING":
                    self._client.set_terminated(unfinished.info.run_id, "KILLED")
            self._id = self._start()

    def line(self, images_seen: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        self._move(images_seen)
        now = int(time.time() * 1000)
        fresh = {
            name: float(value)
            for name, value in values.items()
            if name != "images_seen" and images_seen > self._logged.get(name, -1)
        }
        if fresh:
            metrics = [Metric(name, value, now, images_seen) for name, value in fresh.items()]
            self._client.log_batch(self._id, metrics=metrics)
            self._logged |= dict.fromkeys(fresh, images_seen)

    def picture(self, images_seen: int, path: Path) -> None:
        self._move(images_seen)
        self._client.log_artifact(self._id, str(path), "samples")

    def finding(self, images_seen: int, message: str) -> None:
        self._move(images_seen)
        line = f"- {images_seen:,} images: {message}"
        if line not in self._note:
            self._note = [*self._note, line]
            self._client.set_tag(self._id, _NOTE, "\n".join(self._note))

    def close(self, status: str) -> None:
        known = {"finished": "FINISHED", "stopped": "KILLED"}
        self._client.set_terminated(self._id, known.get(status, "FAILED"))

    def _earlier(self) -> list[Any]:
        """Return MLflow's runs of the same folder and settings, the newest first."""
        return list(
            self._client.search_runs(
                [self._experiment], f"tags.`{_KEY}` = '{self._key}'", order_by=["attributes.start_time DESC"]
            )
        )

    def _continue(self, run: Any) -> str:
        found = str(run.info.run_id)
        self._client.update_run(found, status="RUNNING")
        self._note = [line for line in run.data.tags.get(_NOTE, "").split("\n") if line]
        for name in run.data.metrics:
            self._logged[name] = max(point.step for point in self._client.get_metric_history(found, name))
        return found

    def _start(self, continues: str | None = None) -> str:
        from mlflow.entities import Param

        tags = {_KEY: self._key, _OUT: str(self._out), **({_CONTINUES: continues} if continues else {})}
        run = self._client.create_run(self._experiment, tags=tags, run_name=self._out.name)
        params = [Param(name, str(value)) for name, value in self._settings.items()]
        self._client.log_batch(run.info.run_id, params=params)
        self._note, self._logged = [], {}
        return str(run.info.run_id)

    def _move(self, images_seen: int) -> None:
        """Go on at this step, in another MLflow run if it lies before the last one."""
        if images_seen < self._at:
            self._client.set_terminated(self._id, "KILLED")
            self._id = self._start(continues=self._id)
        self._at = images_seen


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_LOGGERS: dict[str, tuple[Callable[[Path, Mapping[str, Any], int], Logger], str]] = {
    "tensorboard": (_TensorBoard, "track"),
    "mlflow": (_Mlflow, "mlflow"),
}
