"""Export: a cohort or a pool as ordinary image files and tables, for every other tool."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts

METADATA = "metadata.csv"
_CHUNK = 256


def export(
    cohort: Cohort,
    out: Path | str,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write a PNG file per image and a table into the folder `out`, and return it.

    Files are named `LABEL/IMAGE_ID.png`; characters that file systems do not like become `_`. `metadata.csv` beside the
    folders of labels has a row per image: `file_name`, then all columns of the cohort. After a split there is a folder
    with files and table for every part. Hugging Face's `imagefolder` opens the whole, torchvision's `ImageFolder` a
    part. The pixels are exactly those of the cohort.

    Args:
        cohort: Or a pool.
        out: The folder to make.
        force: Replace an earlier export.
        progress: Called with images written and images in all.

    Raises:
        ArtefactError: `out` exists and `force` is false, or the disk is full.
    """
    names = file_names(cohort.table)
    parts = cohort.table.get_column("split", default=pl.repeat("", len(cohort), eager=True))
    with artefacts.creating(Path(out), "export", force=force) as draft:
        for folder in {Path(name).parent for name in names}:
            (draft.path / folder).mkdir(parents=True, exist_ok=True)
        for start in range(0, len(cohort), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(cohort)))
            for row, image in zip(rows, cohort.images[rows], strict=True):
                _write(draft.path / names[row], image)
            progress(int(rows[-1]) + 1, len(cohort))
        table = cohort.table.select(pl.Series("file_name", names), pl.all())
        for part in parts.unique():
            # The table of a part names files from its own folder on: imagefolder looks nowhere else.
            here = table.filter(parts == part).with_columns(pl.col("file_name").str.strip_prefix(f"{part}/"))
            artefacts.write_atomically(draft.path / part / METADATA, here.write_csv().encode())
        draft.card.update(
            classes=list(cohort.classes),
            images=len(cohort),
            cohort=cohort.identity,
            **{name: cohort.card.get(name) for name in ("licence", "config")},
        )
    return Path(out)


def file_names(table: pl.DataFrame) -> list[str]:
    """Return the path of every image in an export, unique."""
    columns = [name for name in ("split", "label") if name in table.columns]
    found: list[str] = []
    taken: set[str] = set()
    for *folders, image_id in table.select(*columns, "image_id").iter_rows():
        name = "/".join(re.sub(r"[^\w.+-]", "_", part).lstrip(".") or "_" for part in (*folders, image_id))
        while name.lower() in taken:  # on some file systems upper and lower case are one
            name += "+"
        taken.add(name.lower())
        found.append(f"{name}.png")
    return found


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    from PIL import Image

    Image.fromarray(image).save(path, "PNG", compress_level=1)
