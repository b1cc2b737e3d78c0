"""The sheet of translations: every image beside what it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.helpers import make_pool, saved_cohort

from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.core.errors import InputError
from dermsynth.reports.translations import rows


def translated(folder: Path, cohort: Cohort, sources: list[str]) -> Cohort:
    pool = make_pool(folder.with_name(f"{folder.name}-drawn"), cohort, {"mel": len(sources)})
    with writing_cohort(folder, cohort.classes) as writer:
        writer.append(pool.table.with_columns(translated_from=pl.Series(sources)), pool.images[:])
    return Cohort.open(folder)


def test_a_row_shows_the_source_and_its_translation_in_every_pool(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "cohort")
    one = translated(tmp_path / "one", cohort, ["i40", "i44", "i41"])
    two = translated(tmp_path / "two", cohort, ["i41", "i48", "i40"])
    shown = rows(cohort, [one, two])
    assert [row.setting for row in shown] == ["i40", "i41"]
    assert list(shown[0].captions) == ["source", "one", "two"]
    np.testing.assert_array_equal(shown[1].images, np.stack([cohort.images[41], one.images[2], two.images[0]]))
    assert shown[0].name == "nv → mel"


def test_a_pool_that_was_drawn_has_no_sources(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "cohort")
    with pytest.raises(InputError, match="drawn from noise"):
        rows(cohort, [make_pool(tmp_path / "pool", cohort, {"mel": 2})])


def test_pools_without_a_common_source_are_refused(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "cohort")
    pools = [translated(tmp_path / name, cohort, [source]) for name, source in (("one", "i40"), ("two", "i41"))]
    with pytest.raises(InputError, match="no image was translated in all of"):
        rows(cohort, pools)


def test_another_cohort_is_refused(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "cohort")
    pool = translated(tmp_path / "pool", cohort, ["i40"])
    with pytest.raises(InputError, match="has no image 'i40'"):
        rows(saved_cohort(tmp_path / "other", prefix="x"), [pool])
