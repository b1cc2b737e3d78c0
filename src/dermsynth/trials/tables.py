"""A trial's cohort as far as the tables of its source tell: rows, classes and parts, without a pixel."""

from __future__ import annotations

import polars as pl

from dermsynth.cohorts.labels import relabelled
from dermsynth.cohorts.sources import make_source
from dermsynth.cohorts.sources.phantom import PhantomConfig
from dermsynth.cohorts.split import assign
from dermsynth.trials.protocol import Protocol


def table_of(protocol: Protocol) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the table of a trial's cohort with its column `split`, and the classes.

    Near-duplicates and unreadable images, which only pixels tell, may move a few images.

    Raises:
        ConfigError, InputError: a source, a label map or a split that cannot be used.
    """
    choice, source = protocol.cohort, protocol.cohort.source
    made = make_source(source.changed(seed=protocol.seed) if isinstance(source, PhantomConfig) else source)
    rows, classes = made.check(), made.classes
    if choice.labels is not None:
        rows, classes = relabelled(rows, classes, choice.labels)
    rows = rows.with_columns(sha256=pl.lit(None, dtype=pl.String), origin=pl.lit("real"))
    parts = assign(rows, classes, choice.split, protocol.seed, where=protocol.name)
    return rows.with_columns(split=parts), classes
