"""Before a trial: the smallest difference it would see, and what more lesions or more seeds would give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts
from dermsynth.core.config import Config, load_yaml
from dermsynth.core.errors import InputError
from dermsynth.metrics.lesions import Lesions
from dermsynth.metrics.power import Design, Noise
from dermsynth.trials.evidence import Evidence
from dermsynth.trials.loading import PRESETS, load_protocol
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.tables import table_of
from dermsynth.trials.verdict import Declared

POWERS = (0.8, 0.9)
SEEDS, TIMES = (3, 5, 10, 20), (1, 2, 4)
"""Numbers of seeds, and multiples of the test lesions, that a forecast compares."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a trial will be judged on: lesions of each class in the part that is judged, repeats, and the endpoint."""

    lesions: dict[str, int]
    repeats: int
    endpoint: Declared

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """int64 (C,): the lesions in the order of the classes."""
        return np.array(list(self.lesions.values()), dtype=np.int64)


class Forecast(Config):
    """What a planned trial would see; differences are shares.

    Attributes:
        balanced_accuracy: The smallest true difference that comes out as 'helps' with each power of `POWERS`; `recall`:
            the same for each class, adjusted for their number.
        equivalent: The chance of 'equivalent' if there is no difference.
        alternatives: For other numbers of seeds, the smallest difference with the first power, for each of `TIMES`
            as many lesions.
    """

    balanced_accuracy: tuple[float, ...]
    recall: dict[str, tuple[float, ...]]
    equivalent: float
    alternatives: dict[int, tuple[float, ...]]


def planned(target: Path | str) -> Plan:
    """Return the plan of a protocol (a YAML file or a preset), or of a split cohort with a default endpoint.

    A protocol's cohort is not made: lesions are counted and split from the tables of its source. Near-duplicates and
    unreadable images, which only pixels tell, may move a few lesions.

    Raises:
        ConfigError, InputError, ArtefactError: no such protocol, source or cohort, or a cohort without a split.
    """
    folder = Path(target)
    if folder.is_dir() and not (PRESETS / f"{folder}.yaml").exists():  # the folder of a demo is called demo
        cohort = Cohort.open(folder)
        endpoint = Declared()
        return Plan(_counted(cohort.part(endpoint.split).table, cohort.classes), 3, endpoint)
    protocol = load_protocol(target)
    rows, classes = table_of(protocol)
    judged = rows.filter(pl.col("split") == protocol.endpoint.split)
    return Plan(_counted(judged, classes), protocol.repeats, protocol.endpoint)


def noise_like(trial: Path | str, classes: tuple[str, ...]) -> Noise:
    """Return the noise between treatment and control of a finished trial with the same classes.

    Raises:
        ArtefactError: no finished trial.
        InputError: other classes, a single seed, or two arms that judged every lesion alike.
    """
    folder = Path(trial)
    artefacts.read_card(folder, "trial")
    protocol = load_yaml(Protocol, folder / "protocol.yaml")
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    arms = (protocol.candidates[0], protocol.control)
    fits = {arm: {int(seed): folder / name for seed, name in index["fits"][arm].items()} for arm in arms}
    if len(protocol.seeds) < 2:
        raise InputError(f"{folder}: one seed was trained; how seeds differ is known from a trial with 2 or more")
    evidence = Evidence.read(fits, protocol.seeds, protocol.endpoint.split)
    if sorted(evidence.classes) != sorted(classes):
        raise InputError(
            f"{folder}: has the classes {', '.join(evidence.classes)}; the plan has {', '.join(classes)}: "
            "choose a trial with the same classes"
        )
    lesions = Lesions.of(evidence.labels, evidence.lesion_ids, len(evidence.classes))
    correct = (evidence.predicted == evidence.labels).T
    found = Noise.measured(correct, lesions, *(evidence.fits_of(arm) for arm in arms))
    if not (found.lesion + found.churn).any():
        raise InputError(
            f"{folder}: {arms[0]} and {arms[1]} judged every lesion alike; it tells nothing about "
            "noise: choose another trial, or assume it with --discordance and --seed-sd"
        )
    order = [evidence.classes.index(name) for name in classes]
    return Noise(found.lesion[order], found.churn[order], found.seed[order], found.together)


def forecast(plan: Plan, noise: Noise) -> Forecast:
    """Return what the plan would see with this noise."""
    margin, confidence = plan.endpoint.smallest_difference, plan.endpoint.confidence

    def endpoint(seeds: int, times: int = 1) -> Design:
        return Design.of_endpoint(noise, times * plan.counts, seeds, margin=margin, confidence=confidence)

    def of_class(index: int) -> Design:
        return Design.of_class(noise, index, plan.counts, plan.repeats, margin=margin, confidence=confidence)

    whole = endpoint(plan.repeats)
    return Forecast(
        balanced_accuracy=tuple(whole.smallest_difference(power) for power in POWERS),
        recall={
            name: tuple(of_class(index).smallest_difference(power) for power in POWERS)
            for index, name in enumerate(plan.lesions)
        },
        equivalent=whole.chance_of_equivalent(),
        alternatives={
            seeds: tuple(endpoint(seeds, times).smallest_difference(POWERS[0]) for times in TIMES)
            for seeds in sorted({plan.repeats, *SEEDS})
        },
    )


def _counted(table: pl.DataFrame, classes: tuple[str, ...]) -> dict[str, int]:
    lesions = table.group_by("label").agg(pl.col("lesion_id").n_unique())
    found = dict(lesions.iter_rows())
    return {name: found.get(name, 0) for name in classes}
