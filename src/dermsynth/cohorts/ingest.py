"""Ingest: from the files of a data set to a cohort folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermsynth import __version__
from dermsynth.cohorts.cohort import Cohort, writing_cohort
from dermsynth.cohorts.labels import load_map, relabelled
from dermsynth.cohorts.preprocess import DEFAULT_CHAIN, Step, apply
from dermsynth.cohorts.sources import SourceConfig, make_source
from dermsynth.cohorts.sources.base import Picture
from dermsynth.core import artefacts
from dermsynth.core.cores import cores
from dermsynth.core.errors import InputError

OnBad = Literal["skip", "stop"]
_CHUNK, _CHUNK_BYTES = 256, 32 * 2**20
_BATCH = 16  # images a thread reads in a row: handing over thumbnails one by one takes a tenth of their decoding


def ingest(
    source: SourceConfig,
    size_px: int,
    out: Path | str,
    *,
    preprocessing: Sequence[Step] = DEFAULT_CHAIN,
    labels: str | None = None,
    on_bad: OnBad = "skip",
    force: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cohort:
    """Read a data set into the cohort folder `out` and return it opened.

    Everything that needs no pixels is checked before the first image is decoded. Memory does not grow with the number
    of images. Where `out` holds the cohort of this input and these settings already, nothing is done.

    Args:
        source: Which data set, and where its files are.
        size_px: Side of the square images.
        out: The folder to make.
        preprocessing: What is done to every image.
        labels: A label map, by name or as a YAML file, that replaces the source's classes; see `labels.relabelled`.
        on_bad: What to do about an image that cannot be decoded: leave it out and list it with its reason under `bad`
            in the card, or stop with an error.
        force: Replace an existing cohort.
        threads: Decoding threads; all cores that this process may use by default. The result does not depend on it.
        progress: Called with images done and images in all.

    Raises:
        InputError: a file, a row or an image that cannot be used; the message names it. Also if all images of a class
            are bad, or the label map does not know a class.
        ArtefactError: `out` exists, differs and `force` is false, or the disk is full.
    """
    if size_px < 8:
        raise InputError(f"size_px is {size_px}; images need at least 8 pixels a side")
    out = Path(out)
    if not (out / artefacts.CARD).exists():
        artefacts.check_free(out, force=force)  # before hashing what may be a large data set
    made = make_source(source)
    config = {
        "source": source.canonical(),
        "size_px": size_px,
        "preprocessing": [step.canonical() for step in preprocessing],
        "on_bad": on_bad,
        **({} if labels is None else {"labels": load_map(labels).canonical()}),
    }
    facts: dict[str, Any] = {"config": config, "fingerprint": made.fingerprint()}
    if not force and (out / artefacts.CARD).exists() and (known := _unchanged(out, facts)):
        return known
    out = artefacts.check_free(out, force=force)
    rows, classes, left_out = made.check(), made.classes, made.left_out
    if labels is not None:
        listed = rows.height
        rows, classes = relabelled(rows, classes, labels)
        left_out |= {"label without a class in the map": listed - rows.height} if rows.height < listed else {}
    facts |= {"licence": made.licence, "lesions": made.lesions, "fixed_split": made.fixed_split}
    facts |= {"left_out": left_out, "bad": []}
    done = 0
    with writing_cohort(out, classes, force=force, facts=facts) as writer:
        for photos in read_photos(made, rows, size_px, preprocessing, threads or cores(), on_bad):
            if photos.table.height:
                writer.append(photos.table, photos.images, photos.masks)
            facts["bad"] += photos.bad
            done += photos.table.height + len(photos.bad)
            progress(done, len(rows))
        _check_classes(classes, rows, facts["bad"])
    return Cohort.open(out)


@dataclass(frozen=True, eq=False)
class Photos:
    """A chunk of a data set that is ready to be written.

    Attributes:
        table: Row i describes `images[i]`; all columns of a cohort.
        images: n x size x size x 3, uint8, RGB.
        masks: n x size x size, uint8, 1 on the lesion; None unless the source has one for every image.
        bad: What was left out: image_id and reason.
    """

    table: pl.DataFrame
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    bad: list[dict[str, str]]


class Readable(Protocol):
    """What photos are read from; every `Source` is one, and says what its methods do."""

    def has_masks(self, rows: pl.DataFrame) -> bool: ...

    def pictures(self, rows: pl.DataFrame, size_px: int) -> Iterator[Callable[[], Picture]]: ...


_Read = tuple[NDArray[np.uint8], NDArray[np.uint8] | None, str] | InputError


def read_photos(
    source: Readable,
    rows: pl.DataFrame,
    size_px: int,
    preprocessing: Sequence[Step] = DEFAULT_CHAIN,
    threads: int = 1,
    on_bad: OnBad = "stop",
) -> Iterator[Photos]:
    """Yield the images of `rows` as squares, chunk by chunk and in their order; see `ingest`."""
    keep_masks = source.has_masks(rows)

    def read(pictures: Sequence[Callable[[], Picture]]) -> list[_Read]:
        return [_read(picture, preprocessing, size_px) for picture in pictures]

    chunk = min(_CHUNK, max(_BATCH, _CHUNK_BYTES // (3 * size_px**2)))
    pictures = source.pictures(rows, size_px)
    with ThreadPoolExecutor(threads) as pool:

        def submit() -> list[Future[list[_Read]]]:
            here = list(islice(pictures, chunk))
            return [pool.submit(read, here[first : first + _BATCH]) for first in range(0, len(here), _BATCH)]

        # One chunk is decoded ahead, while the caller writes the one before.
        ahead = submit()
        try:
            for start in range(0, rows.height, chunk):
                here, ahead = ahead, submit()
                found = [one for batch in here for one in batch.result()]
                yield _together(rows[start : start + chunk], found, size_px, on_bad, keep_masks=keep_masks)
        finally:
            pool.shutdown(cancel_futures=True)


def _read(picture: Callable[[], Picture], preprocessing: Sequence[Step], size_px: int) -> _Read:
    try:
        seen = picture()
    except InputError as error:
        return error
    image, mask = apply(preprocessing, seen.image, seen.mask, size_px)
    return image, mask, seen.sha256 or hashlib.sha256(image.tobytes()).hexdigest()


def _together(rows: pl.DataFrame, found: list[_Read], size_px: int, on_bad: OnBad, *, keep_masks: bool) -> Photos:
    bad, kept, good = [], [], []
    for number, (image_id, one) in enumerate(zip(rows["image_id"], found, strict=True)):
        if not isinstance(one, InputError):
            kept.append(number)
            good.append(one)
        elif on_bad == "stop":
            raise InputError(f"{one}; replace it, remove it and its row, or leave out bad images with --on-bad skip")
        else:
            bad.append({"image_id": image_id, "reason": str(one)})
    table = rows[kept].with_columns(
        origin=pl.lit("real"), sha256=pl.Series([sha256 for _, _, sha256 in good], dtype=pl.String)
    )
    images = np.array([image for image, _, _ in good], dtype=np.uint8).reshape(-1, size_px, size_px, 3)
    masks = np.stack([mask for _, mask, _ in good if mask is not None]) if keep_masks and good else None
    return Photos(table, images, masks, bad)


def _unchanged(out: Path, facts: Mapping[str, Any]) -> Cohort | None:
    """Return the cohort in `out` if it was made of the same input in the same way."""
    card = artefacts.read_card(out, "cohort")
    same = all(card.get(name) == value for name, value in facts.items()) and card["dermsynth"] == __version__
    return Cohort.open(out) if same else None


def _check_classes(classes: Sequence[str], rows: pl.DataFrame, bad: Sequence[Mapping[str, str]]) -> None:
    """Raise InputError if bad images leave a class without any."""
    left = rows.filter(~pl.col("image_id").is_in([one["image_id"] for one in bad]))["label"]
    for name in classes:
        if name not in left:
            lost = next(one for one in bad if one["image_id"] in set(rows.filter(pl.col("label") == name)["image_id"]))
            raise InputError(f"no image of class '{name}' can be read; the first: {lost['reason']}")
