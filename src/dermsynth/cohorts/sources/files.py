"""Images in folders and zip files, and the source that a table of them makes."""

from __future__ import annotations

import copy
import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Self

import polars as pl

from dermsynth.cohorts.decode import decode, decode_mask
from dermsynth.cohorts.sources.base import Picture, Source, check_rows
from dermsynth.cohorts.sources.places import Place
from dermsynth.core.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
Named = Callable[[PurePosixPath], str | None]
"""Makes the id of an image from its path inside its folder or zip; None for a file that is not one of them."""


class ImageFiles:
    """The image files of some folders and zip files, by their ids.

    Args:
        places: The folders and zip files.
        named: How ids are made; by default they are the files' names without endings.

    Raises:
        InputError: two images of one id, or a file that cannot be read.
    """

    def __init__(self, places: Sequence[Path], named: Named = lambda path: path.stem) -> None:
        self.places = list(places)
        self._found: dict[str, tuple[Place, str]] = {}
        for place in map(Place, places):
            for name in filter(is_image, place.names):
                image_id = named(PurePosixPath(name))
                if image_id is not None:
                    place.check(name)
                    self._add(image_id, place, name)

    def _add(self, image_id: str, place: Place, name: str) -> None:
        if image_id in self._found:
            other = self.title(image_id)
            raise InputError(
                f"{place.title(name)}: another image is also named '{image_id}' ({other}); rename or remove one"
            )
        self._found[image_id] = (place, name)

    def renamed(self, ids: Mapping[str, str]) -> Self:
        """Return some of the images under other ids; `ids` are new -> old."""
        chosen = copy.copy(self)
        chosen._found = {new: self._found[old] for new, old in ids.items()}
        return chosen

    @property
    def ids(self) -> KeysView[str]:
        """Return the ids of all images."""
        return self._found.keys()

    def path(self, image_id: str) -> PurePosixPath:
        """Return the path of an image inside its folder or zip."""
        return PurePosixPath(self._found[image_id][1])

    def title(self, image_id: str) -> str:
        """Return where an image is, for a message."""
        place, name = self._found[image_id]
        return place.title(name)

    def read(self, image_id: str) -> bytes:
        """Return the bytes of an image file; raises InputError if it cannot be read."""
        place, name = self._found[image_id]
        return place.read(name)

    def fingerprint(self) -> str:
        """Return a hash of names, sizes and checksums in zips, and of names, sizes and times in folders."""
        found = sorted(self._found.values(), key=lambda where: (where[0].path, where[1]))
        lines = "\n".join(f"{name} {place.stamp(name)}" for place, name in found)
        return hashlib.sha256(lines.encode()).hexdigest()


class FileSource(Source):
    """A source whose images are files that a table of rows names."""

    one_per_lesion = False
    """Keep the first photo of every lesion (by image_id) only."""
    table_chooses = False
    """Images without a row are not part of the data set; by default they are a mistake."""

    @cached_property
    @abstractmethod
    def rows(self) -> pl.DataFrame:
        """The rows: image_id, label, lesion_id, patient_id, source, `at` (for messages), and more.

        Where there is a column `left_out`, rows that have a text in it, the reason, are not used.
        """

    @cached_property
    @abstractmethod
    def files(self) -> ImageFiles:
        """The image files by image_id."""

    @property
    @abstractmethod
    def table(self) -> Path:
        """The file or folder that messages about all rows name."""

    def fingerprint(self) -> str:
        """Return a hash of the table and of the image files; it does not depend on where the root folder is."""
        table = hashlib.sha256(self.rows.drop("at").write_csv().encode()).hexdigest()
        files = [self.files.fingerprint(), *([self.masks.fingerprint()] if self.masks else [])]
        return hashlib.sha256(" ".join([table, *files]).encode()).hexdigest()

    @cached_property
    def masks(self) -> ImageFiles | None:
        """The masks of the lesions by image_id, for any of the images; none by default."""
        return None

    @property
    def left_out(self) -> dict[str, int]:
        """Return why rows are not used, each reason with their number."""
        if "left_out" not in self.rows.columns:
            return {}
        reasons = self.rows["left_out"].drop_nulls()
        return dict(sorted(reasons.value_counts().iter_rows()))

    def check(self) -> pl.DataFrame:
        """Check the rows and that rows and files belong together; see `Source.check`."""
        rows = self.rows
        if "left_out" in rows.columns:
            rows = rows.filter(pl.col("left_out").is_null()).drop("left_out")
        check_rows(rows, self.classes, self.table)
        missing = rows.filter(~pl.col("image_id").is_in(list(self.files.ids)))
        if missing.height:
            places = ", ".join(place.name for place in self.files.places)
            searched = f"not in {places}" if places else "no folder or zip of images found"
            raise InputError(
                f"{missing['at'][0]}: image '{missing['image_id'][0]}'{_and_more(missing.height)} is missing "
                f"({searched}); fetch it or remove the row"
            )
        spare = sorted(self.files.ids - set(self.rows["image_id"]))
        if spare and not self.table_chooses:
            raise InputError(
                f"{self.files.title(spare[0])}{_and_more(len(spare))}: has no row in {self.table}; "
                "add one or remove the image"
            )
        if self.one_per_lesion:
            rows = rows.filter(pl.col("image_id") == pl.col("image_id").min().over("lesion_id"))
        return rows.drop("at")

    def has_masks(self, rows: pl.DataFrame) -> bool:
        """Return whether there is a mask file for every row."""
        return self.masks is not None and self.masks.ids >= set(rows["image_id"])

    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]:
        """Yield a reader per row; see `Source.pictures`."""
        return (partial(self._picture, image_id) for image_id in rows["image_id"])

    def _picture(self, image_id: str) -> Picture:
        data = self.files.read(image_id)
        image = decode(data, self.files.title(image_id))
        mask = None
        if self.masks is not None and image_id in self.masks.ids:
            mask = decode_mask(self.masks.read(image_id), self.masks.title(image_id), image.size)
        return Picture(image, mask, hashlib.sha256(data).hexdigest())


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image; macOS adds a shadow `._name` beside every file of a zip."""
    file = name.rpartition("/")[2]
    return file.lower().endswith(SUFFIXES) and not file.startswith(".")


def segmented(path: PurePosixPath) -> str | None:
    """Return the image_id of a mask that is named `<image_id>_segmentation.png`, in any case; None of other files."""
    image_id, mark = path.stem[:-13], path.stem[-13:]
    return image_id if mark.lower() == "_segmentation" else None


def masks_in(root: Path, *stems: str) -> ImageFiles | None:
    """Return the masks in the folders and zip files in `root` whose names start with one of `stems`, if there are."""
    places = [place for stem in stems for place in places_of_images(root, stem)]
    return ImageFiles(places, segmented) if places else None


def _and_more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""


def places_of_images(root: Path, stem: str) -> list[Path]:
    """Return the folders and zip files in `root` whose name starts with `stem`; a folder beats its own zip."""
    found = [path for path in sorted(root.glob(f"{stem}*")) if path.is_dir() or path.suffix == ".zip"]
    folders = {path.name for path in found if path.is_dir()}
    return [path for path in found if path.is_dir() or path.stem not in folders]


def existing_folder(root: Path, what: str) -> Path:
    """Return `root`, or raise InputError if it is no folder."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected {what}")
    return root
