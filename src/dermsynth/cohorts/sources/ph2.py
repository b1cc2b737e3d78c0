"""PH2 (Mendonça et al. 2013, EMBC): 200 images of one clinic with masks, naevi and melanomas."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from dermsynth.cohorts.sources.base import expand
from dermsynth.cohorts.sources.files import FileSource, ImageFiles
from dermsynth.cohorts.sources.places import Place
from dermsynth.core.config import Config
from dermsynth.core.errors import InputError

_TABLE = "PH2_dataset.txt"
_DIAGNOSES = {"0": "nv", "1": "atypical-nv", "2": "mel"}


class Ph2Config(Config):
    """The unpacked folder, or a zip of it; the published archive is a .rar, which has to be unpacked."""

    kind: Literal["ph2"] = "ph2"
    root: str
    """Folder or zip of the published files."""


class Ph2Source(FileSource):
    """`PH2_dataset.txt` and `IMD003/IMD003_Dermoscopic_Image/IMD003.bmp`, masks in `IMD003/IMD003_lesion/`.

    The class is the clinical diagnosis: common naevus (`nv`), atypical naevus (`atypical-nv`), melanoma (`mel`). The
    column `histology` is null where no histology was done.
    """

    classes = ("nv", "atypical-nv", "mel")
    lesions = "unknown: every image counts as a lesion of its own"
    licence = "research and education only. Mendonça et al., EMBC 2013, doi:10.1109/EMBC.2013.6610779"

    def __init__(self, config: Ph2Config) -> None:
        self.place = Place(expand(config.root))
        table = self.place.find(_TABLE)
        if table is None:
            raise InputError(f"{self.place.path}: has no {_TABLE}; expected the unpacked PH2Dataset, or a zip of it")
        self._table = table

    @property
    def table(self) -> Path:
        """Return the text table."""
        return self.place.path / self._table

    @cached_property
    def files(self) -> ImageFiles:
        """The dermoscopic images."""
        return ImageFiles([self.place.path], lambda path: _in_folder(path, "_Dermoscopic_Image", path.stem))

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The masks of the lesions."""
        return ImageFiles(
            [self.place.path], lambda path: _in_folder(path, "_lesion", path.stem.removesuffix("_lesion"))
        )

    @cached_property
    def rows(self) -> pl.DataFrame:
        """A row per image, as in the text table."""
        text = self.place.read(self._table).decode("latin-1")
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            fields = [field.strip() for field in line.split("||")]
            if len(fields) > 3 and re.fullmatch(r"IMD\d+", fields[1]):
                at = f"{self.table}: line {number}"
                if fields[3] not in _DIAGNOSES:
                    raise InputError(f"{at}: clinical diagnosis is '{fields[3]}', expected 0, 1 or 2; correct it")
                rows.append((fields[1], _DIAGNOSES[fields[3]], fields[2] or None, at))
        if not rows:
            raise InputError(f"{self.table}: has no row such as '|| IMD003 || … || 0 || …'; fetch it again")
        columns = dict.fromkeys(("image_id", "label", "histology", "at"), pl.String)
        return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
            lesion_id=pl.col("image_id"), patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("ph2")
        )


def _in_folder(path: PurePosixPath, ending: str, image_id: str) -> str | None:
    return image_id if path.parent.name == f"{image_id}{ending}" else None
