"""Export: a cohort or a pool as ordinary image files and tables, for every other tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth import __version__
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core import artefacts

METADATA = "metadata.csv"
_CHUNK = 256


def export(
    cohort: Cohort,
    out: Path | str,
    *,
    border: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write a PNG file per image and a table into the folder `out`, and return it.

    Files are named `LABEL/IMAGE_ID.png`; characters that file systems do not like become `_`. `metadata.csv` beside the
    folders of labels has a row per image: `file_name`, then all columns of the cohort. After a split there is a folder
    with files and table for every part. Hugging Face's `imagefolder` opens the whole, torchvision's `ImageFolder` a
    part. The pixels are exactly those of the cohort, unless there is a border. A file with a synthetic image says so in
    its metadata (`marks`).

    Args:
        cohort: Or a pool.
        out: The folder to make.
        border: Frame synthetic images in magenta, so that people see at once what they are.
        force: Replace an earlier export.
        progress: Called with images written and images in all.

    Raises:
        ArtefactError: `out` exists and `force` is false, or the disk is full.
    """
    names = file_names(cohort.table)
    parts = cohort.table.get_column("split", default=pl.repeat("", len(cohort), eager=True))
    synthetic = (cohort.table["origin"] == "synthetic").to_list()
    with artefacts.creating(Path(out), "export", force=force) as draft:
        for folder in {Path(name).parent for name in names}:
            (draft.path / folder).mkdir(parents=True, exist_ok=True)
        for start in range(0, len(cohort), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(cohort)))
            for row, image in zip(rows, cohort.images[rows], strict=True):
                described = marks(cohort.table.row(int(row), named=True)) if synthetic[row] else {}
                _write(draft.path / names[row], framed(image) if border and synthetic[row] else image, described)
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


def marks(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a PNG file says about a synthetic image, as arguments of Pillow's `save`.

    Text chunks name origin, image_id, label, algorithm and the hash of the generator, as far as known; EXIF says in
    words that no patient is shown; XMP has IPTC's digital source type for images made by a trained algorithm.
    """
    from PIL import Image, PngImagePlugin

    maker = row.get("algorithm") or "an algorithm"
    told = f"Synthetic image of class '{row['label']}' made by {maker}; it shows no patient."
    text = PngImagePlugin.PngInfo()
    for name in ("origin", "image_id", "label", "algorithm", "generator_sha256"):
        if row.get(name):
            text.add_text(f"dermsynth:{name}", str(row[name]))
    text.add_text("Description", told)
    text.add_itxt("XML:com.adobe.xmp", _XMP)
    exif = Image.Exif()
    exif[_DESCRIPTION], exif[_SOFTWARE] = told.encode("ascii", "replace").decode(), f"dermsynth {__version__}"
    return {"pnginfo": text, "exif": exif}


_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>'
    "</rdf:RDF></x:xmpmeta>"
)
_BORDER = (255, 0, 255)


def framed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H x W x 3) of the same size with a border of a 32nd of its side."""
    width, found = max(1, len(image) // 32), image.copy()
    for edge in (found[:width], found[-width:], found[:, :width], found[:, -width:]):
        edge[...] = _BORDER
    return found


def _write(path: Path, image: NDArray[np.uint8], described: Mapping[str, Any]) -> None:
    from PIL import Image

    Image.fromarray(image).save(path, "PNG", compress_level=1, **described)
