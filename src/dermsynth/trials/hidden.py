"""Jobs whose cohort has no test images: what tunes on val cannot read, predict or learn from what will be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.split_files import carry_split
from dermsynth.trials.jobs import Job
from dermsynth.trials.work import make_cohort

BLANK = "blank"
"""Start of the names of the images that stand in for the test part."""
_CHUNK = 256


def without_test(jobs: Iterable[Job]) -> list[Job]:
    """Return the same jobs, and what they need, on the cohort without its test images.

    Only the first job of all, which makes and splits the cohort, is left as it is; all others read its copy, those
    among them that make a cohort of it (smaller, ranked, staged).
    """
    made: dict[str, Job] = {}

    def hidden(job: Job) -> Job:
        if job.folder not in made:
            if job.work is make_cohort:
                made[job.folder] = Job("hidden", hide_test, {}, {"cohort": job}, f"{job.title} without its test part")
            else:
                inputs = {name: hidden(source) for name, source in job.inputs.items()}
                made[job.folder] = Job(job.kind, job.work, job.config, inputs, job.title)
        return made[job.folder]

    return [hidden(job) for job in jobs]


def hide_test(config: Mapping[str, Any], inputs: Mapping[str, Path], out: Path) -> None:
    """Copy a cohort; in place of its test part stands one black image per class, since fits predict some test part."""
    cohort = Cohort.open(inputs["cohort"])
    kept = cohort.select(pl.col("split") != "test")
    blank = _blanks(kept)
    facts = {"hidden": cohort.identity, **{key: cohort.card.get(key) for key in ("config", "licence")}}
    with writing_cohort(out, cohort.classes, facts=facts) as writer:
        for start in range(0, len(kept), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(kept)))
            writer.append(kept.table[start : start + _CHUNK].drop("split"), kept.images[rows])
        side = cohort.size_px
        writer.append(blank.drop("split"), np.zeros((len(blank), side, side, 3), dtype=np.uint8))
        whole = pl.concat([kept.table, blank], how="diagonal_relaxed")
        carry_split(cohort, whole, cohort.classes, writer.folder)


def _blanks(cohort: Cohort) -> pl.DataFrame:
    names = [f"{BLANK}-{number}" for number in range(len(cohort.classes))]
    table = pl.DataFrame({"image_id": names, "label": list(cohort.classes), "lesion_id": names, "sha256": names})
    lacking = {"patient_id": pl.lit(None, dtype=pl.String), "source": pl.lit(BLANK), "origin": pl.lit("real")}
    return table.with_columns(**lacking, split=pl.lit("test"))
