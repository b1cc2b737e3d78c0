"""Make the README's figures from a finished demo: `python docs/images/make.py demo`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dermsynth.cohorts.cohort import Cohort
from dermsynth.reports.evidence import read_trial
from dermsynth.reports.results import forests
from dermsynth.trials.run import open_cohort

HERE = Path(__file__).parent
COLUMNS, GAP_PX = 6, 16


def main() -> None:
    """Write demo-forest.svg and demo-images.png beside this file."""
    trial = Path(sys.argv[1])
    evidence = read_trial(trial)
    (HERE / "demo-forest.svg").write_text(forests(evidence)["endpoint"]["wide"], encoding="utf-8")
    cohort = open_cohort(trial).part("train")
    if set(cohort.table["source"]) != {"phantom"}:
        sys.exit(f"{trial}: its images are not procedural; pictures of patients do not belong into the repository")
    index = json.loads((trial / "index.json").read_text(encoding="utf-8"))
    pool = Cohort.open(trial / next(iter(index["pools"].values())))
    shown = [name for name, count in pool.counts().items() if count]
    halves = [np.concatenate([row(images, name) for name in shown]) for images in (cohort, pool)]
    gap = np.full((halves[0].shape[0], GAP_PX, 3), 255, dtype=np.uint8)
    sheet = Image.fromarray(np.concatenate([halves[0], gap, halves[1]], axis=1))
    sheet.save(HERE / "demo-images.png", optimize=True)


def row(cohort: Cohort, label: str) -> np.ndarray:
    """Return the first images of a class side by side, one per lesion."""
    table = cohort.table.with_row_index("row").filter(cohort.table["label"] == label)
    rows = table.unique("lesion_id", keep="first", maintain_order=True)["row"].to_list()[:COLUMNS]
    return np.concatenate(list(cohort.images[rows]), axis=1)


if __name__ == "__main__":
    main()
