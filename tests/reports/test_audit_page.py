"""The page of an audit: findings with the images that show them, from the right cohort, and nothing from outside."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.helpers import make_cohort

from dermsynth.audits.cohort import Audit, examine
from dermsynth.audits.finding import Finding
from dermsynth.cohorts.cohort import Cohort
from dermsynth.reports import pictures
from dermsynth.reports.audit import GROUPS, render_audit, shown


def twins() -> Cohort:
    cohort = make_cohort((40, 40, 40), size_px=16)
    images = cohort.images[:]
    images[3] = images[0]
    return Cohort.in_memory(cohort.table, images, cohort.classes)


@pytest.fixture(scope="module")
def page() -> str:
    cohort = twins()
    return render_audit(examine(cohort), cohort)


def test_a_pair_stands_side_by_side(page: str) -> None:
    assert re.search(r'class="group"><img [^>]*alt="i0"[^>]*><img [^>]*alt="i3"', page)


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    assert not re.search(r"""(?:src|href)="(?!data:|#)""", page)
    assert "http:" not in page
    assert "https:" not in page


def test_classes_are_counted_by_source(page: str) -> None:
    assert '<tr><th scope="row">mel</th><td>40</td></tr>' in page


def test_images_without_a_licence_are_not_to_be_passed_on(page: str) -> None:
    assert "do not pass this file on" in page


def test_names_are_escaped() -> None:
    cohort = twins()
    named = replace(cohort, table=cohort.table.with_columns(pl.format("<b>{}", "image_id").alias("image_id")))
    assert "<b>i0" not in render_audit(examine(named), named)


def test_a_sound_cohort_says_so() -> None:
    cohort = make_cohort()
    assert "The audit found nothing." in render_audit(
        Audit([], *2 * [pl.DataFrame({"label": [], "images": []})]), cohort
    )


def test_the_last_image_of_a_pair_across_is_of_the_other_cohort() -> None:
    one, other = make_cohort(seed=0), make_cohort(seed=1)
    (row,) = shown([Finding("error", "x", 1, "y", (("i0", "i0"),), across=True).to_json()], one, other)
    expected = [pictures.encoded(np.asarray(cohort.images[0])) for cohort in (one, other)]
    assert [picture for _, picture in row["shown"][0]] == expected


def test_of_many_groups_the_first_are_shown_and_the_rest_counted() -> None:
    groups = tuple((f"i{row}",) for row in range(GROUPS + 5))
    (row,) = shown([Finding("warning", "x", 1, "y", groups).to_json()], make_cohort())
    assert (len(row["shown"]), row["hidden"]) == (GROUPS, 5)


def test_findings_of_an_earlier_version_have_no_images() -> None:
    (row,) = shown([{"severity": "note", "finding": "x", "count": 1, "detail": "y"}], make_cohort())
    assert (row["shown"], row["hidden"]) == ([], 0)
