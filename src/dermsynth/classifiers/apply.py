"""Ask a finished fit about images: what it says of each, and whether the image is like those that it learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.classifiers.photos import Asked, Seen
from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.ingest import OnBad
from dermsynth.core import artefacts
from dermsynth.core.cores import cores
from dermsynth.core.errors import ArtefactError, InputError

NOTICE = "For research only. No diagnosis: this classifier is not a medical device, and nobody has checked it as one."
SUFFIXES = (".parquet", ".csv", ".json")
_PREFIX = "p_"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a classifier says of images.

    Attributes:
        classifier: The fit that was asked.
        table: A row per image. `image_id`: the path of a file, or the id in a cohort, whose `lesion_id`, `split` and
            `label` follow; `predicted`: the most probable class; `p_<class>`: calibrated if the fit is;
            `called_specificity` and `called_sensitivity`: the classes whose probability reaches the threshold that has
            90 % specificity, or sensitivity, on the fit's validation images; `distance`: how far the image's features
            lie from those of the training images, 1 at the 99th percentile of the validation images; `unusual`: whether
            it is more than 1. What a fit of an older version did not keep is null or absent.
        bad: Images that could not be read: image_id and reason.
    """

    classifier: TrainedClassifier
    table: pl.DataFrame
    bad: list[dict[str, str]]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 (N, C)."""
        return self.table.select([_PREFIX + name for name in self.classifier.classes]).to_numpy().astype(np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values, with the notice and what the numbers come from."""
        card, columns = self.classifier.card, [_PREFIX + name for name in self.classifier.classes]
        images = [
            {
                **{name: value for name, value in row.items() if name not in columns},
                "probabilities": {name.removeprefix(_PREFIX): row[name] for name in columns},
            }
            for row in self.table.iter_rows(named=True)
        ]
        return {
            "notice": NOTICE,
            "classifier": {
                "folder": str(self.classifier.path),
                "weights_sha256": self.classifier.sha256,
                "model": self.classifier.config.model,
                **{name: card.get(name) for name in _TOLD},
            },
            "images": images,
            "bad": self.bad,
        }

    def write(self, out: Path | str, *, force: bool = False) -> None:
        """Write the table as `.parquet` or `.csv` (classes that are called joined by `;`), or everything as `.json`.

        Raises:
            InputError: another ending.
            ArtefactError: `out` exists and `force` is false, or cannot be written.
        """
        path = check_out(out, force=force)
        with artefacts.explained_disk_errors(path):
            artefacts.write_atomically(path, self._bytes(path.suffix))

    def _bytes(self, suffix: str) -> bytes:
        if suffix == ".json":
            return artefacts.json_bytes(self.to_json())
        if suffix == ".parquet":
            return artefacts.parquet_bytes(self.table)
        lists = pl.col(pl.List(pl.String))
        return self.table.with_columns(lists.list.join(";")).write_csv().encode()


_TOLD = ("arm", "classes", "size_px", "preprocessing", "temperature", "operating_points", "novelty")


def predict(
    classifier: Path | str,
    images: Sequence[Path | str],
    *,
    on_bad: OnBad = "skip",
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Answers:
    """Ask a classifier about images; none of it is a diagnosis.

    Image files of any size and mode are turned upright and go through the preprocessing of the cohort that the
    classifier was fitted on. They are decoded on threads while the network computes; memory does not grow with their
    number.

    Args:
        classifier: A folder of `fit`.
        images: Image files, folders and zip files of them, in any mixture; or one cohort.
        on_bad: What to do about an image that cannot be decoded: leave it out and list it under `bad`, or stop.
        threads: Decoding threads; all cores that this process may use by default. The result does not depend on it.
        progress: Called with images done and images in all.

    Raises:
        ArtefactError: no finished fit.
        InputError: what `Asked` refuses, an image that cannot be decoded where `on_bad` is `stop`, or none that can.
    """
    asked_of = TrainedClassifier.open(classifier)
    asked = Asked(asked_of, images)
    tables: list[pl.DataFrame] = []
    bad: list[dict[str, str]] = []
    done = 0
    for seen in asked.read(on_bad, threads or cores()):
        if len(seen.images):
            tables.append(answers_of(asked_of, seen))
        bad += seen.bad
        done += len(seen.table) + len(seen.bad)
        progress(done, len(asked))
    if not tables:
        raise InputError(f"not one of {len(bad):,} images can be read; the first: {bad[0]['reason']}")
    return Answers(asked_of, pl.concat(tables), bad)


def check_out(out: Path | str, *, force: bool = False) -> Path:
    """Return the path of answers; raises as `Answers.write`, before there is anything to write."""
    path = Path(out)
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: ends in '{path.suffix}'; answers are written as {', '.join(SUFFIXES)}")
    if path.exists() and not force:
        raise ArtefactError(f"{path}: already exists; choose another --out, or --force to replace it")
    return path


def answers_of(classifier: TrainedClassifier, seen: Seen) -> pl.DataFrame:
    """Return the table of `Answers` for some images, at least one."""
    features, probabilities = classifier.look(seen.images)
    # The thresholds were chosen on probabilities as they are written.
    answers = _answers(classifier, probabilities.astype(np.float32))
    return pl.concat([seen.table, answers, _distances(classifier, features)], how="horizontal")


def _answers(classifier: TrainedClassifier, probabilities: NDArray[np.float32]) -> pl.DataFrame:
    names = np.array(classifier.classes)
    points: dict[str, Any] = (classifier.card.get("operating_points") or {}).get("classes", {})
    columns: dict[str, Any] = {"predicted": names[probabilities.argmax(axis=1)].tolist()}
    columns |= {_PREFIX + name: probabilities[:, number] for number, name in enumerate(classifier.classes)}
    for reached in ("specificity", "sensitivity") if points else ():
        thresholds = np.array([points[name][reached]["threshold"] for name in classifier.classes])
        called = [names[row].tolist() for row in probabilities >= thresholds]
        columns[f"called_{reached}"] = pl.Series(called, dtype=pl.List(pl.String))
    return pl.DataFrame(columns)


def _distances(classifier: TrainedClassifier, features: NDArray[np.float32]) -> pl.DataFrame:
    schema = {"distance": pl.Float64, "unusual": pl.Boolean}
    if classifier.usual is None:
        return pl.DataFrame({name: [None] * len(features) for name in schema}, schema=schema)
    distances = classifier.usual.distances(features) / classifier.card["novelty"]["threshold"]
    return pl.DataFrame({"distance": distances, "unusual": distances > 1}, schema=schema)
