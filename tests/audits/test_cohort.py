"""The audit finds each defect that was put into a cohort, and nothing in a sound one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermsynth.audits.cohort import Finding, audit_cohort
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.ingest import ingest
from dermsynth.cohorts.sources import source_config
from dermsynth.cohorts.split import SplitConfig, assign
from tests.helpers import make_cohort, make_pool

ROOMY = (140, 140, 160)


def sound() -> Cohort:
    """Return a cohort without any defect: row 0 and 1 are train, 2 val, 3 test, and so on."""
    return make_cohort(ROOMY, size_px=8)


def changed(cohort: Cohort, column: str, row: int, value: object) -> Cohort:
    values = cohort.table[column].to_list()
    values[row] = value
    return replace(cohort, table=cohort.table.with_columns(pl.Series(column, values, dtype=pl.String)))


def with_pixels_of(cohort: Cohort, row: int, other: int) -> Cohort:
    images = cohort.images[:]
    images[row] = images[other]
    return Cohort.in_memory(cohort.table, images, cohort.classes)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def kinds(cohort: Cohort) -> set[tuple[str, str, int]]:
    return {(found.severity, found.finding, found.count) for found in audit_cohort(cohort)}


def test_a_sound_cohort_has_no_findings() -> None:
    assert audit_cohort(sound()) == []


def test_a_lesion_in_two_parts_is_an_error() -> None:
    cohort = changed(sound(), "lesion_id", 3, sound().table["lesion_id"][0])
    found = only(audit_cohort(cohort))
    assert (found.severity, found.finding, found.count) == ("error", "lesion in two parts", 1)
    assert found.detail.endswith(": il0")


def test_an_unused_image_is_in_no_part() -> None:
    cohort = changed(changed(sound(), "lesion_id", 3, sound().table["lesion_id"][0]), "split", 3, "unused")
    assert audit_cohort(cohort) == []


def test_a_patient_in_two_parts_is_an_error_and_unknown_patients_are_none() -> None:
    cohort = changed(changed(sound(), "patient_id", 0, "P1"), "patient_id", 3, "P1")
    assert kinds(cohort) == {("error", "patient in two parts", 1)}
    assert kinds(changed(changed(sound(), "patient_id", 0, "P1"), "patient_id", 1, "P1")) == set()


def test_identical_pixels_in_two_parts_are_an_error() -> None:
    assert kinds(with_pixels_of(sound(), 3, 0)) == {
        ("error", "identical images in two parts", 2),
        ("warning", "the same pixels in another file", 1),
    }


def test_the_same_file_in_two_parts_is_an_error() -> None:
    assert kinds(changed(with_pixels_of(sound(), 3, 0), "sha256", 3, "i0")) == {
        ("error", "identical images in two parts", 2),
        ("warning", "the same file again", 1),
    }


def test_duplicates_within_a_part_are_a_warning_that_names_the_pair() -> None:
    found = only(audit_cohort(changed(with_pixels_of(sound(), 1, 0), "sha256", 1, "i0")))
    assert (found.severity, found.count) == ("warning", 1)
    assert "i0 = i1" in found.detail


def test_three_copies_are_two_too_many() -> None:
    cohort = with_pixels_of(with_pixels_of(sound(), 1, 0), 4, 0)
    assert ("warning", "the same pixels in another file", 2) in kinds(cohort)


def test_a_lesion_with_two_labels_is_an_error() -> None:
    cohort = changed(changed(sound(), "lesion_id", 1, "il0"), "label", 1, "nv")
    found = only(audit_cohort(cohort))
    assert (found.severity, found.finding) == ("error", "lesion with several labels")
    assert "bkl and nv" in found.detail


def test_identical_images_with_two_labels_are_an_error() -> None:
    cohort = changed(with_pixels_of(sound(), 1, 0), "label", 1, "nv")
    assert ("error", "identical images with several labels", 2) in kinds(cohort)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_synthetic_image_outside_train_is_an_error(part: str) -> None:
    row = 2 if part == "val" else 3
    assert kinds(changed(sound(), "origin", row, "synthetic")) == {("error", "synthetic images in val or test", 1)}
    assert kinds(changed(sound(), "origin", 0, "synthetic")) == set()


def test_rare_classes_are_listed_with_their_lesions() -> None:
    test, train = audit_cohort(make_cohort((16, 140, 160), size_px=8))
    assert (test.severity, test.finding, test.count) == ("warning", "few test lesions", 1)
    assert test.detail.endswith("the interval of their recall will be wide: bkl 4")
    assert (train.finding, train.detail[-5:]) == ("few train lesions", "bkl 8")


def test_lesions_are_counted_and_not_photos() -> None:
    cohort = sound()
    one = pl.when((pl.col("label") == "nv") & (pl.col("split") == "test")).then(pl.lit("L")).otherwise("lesion_id")
    found = only(audit_cohort(replace(cohort, table=cohort.table.with_columns(lesion_id=one))))
    assert found.detail.endswith(": nv 1")


def test_images_whose_lesion_is_unknown_are_a_note() -> None:
    cohort = sound()
    cohort = replace(cohort, table=cohort.table.with_columns(lesion_id="image_id"))
    assert kinds(cohort) == {("note", "no lesion information", 440)}


def test_a_cohort_without_split_gets_a_note_and_its_duplicates_are_still_found() -> None:
    cohort = with_pixels_of(make_cohort(ROOMY, size_px=8, split=False), 1, 0)
    assert kinds(cohort) == {("note", "no split", 440), ("warning", "the same pixels in another file", 1)}


def test_a_pool_is_not_asked_for_a_split_or_for_lesions(tmp_path: Path) -> None:
    assert audit_cohort(make_pool(tmp_path / "pool", make_cohort(), {"mel": 5})) == []


def test_errors_come_first_and_every_finding_is_plain_json() -> None:
    cohort = changed(make_cohort((16, 140, 160), size_px=8), "lesion_id", 3, "il0")
    found = [finding.to_json() for finding in audit_cohort(cohort)]
    assert [finding["severity"] for finding in found] == ["error", "warning", "warning"]
    keys = ["severity", "finding", "count", "detail", "images", "across"]
    assert all(list(finding) == keys for finding in json.loads(json.dumps(found)))
    assert not any("\n" in finding["detail"] for finding in found)


def test_a_drawn_cohort_that_was_split_has_no_errors(tmp_path: Path) -> None:
    source = source_config("phantom", {"counts": {"mel": 30, "nv": 40}})
    cohort = ingest(source, 16, tmp_path / "cohort", threads=1)
    parts = assign(cohort.table, cohort.classes, SplitConfig(), 0, "x")
    found = audit_cohort(replace(cohort, table=cohort.table.with_columns(split=parts)))
    assert "error" not in {finding.severity for finding in found}


def test_pixels_are_read_in_chunks() -> None:
    cohort = sound()
    asked: list[int] = []

    class Watched(type(cohort.images)):  # type: ignore[misc]
        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            asked.append(len(rows))
            return super().__getitem__(rows)

    watched = Watched(cohort.images._parts, cohort.images._part_of_row, cohort.images._row_in_part)
    audit_cohort(replace(cohort, images=watched))
    assert max(asked) <= 256
