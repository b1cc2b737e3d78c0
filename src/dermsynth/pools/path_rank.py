"""Path-Rank-Filter of paper 002: of a class's training images, those that a classifier takes for it most surely.

They become the target domain of an algorithm that translates, so that it learns the class where it is plain.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl

from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import IMAGES, MASKS, TABLE, UNUSED, Cohort
from dermsynth.cohorts.split_files import carry_split
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core import artefacts
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError
from dermsynth.training.images import seen_with

RANKS = "ranks.parquet"


def path_rank(
    fit: Path | str, cohort: Cohort, label: str, keep: float, out: Path | str, *, force: bool = False
) -> Cohort:
    """Write the same cohort with a split in which only the top-ranked training images of a class are used.

    The classifier ranks the class's training images by its softmax probability of the class; those below the cut get
    the part `unused`. It learnt from most of them, and a high rank may only say so. All other images keep their part.

    Args:
        fit: A finished fit of `dermsynth fit` on this very cohort and split.
        cohort: Opened from a folder; has a split.
        label: The class.
        keep: The share of its training images that stay, 0 < keep <= 1 (paper 002's alpha); rounded up.
        out: The cohort to make. Its `ranks.parquet` has `image_id`, `probability` (of the class), `rank` (1 is the
            surest; of equal ones the first in the table) and `kept`; its `seen.parquet` the images that the classifier
            learnt from, so that what learns from this cohort has seen them too.
        force: Replace an existing cohort.

    Raises:
        InputError: no split, an unknown class, one without training images, a share out of range, other classes or
            another size than the classifier's.
        LeakageError: the classifier may have learnt from an image of val or test.
        ArtefactError: `fit` is no finished fit, or `out` exists and `force` is false.
    """
    assert cohort.path is not None
    if label not in cohort.classes:
        raise InputError(f"{cohort.path}: no class '{label}'; {nearest(label, cohort.classes)}")
    if not 0 < keep <= 1:
        raise InputError(f"keep is {keep:g}, expected a share above 0 and up to 1")
    train = cohort.part("train")
    candidates = train.select((pl.col("label") == label) & (pl.col("origin") == "real"))
    if not len(candidates):
        raise InputError(f"{cohort.path}: class '{label}' has no image in the train part to rank")
    classifier = TrainedClassifier.open(fit)
    classifier.check(cohort)
    surety = classifier.probabilities(candidates)[:, cohort.classes.index(label)]
    order = np.argsort(-surety, kind="stable")
    kept = np.arange(len(order)) < math.ceil(keep * len(order))
    ranks = pl.DataFrame(
        {
            "image_id": candidates.table["image_id"].gather(order),
            "probability": surety[order],
            "rank": np.arange(1, len(order) + 1),
            "kept": kept,
        }
    )
    dropped = ranks.filter(~pl.col("kept"))["image_id"]
    parts = cohort.table.select(
        split=pl.when(pl.col("image_id").is_in(dropped.implode())).then(pl.lit(UNUSED)).otherwise("split")
    )["split"]
    facts = {
        "classifier_sha256": classifier.sha256,
        "class": label,
        "keep": keep,
        "kept": int(kept.sum()),
        "of": len(kept),
        "least_probability": float(surety[order][kept].min()),
        "cohort": cohort.identity,
    }
    with artefacts.creating(Path(out), "cohort", force=force) as draft:
        for name in (TABLE, IMAGES, MASKS):
            if (cohort.path / name).exists():
                _share(cohort.path / name, draft.path / name)
        carry_split(cohort, cohort.table.with_columns(split=parts), cohort.classes, draft.path)
        artefacts.write_parquet(draft.path / SEEN, seen_with(train, cohort.path))
        artefacts.write_parquet(draft.path / RANKS, ranks)
        made_again = {"kind", "dermsynth", "created", "versions", "files"}
        draft.card.update({key: value for key, value in cohort.card.items() if key not in made_again})
        draft.card["path_rank"] = facts
    return Cohort.open(out)


def _share(source: Path, target: Path) -> None:
    """Give a file of a finished artefact a second name; nobody writes into it, and pixels are many."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
