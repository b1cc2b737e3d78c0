"""The same cohort with images of another size, for an algorithm and a classifier that work at different ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import SPLIT, Cohort, writing_cohort
from dermsynth.cohorts.split_files import carry_split
from dermsynth.cohorts.unseen import SEEN
from dermsynth.core.errors import InputError

_CHUNK = 256


def resize(cohort: Cohort, size_px: int, out: Path | str, *, force: bool = False) -> Cohort:
    """Write a cohort or a pool at another size: the same rows, the same split, and what a pool's generator saw.

    Args:
        cohort: Opened from a folder.
        size_px: Side of the new images, at least 8.
        out: The folder to make; its card has the old size under `resized_from_px`.
        force: Replace an existing cohort.

    Raises:
        InputError: `size_px` is less than 8.
        ArtefactError: `out` exists and `force` is false, or the disk is full.
    """
    assert cohort.path is not None
    if size_px < 8:
        raise InputError(f"size_px is {size_px}; images need at least 8 pixels a side")
    kept = {key: value for key, value in cohort.card.items() if key in ("licence", "fixed_split", "run", "config")}
    facts = {**kept, "resized_from_px": cohort.size_px, "resized_from": cohort.identity}
    table = cohort.table.drop("split", strict=False)
    with writing_cohort(Path(out), cohort.classes, force=force, facts=facts) as writer:
        for start in range(0, len(cohort), _CHUNK):
            rows = slice(start, min(start + _CHUNK, len(cohort)))
            writer.append(table[rows], resized(cohort.images[np.arange(rows.start, rows.stop)], size_px))
        if (cohort.path / SPLIT).exists():
            carry_split(cohort, cohort.table, cohort.classes, writer.folder)
        if (cohort.path / SEEN).exists():
            shutil.copyfile(cohort.path / SEEN, writer.folder / SEEN)
    return Cohort.open(out)


def resized(images: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Return uint8 n x size_px x size_px x 3: averaged over areas to be smaller, bicubic to be larger."""
    import cv2

    if images.shape[1] == size_px:
        return images
    how = cv2.INTER_AREA if size_px < images.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(image, (size_px, size_px), interpolation=how) for image in images])
