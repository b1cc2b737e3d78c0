"""Screen a pool: apply rules in order and keep a pool of what passes, with a reason for what does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core.artefacts import write_parquet
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.pools.encoder import pool_encoder
from dermsynth.pools.mix import check_comparable
from dermsynth.pools.screens.rule import Ints, Judgement, Rule, View, Views
from dermsynth.training.images import IDENTIFIERS

REJECTED = "rejected.parquet"
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Step:
    """What one rule did: it judged the rows `rows` of the pool, those that the rules before had kept."""

    rule: Rule
    rows: Ints
    judgement: Judgement

    @property
    def kept(self) -> Ints:
        """Return the rows of the pool that it kept."""
        return self.rows[~self.judgement.rejected]


@dataclass(frozen=True, eq=False)
class Screened:
    """A pool and what rules say about it.

    Attributes:
        pool: All images, opened from their folder.
        cohort: The real images that the rules compared them with.
        steps: One per rule, in order.
        encoder: Name of what the features are of.
        classifiers: Those that were asked.
    """

    pool: Cohort
    cohort: Cohort
    steps: Sequence[Step]
    encoder: str
    classifiers: Sequence[TrainedClassifier]

    @property
    def kept(self) -> Ints:
        """Return the rows of the pool that pass all rules."""
        return self.steps[-1].kept

    @property
    def rejected(self) -> pl.DataFrame:
        """Return a row per rejected image: image_id, label, rule, value, threshold, reason."""
        tables = []
        for step in self.steps:
            out = step.judgement.rejected
            found = self.pool.table[step.rows[out]].select("image_id", "label")
            values, thresholds = step.judgement.values[out], step.judgement.thresholds[out]
            reasons = [step.rule.told(*pair) for pair in zip(values, thresholds, strict=True)]
            tables.append(
                found.with_columns(
                    rule=pl.lit(step.rule.written),
                    value=pl.Series(values, dtype=pl.Float64),
                    threshold=pl.Series(thresholds, dtype=pl.Float64),
                    reason=pl.Series(reasons, dtype=pl.String),
                )
            )
        return pl.concat(tables)

    def save(self, out: Path | str, *, files: Mapping[str, bytes] | None = None, force: bool = False) -> Cohort:
        """Write what passes as a pool and return it opened from there.

        Its folder also has `rejected.parquet` and, in `seen.parquet`, what the generator learnt from and the train part
        of the cohort, which rules and classifiers learnt from. The card adds `screens`, `screened_from` and
        `screened_with` to that of the pool.

        Args:
            out: The folder to make.
            files: More files for it, such as a page that shows what was rejected.
            force: Replace an existing pool.

        Raises:
            ArtefactError: `out` exists and `force` is false, or the disk is full.
        """
        kept = self.pool.select(self.kept)
        with writing_cohort(Path(out), self.pool.classes, force=force, facts=self._facts()) as writer:
            for start in range(0, len(kept), _CHUNK):
                writer.append(kept.table[start : start + _CHUNK], kept.images[start : start + _CHUNK])
            write_parquet(writer.folder / SEEN, self._seen())
            write_parquet(writer.folder / REJECTED, self.rejected)
            for name, data in (files or {}).items():
                (writer.folder / name).write_bytes(data)
        return Cohort.open(out)

    def _seen(self) -> pl.DataFrame:
        """Return what the generator saw and then, as held out from it, what else rules and classifiers saw."""
        assert self.pool.path is not None
        seen = pl.read_parquet(self.pool.path / SEEN)
        more = self.cohort.part("train").table.filter(pl.col("origin") == "real").select(IDENTIFIERS)
        more = more.join(seen, on=["image_id", "sha256"], how="anti", nulls_equal=True)
        return pl.concat([seen, more.with_columns(held_out=True)], how="diagonal_relaxed").with_columns(
            pl.col("held_out").fill_null(False)
        )

    def _facts(self) -> dict[str, Any]:
        card = self.pool.card
        screens = [
            {"rule": step.rule.written, "kept": len(step.kept), "rejected": int(step.judgement.rejected.sum())}
            for step in self.steps
        ]
        return {
            **{name: card[name] for name in ("config", "run", "licence") if name in card},
            "screens": [*card.get("screens", []), *screens],
            "screened_from": self.pool.identity,
            "screened_with": {
                "cohort": self.cohort.identity,
                "encoder": self.encoder,
                "classifiers": [classifier.sha256 for classifier in self.classifiers],
            },
        }


def screen(
    pool: Cohort,
    cohort: Cohort,
    rules: Sequence[Rule],
    *,
    encoder: Path | str | None = None,
    classifiers: Sequence[Path | str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Screened:
    """Apply rules in order, each to what the ones before have kept.

    Train images say what is real, val images what a rule would do to real images; no test image is looked at.

    Args:
        pool: Synthetic images, opened from their folder.
        cohort: Real images with the split in which the pool will be used.
        rules: One or more, see `dermsynth.pools.screens`.
        encoder: As `pool_encoder` takes it; default: the offline encoder.
        classifiers: Fits of this cohort and this split.
        progress: Called with rules done and rules in all.

    Raises:
        ConfigError: no rule, or fewer classifiers than a rule needs.
        InputError: classes or sizes differ, too few real images to set a limit, or no image passes.
        LeakageError: the generator or a classifier saw, or may have seen, a lesion of val or test.
        ArtefactError: a classifier's folder is no finished fit.
    """
    if not rules:
        raise ConfigError("no rule to screen by; give at least one, for example --rule near-copy")
    short = [rule for rule in rules if rule.classifiers > len(classifiers)]
    if short:
        raise ConfigError(
            f"rule {short[0].written}: needs {short[0].classifiers} of --classifier, and {len(classifiers)} are given; "
            "make them with 'dermsynth fit' on this cohort"
        )
    check_comparable(cohort, pool)
    asked = [TrainedClassifier.open(fit) for fit in classifiers]
    for classifier in asked:
        classifier.check(cohort)
    train = cohort.part("train").select(pl.col("origin") == "real")
    chosen = pool_encoder(encoder, cohort)
    held_out = View(cohort.part("val"), chosen, asked)
    views = Views(View(pool, chosen, asked), View(train, chosen), held_out)
    rows, steps = np.arange(len(pool), dtype=np.int64), []
    for number, rule in enumerate(rules):
        step = Step(rule, rows, rule.judge(views))
        if not len(step.kept):
            raise InputError(
                f"{pool.path or 'pool'}: rule {rule.written} rejects all {len(rows):,} images that are left"
            )
        steps.append(step)
        views = replace(views, pool=views.pool.take(np.flatnonzero(~step.judgement.rejected)))
        rows = step.kept
        progress(number + 1, len(rules))
    return Screened(pool, cohort, steps, chosen.name, asked)
