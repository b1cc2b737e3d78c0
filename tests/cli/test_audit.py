"""`dermsynth audit cohort`: a table on stdout, and an exit code that a script can use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
from tests.helpers import make_cohort
from typer.testing import CliRunner

from dermsynth.cli.audit import audit_app
from dermsynth.cohorts.cohort import Cohort


def audit(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(audit_app, ["cohort", str(path), *options], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout if result.exit_code < 2 else result.stderr


def saved(folder: Path, cohort: Cohort) -> Path:
    cohort.save(folder)
    return folder


def test_errors_are_listed_and_the_exit_code_is_1(tmp_path: Path) -> None:
    cohort = make_cohort((140, 140, 160), size_px=8)
    parts = pl.when(pl.col("image_id") == "i3").then(pl.lit("il0")).otherwise("lesion_id")
    cohort = replace(cohort, table=cohort.table.with_columns(lesion_id=parts))
    code, output = audit(saved(tmp_path / "cohort", cohort))
    assert code == 1
    assert "lesion in two parts" in output
    assert output.endswith("cohort: 440 images, 1 error, 0 warnings, 0 notes\n")


def test_warnings_alone_leave_the_exit_code_0(tmp_path: Path) -> None:
    code, output = audit(saved(tmp_path / "cohort", make_cohort(size_px=8)))
    assert code == 0
    assert "few test lesions" in output


def test_a_sound_cohort_is_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path / "cohort", make_cohort((140, 140, 160), size_px=8))
    assert audit(path) == (0, f"{path}: 440 images, 0 errors, 0 warnings, 0 notes\n")


def test_a_folder_that_is_no_cohort_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    assert audit(tmp_path) == (2, f"error: {tmp_path}: has no card.json, so it is no complete cohort; make it again\n")


def test_another_cohort_is_compared(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", make_cohort(size_px=8))
    code, output = audit(one, "--against", str(one))
    assert code == 1
    assert "identical images in both cohorts" in output


def test_the_findings_are_written_as_a_page(tmp_path: Path) -> None:
    code, _ = audit(saved(tmp_path / "cohort", make_cohort(size_px=8)), "--html", str(tmp_path / "audit.html"))
    assert code == 0
    assert "few test lesions" in (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    out = tmp_path / "absent" / "audit.html"
    code, output = audit(saved(tmp_path / "cohort", make_cohort(size_px=8)), "--html", str(out))
    assert code == 2
    assert output.splitlines()[-1].startswith(f"error: {out}: cannot be written there")
