"""The images that somebody asks a classifier about: image files, folders and zip files of them, or a cohort."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import TypeAdapter

from dermsynth.classifiers.trained import TrainedClassifier
from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.decode import decode
from dermsynth.cohorts.ingest import OnBad, read_photos
from dermsynth.cohorts.preprocess import Chain, LesionCrop, Step
from dermsynth.cohorts.sources.base import Picture
from dermsynth.cohorts.sources.files import SUFFIXES, ImageFiles
from dermsynth.core.artefacts import CARD
from dermsynth.core.errors import InputError

_log = logging.getLogger(__name__)
_KNOWN = ("image_id", "lesion_id", "split", "label")
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Seen:
    """Some of the images, as the classifier sees them.

    Attributes:
        table: `image_id`, the path of a file as it was given; of a cohort also `lesion_id`, `split` and `label`.
        images: uint8 n x S x S x 3.
        bad: What could not be read: image_id and reason.
    """

    table: pl.DataFrame
    images: NDArray[np.uint8]
    bad: list[dict[str, str]]


class Asked:
    """The images, and how a classifier is to see them: nothing is decoded before they are iterated over.

    Args:
        classifier: Files go through the preprocessing of its cohort; a cohort has been through its own.
        paths: Image files, folders and zip files, in any mixture, or one cohort.

    Raises:
        InputError: a path that is not there, no image, a cohort among other things or of another size, or a classifier
            whose preprocessing is not known or needs masks.
        ArtefactError: a folder with a card that is no cohort.
    """

    def __init__(self, classifier: TrainedClassifier, paths: Sequence[Path | str]) -> None:
        self._size_px = classifier.size_px
        given = [Path(path) for path in paths]
        cohorts = [path for path in given if (path / CARD).is_file()]
        self._cohort: Cohort | None = None
        self._chain: tuple[Step, ...] = ()
        self._files: dict[str, Callable[[], bytes]] = {}
        if cohorts and len(given) > 1:
            raise InputError(f"{cohorts[0]}: is a cohort; give it alone, or image files and folders without it")
        if cohorts:
            self._cohort = _fitting(classifier, Cohort.open(cohorts[0]))
        else:
            self._chain = _chain(classifier)
            for path in given:
                self._files |= _files(path)
        if not len(self):
            raise InputError("no image was named; give image files, a folder or a cohort")

    @property
    def names(self) -> list[str]:
        """Return the image_id of every image, readable or not."""
        return list(self._files) if self._cohort is None else self._cohort.table["image_id"].to_list()

    def __len__(self) -> int:
        return len(self._files if self._cohort is None else self._cohort)

    def read(self, on_bad: OnBad, threads: int) -> Iterator[Seen]:
        """Yield all images in their order, chunk by chunk; the next ones are decoded while the caller works.

        Raises:
            InputError: an image that cannot be decoded where `on_bad` is `stop`.
        """
        if self._cohort is not None:
            table = self._cohort.table.select([name for name in _KNOWN if name in self._cohort.table.columns])
            for start in range(0, len(table), _CHUNK):
                yield Seen(table[start : start + _CHUNK], self._cohort.images[start : start + _CHUNK], [])
            return
        rows = pl.DataFrame({"image_id": list(self._files)})
        for photos in read_photos(self, rows, self._size_px, self._chain, threads, on_bad):
            yield Seen(photos.table.select("image_id"), photos.images, photos.bad)

    def has_masks(self, rows: pl.DataFrame) -> bool:
        """Return that there are none; see `Source`."""
        return False

    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]:
        """Yield a reader per row; see `Source`."""
        return (partial(self._picture, name) for name in rows["image_id"])

    def _picture(self, name: str) -> Picture:
        try:
            data = self._files[name]()
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror})") from None
        return Picture(decode(data, name))


def _fitting(classifier: TrainedClassifier, cohort: Cohort) -> Cohort:
    if cohort.size_px != classifier.size_px:
        raise InputError(
            f"{cohort.path}: has images of {cohort.size_px} px, {classifier.path} knows {classifier.size_px} px; "
            "ingest them at that size, or give the image files"
        )
    here = (cohort.card.get("config") or {}).get("preprocessing")
    if here != classifier.card.get("preprocessing"):
        _log.warning("%s was preprocessed otherwise than the cohort of %s", cohort.path, classifier.path)
    return cohort


def _chain(classifier: TrainedClassifier) -> tuple[Step, ...]:
    """Return the steps from a photo to what the classifier learnt from."""
    known = classifier.card.get("preprocessing")
    if known is None:
        raise InputError(
            f"{classifier.path}: does not say how the photos of its cohort were preprocessed (it is older, or the "
            "cohort joins several ways); ingest the photos as that cohort, and give the new cohort"
        )
    chain: tuple[Step, ...] = TypeAdapter(Chain).validate_python(known)
    if any(isinstance(step, LesionCrop) for step in chain):
        raise InputError(
            f"{classifier.path}: learnt from photos that were cut to the lesion by masks (lesion-crop), and image "
            "files have none; ingest photos and masks as that cohort, and give the new cohort"
        )
    return chain


def _files(path: Path) -> dict[str, Callable[[], bytes]]:
    """Return what reads the images that a path stands for, by their own paths."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_file() and path.suffix.lower() != ".zip":
        return {str(path): path.read_bytes}
    files = ImageFiles([path], lambda inside: inside.as_posix())
    if not files.ids:
        raise InputError(f"{path}: holds no image ({', '.join(SUFFIXES)})")
    return {files.title(name): partial(files.read, name) for name in files.ids}
