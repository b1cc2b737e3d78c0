"""A paper's printed tables beside the same numbers of trials: as published here, and honest here.

The paper's numbers are those of its audit (`dermsynth.audits.paper.examples`); `papers/*.yaml` says which arm and
classifier of a preset stands for which row.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from dermsynth.audits.paper import Finding, Paper, audit_paper, example
from dermsynth.audits.paper.model import Column, Row
from dermsynth.classifiers.predictions import FILE, Predictions, read_predictions, write_predictions
from dermsynth.classifiers.recipes import Recipe
from dermsynth.classifiers.scorecard import Column as Scores
from dermsynth.classifiers.scorecard import Value
from dermsynth.classifiers.scored import Scored
from dermsynth.core import artefacts
from dermsynth.core.config import Config, load_yaml, nearest
from dermsynth.core.errors import ConfigError
from dermsynth.trials.looks import MAIN

_PAPERS = Path(__file__).parent / "papers"
_RESAMPLES, _CONFIDENCE = 2000, 0.95
_OF_ALL = {"accuracy": "accuracy", "balanced accuracy": "balanced_accuracy"}
_OF_CLASS = {
    "recall": "sensitivity",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "f1",
    "auc": "auc",
}
_ON_VAL = "validation accuracy"


class Place(Config):
    """Where the numbers of a row come from in a trial."""

    arm: str
    classifier: str = MAIN
    published_test: str | None = Field(None, description="the test on which the paper judged the row")


class Rows(Config):
    """Which rows of a paper's tables a preset has."""

    paper: str = Field(description="name of the audit's example")
    positive: str | None = Field(None, description="the class that sensitivity, precision and F1 are about")
    classes: dict[str, str] = Field(default_factory=dict, description="the paper's class: ours")
    only: tuple[str, ...] = Field((), description="the tables that it is about; all by default")
    rows: dict[str, Place]


@dataclass(frozen=True)
class Line:
    """A printed row and its counterparts; a cell is None where there is none. Values are shares."""

    name: str
    printed: tuple[str | None, ...]
    published: tuple[Value | None, ...]
    honest: tuple[Value | None, ...]


@dataclass(frozen=True)
class PrintedTable:
    """A table in the paper's layout, and what its audit says of it."""

    where: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class PrintedTables:
    """All tables of a paper, and which trials the numbers come from."""

    paper: str
    tables: tuple[PrintedTable, ...]
    trials: Mapping[str, str]


def tables_of(name: str, *, published: Path | None, honest: Path | None) -> PrintedTables:
    """Return a paper's tables with what trials found.

    Args:
        name: A preset of a paper: 001, 002-refined, 002-translated or 003.
        published: A finished trial of its variant `as-published`; `honest`: of the preset as it stands. Either may be
            left out, and both may be of any scale.

    Raises:
        ConfigError: no such paper, or no trial.
        ArtefactError: a folder that is no finished trial.
    """
    if published is None and honest is None:
        raise ConfigError("no trial to set beside the paper's numbers; give one with --published or --honest")
    rows = _rows(name)
    paper = example(rows.paper)
    sides = {
        what: None if path is None else _Side(path, rows, as_published=what == "published")
        for what, path in (("published", published), ("honest", honest))
    }
    findings = audit_paper(paper)
    tables = [
        _table(paper, where, sides["published"], sides["honest"], findings)
        for where in (table.where for table in paper.tables)
        if not rows.only or where in rows.only
    ]
    told = {what: side.told for what, side in sides.items() if side}
    return PrintedTables(paper.paper, tuple(table for table in tables if table is not None), told)


def names() -> tuple[str, ...]:
    """Return the presets that have printed tables."""
    return tuple(sorted(path.stem for path in _PAPERS.glob("*.yaml")))


def _rows(name: str) -> Rows:
    if name not in names():
        raise ConfigError(f"no printed tables of '{name}'; {nearest(name, names())}")
    return load_yaml(Rows, _PAPERS / f"{name}.yaml")


