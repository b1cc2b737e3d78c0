"""What near-duplicates mean within a cohort and between two, on drawn lesions with planted copies."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from dermsynth.audits.cohort import audit_cohort
from dermsynth.audits.finding import Finding
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.sources.phantom import PhantomConfig, draw

COUNT = 24


@cache
def lesions(first: int = 0, prefix: str = "i") -> Cohort:
    """Return one photo each of 24 lesions, half mel and half nv, of 32 px."""
    config = PhantomConfig(counts={"mel": COUNT // 2, "nv": COUNT // 2}, several_photos=0.0, first_lesion=first)
    parts = list(draw(config, 32))
    ids = [f"{prefix}{number}" for number in range(COUNT)]
    table = pl.DataFrame({"image_id": ids, "lesion_id": [f"L{name}" for name in ids], "sha256": ids}).with_columns(
        label=pl.concat([part.table["label"] for part in parts]),
        patient_id=pl.lit(None, dtype=pl.String),
        source=pl.lit("test"),
        origin=pl.lit("real"),
    )
    return Cohort.in_memory(table, np.concatenate([part.images for part in parts]), ("mel", "nv"))


def with_mirrored(row: int, of: int, **changed: str) -> Cohort:
    """Return the lesions with row `row` replaced by the mirror image of row `of`, and entries of its table changed."""
    cohort = lesions()
    images = cohort.images[:]
    images[row] = images[of][:, ::-1]
    table = cohort.table.with_row_index("row")
    for column, value in changed.items():
        table = table.with_columns(pl.when(pl.col("row") == row).then(pl.lit(value)).otherwise(column).alias(column))
    return Cohort.in_memory(table.drop("row"), images, cohort.classes)


def split(cohort: Cohort, *test: int) -> Cohort:
    part = pl.Series(["test" if row in test else "train" for row in range(len(cohort))])
    return replace(cohort, table=cohort.table.with_columns(split=part))


def told(findings: list[Finding], severity: str) -> list[tuple[str, int]]:
    return [(found.finding, found.count) for found in findings if found.severity == severity]


def test_near_duplicates_of_different_lesions_are_a_warning_that_names_the_pair_and_the_transform() -> None:
    (found,) = [f for f in audit_cohort(with_mirrored(1, of=0)) if f.severity == "warning"]
    assert (found.finding, found.count) == ("near-duplicates of different lesions", 1)
    assert found.detail.endswith(": i0 ~ i1 (mirrored)")
    assert found.images == (("i0", "i1"),)


def test_near_duplicates_of_one_lesion_are_a_note() -> None:
    assert told(audit_cohort(with_mirrored(1, of=0, lesion_id="Li0")), "note") == [
        ("no split", COUNT),
        ("near-duplicates of one lesion", 1),
    ]


def test_near_duplicates_in_two_parts_are_an_error() -> None:
    findings = audit_cohort(split(with_mirrored(1, of=0), 1))
    assert told(findings, "error") == [("near-duplicates in two parts", 1)]
    assert "near-duplicates of different lesions" not in {found.finding for found in findings}
    assert told(audit_cohort(split(with_mirrored(1, of=0), 0, 1)), "error") == []


def test_near_duplicates_with_two_labels_are_a_warning() -> None:
    found = told(audit_cohort(with_mirrored(COUNT - 1, of=0)), "warning")  # the first and the last class
    assert found == [("near-duplicates with several labels", 1), ("near-duplicates of different lesions", 1)]


def test_near_duplicates_among_synthetic_images_are_told_as_such() -> None:
    cohort = with_mirrored(1, of=0)
    pool = replace(cohort, table=cohort.table.with_columns(origin=pl.lit("synthetic")))
    assert told(audit_cohort(pool), "warning") == [("near-duplicates among synthetic images", 1)]


def test_identical_images_are_not_called_near_duplicates() -> None:
    cohort = lesions()
    images = cohort.images[:]
    images[1] = images[0]
    found = audit_cohort(Cohort.in_memory(cohort.table, images, cohort.classes))
    assert told(found, "warning") == [("the same pixels in another file", 1)]


def test_independent_cohorts_share_nothing() -> None:
    assert told(audit_cohort(lesions(), lesions(first=1000, prefix="j")), "error") == []


def test_a_near_duplicate_in_another_cohort_is_an_error_whatever_its_size() -> None:
    other = lesions(first=1000, prefix="j")
    images = other.images[:].repeat(2, axis=1).repeat(2, axis=2)
    images[3] = np.rot90(lesions().images[5]).repeat(2, axis=0).repeat(2, axis=1)
    findings = audit_cohort(lesions(), Cohort.in_memory(other.table, images, other.classes))
    (found,) = [found for found in findings if found.severity == "error"]
    assert (found.finding, found.images, found.across) == ("near-duplicates in both cohorts", (("i5", "j3"),), True)
    assert found.detail.endswith(": i5 ~ j3 (turned by 90°)")


@pytest.mark.parametrize(
    ("column", "finding"), [("lesion_id", "lesion in both cohorts"), ("patient_id", "patient in both cohorts")]
)
def test_a_shared_lesion_or_patient_is_an_error_within_one_source_only(column: str, finding: str) -> None:
    one, other = lesions(), lesions(first=1000, prefix="j")
    one = replace(one, table=one.table.with_columns(pl.lit("X").alias(column), label=pl.lit("mel")))
    other = replace(other, table=other.table.with_columns(pl.lit("X").alias(column), label=pl.lit("mel")))
    assert told(audit_cohort(one, other), "error") == [(finding, 1)]
    elsewhere = replace(other, table=other.table.with_columns(source=pl.lit("elsewhere")))
    assert told(audit_cohort(one, elsewhere), "error") == []


def test_the_same_images_in_both_cohorts_are_told_once() -> None:
    other = lesions()
    renamed = other.table.with_columns(
        pl.concat_str(pl.lit("j"), column).alias(column) for column in ("image_id", "lesion_id")
    )
    errors = told(audit_cohort(lesions(), replace(other, table=renamed)), "error")
    assert errors == [("identical images in both cohorts", COUNT)]
