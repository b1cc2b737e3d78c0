"""Sources and artefacts that go with the class are counted and reported, others are counted alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from dermsynth.audits.cohort import examine
from dermsynth.audits.confounding import class_by_artefact, class_by_source
from dermsynth.cohorts.cohort import Cohort
from tests.helpers import make_cohort

COUNTS = (40, 50, 60)


def with_sources(cohort: Cohort, sources: list[str]) -> Cohort:
    return replace(cohort, table=cohort.table.with_columns(source=pl.Series(sources)))


def findings(cohort: Cohort) -> dict[str, str]:
    return {found.finding: found.detail for found in examine(cohort).findings if found.severity == "warning"}


def test_a_source_that_tells_the_class_is_a_warning() -> None:
    cohort = make_cohort(COUNTS, size_px=8, split=False)
    told = findings(with_sources(cohort, ["a" if label == "mel" else "b" for label in cohort.table["label"]]))
    assert list(told) == ["class and source go together"]
    assert told["class and source go together"].endswith(
        "p < 0.001, Cramér's V 1.00): bkl 100% b, mel 100% a, nv 100% b"
    )


def test_a_source_that_tells_nothing_is_counted_only() -> None:
    cohort = with_sources(make_cohort(COUNTS, size_px=8, split=False), ["a", "b"] * 75)
    assert findings(cohort) == {}
    assert class_by_source(cohort.table, cohort.classes).rows() == [("bkl", 20, 20), ("mel", 25, 25), ("nv", 30, 30)]


def test_synthetic_images_are_no_source() -> None:
    cohort = make_cohort(COUNTS, size_px=8, split=False)
    fake = cohort.table.with_columns(origin=pl.lit("synthetic"))
    assert class_by_source(fake, cohort.classes).columns == ["label"]


def test_dark_corners_of_one_class_are_a_warning_that_shows_them() -> None:
    cohort = make_cohort(COUNTS, size_px=48, split=False)
    y, x = (np.indices((48, 48)) + 0.5) / 24 - 1
    images = np.where(
        (np.hypot(x, y) < 1.15)[..., None] | (cohort.labels != 1)[:, None, None, None], cohort.images[:], 0
    )
    dark = Cohort.in_memory(cohort.table, images.astype(np.uint8), cohort.classes)
    audit = examine(dark)
    (found,) = [found for found in audit.findings if found.finding == "class and dark corners go together"]
    assert found.count == COUNTS[1]
    assert found.detail.endswith(": bkl 0%, mel 100%, nv 0%")
    assert len(found.images) == COUNTS[1]
    assert audit.artefacts["dark corners"].to_list() == [0, COUNTS[1], 0]


def test_artefacts_of_tiny_images_are_not_counted() -> None:
    cohort = make_cohort(COUNTS, size_px=16, split=False)
    assert class_by_artefact(cohort.table, cohort.classes).columns == ["label", "images"]
    assert examine(cohort).artefacts.rows() == [("bkl", 40), ("mel", 50), ("nv", 60)]