def _table(
    paper: Paper, where: str, published: _Side | None, honest: _Side | None, findings: list[Finding]
) -> PrintedTable | None:
    rows = paper.rows_in(where)
    columns = tuple(dict.fromkeys(column for row in rows for column in row.cells))
    lines = tuple(_line(row, columns, published, honest) for row in rows)
    if not any(cell for line in lines for cell in (*line.published, *line.honest)):
        return None
    said = tuple(found for found in findings if where in found.where and found.severity != "note")
    return PrintedTable(where, tuple(map(str, columns)), lines, said)


def _line(row: Row, columns: tuple[Column, ...], published: _Side | None, honest: _Side | None) -> Line:
    def cells(side: _Side | None) -> tuple[Value | None, ...]:
        return tuple(side.value(row.arm, column) if side and column in row.cells else None for column in columns)

    printed = tuple(str(row.cells[column]) if column in row.cells else None for column in columns)
    return Line(row.arm, printed, cells(published), cells(honest))


class _Side:
    """The scores of one trial's fits."""

    def __init__(self, trial: Path, rows: Rows, *, as_published: bool) -> None:
        artefacts.read_card(trial, "trial")
        self._trial, self._rows, self._as_published = trial, rows, as_published
        self._index: dict[str, Any] = json.loads((trial / "index.json").read_text(encoding="utf-8"))
        verdict = json.loads((trial / "verdict.json").read_text(encoding="utf-8"))
        self._known: dict[tuple[str, str], Scores | None] = {}
        seeds = len(verdict["seeds"])
        self.told = f"{verdict['trial']}: {verdict['test']['images']:,} test images, {seeds} seed{'s' * (seeds != 1)}"

    def value(self, row: str, column: Column) -> Value | None:
        """Return what stands for a printed number, or None where the trial has no such thing."""
        if row not in self._rows.rows:
            return None
        part = "val" if column.metric == _ON_VAL else "test"
        found = self._scores(row, part)
        if found is None:
            return None
        if column.metric == _ON_VAL:
            return found.overall["accuracy"]
        if column.metric in _OF_ALL and column.group is None:
            return found.overall[_OF_ALL[column.metric]]
        group = self._rows.classes.get(column.group or "", (column.group or "").lower()) or self._rows.positive
        if column.metric in _OF_CLASS and group in found.questions:
            return found.questions[group][_OF_CLASS[column.metric]]
        return None

    def _scores(self, row: str, part: str) -> Scores | None:
        if (row, part) not in self._known:
            self._known[row, part] = self._scored(self._rows.rows[row], part)
        return self._known[row, part]

    def _scored(self, place: Place, part: str) -> Scores | None:
        by_arm = self._index["fits"] if place.classifier == MAIN else self._index["further"].get(place.classifier, {})
        if place.arm not in by_arm:
            return None
        if part == "test" and self._as_published and place.published_test is not None:
            drawn = self._index["tests"].get(place.published_test, {}).get(place.classifier, {}).get(place.arm)
            if drawn is None:
                return None
            seed = next(iter(drawn))
            return _mixed(int(seed), self._trial / by_arm[place.arm][seed], self._trial / drawn[seed])
        fits = {int(seed): self._trial / folder for seed, folder in by_arm[place.arm].items()}
        return _column(fits, part)


def _column(fits: Mapping[int, Path], part: str) -> Scores:
    recipe = Recipe("row", tuple(fits.values()), tuple(fits))
    scored = Scored.of(
        [recipe], part=part, positive=(), target=0.9, confidence=_CONFIDENCE, resamples=_RESAMPLES, seed=0
    )
    return scored.column(recipe)


def _mixed(seed: int, fit: Path, drawn: Path) -> Scores:
    """Return the scores of one fit on its test images and synthetic ones together."""
    real, synthetic = read_predictions(fit, "test"), read_predictions(drawn, "test")
    both = Predictions(
        np.concatenate([real.image_ids, synthetic.image_ids]),
        np.concatenate([real.lesion_ids, synthetic.lesion_ids]),
        np.concatenate([real.labels, synthetic.labels]),
        np.concatenate([real.probabilities, synthetic.probabilities]),
        real.classes,
    )
    folder = Path(tempfile.mkdtemp(prefix="dermsynth-"))
    try:
        splits = {"val": read_predictions(fit, "val"), "test": both}
        write_predictions(folder / FILE, splits)
        return _column({seed: folder / FILE}, "test")
    finally:
        shutil.rmtree(folder)
