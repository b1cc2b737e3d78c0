"""Predictions of several fits, checked to be about the same images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dermsynth.classifiers.predictions import Predictions, read_predictions
from dermsynth.core.errors import InputError


def read_aligned(paths: Iterable[Path], split: str, *, every_class: bool = True) -> list[Predictions]:
    """Return the predictions of each fit on one split, rows sorted by image_id; there is at least one path.

    Args:
        paths: Files or folders of fits.
        split: Which of their images.
        every_class: Whether each class must have an image.

    Raises:
        InputError: a file that `read_predictions` refuses; a class without an image; or a file that has other images,
            labels, lesions or classes than the first.
    """
    found: list[Predictions] = []
    for path in paths:
        one = read_predictions(path, split)
        one = one.take(np.argsort(one.image_ids, kind="stable"))
        if found:
            _need_same_images(found[0], one)
        elif every_class:
            _need_every_class(one)
        found.append(one)
    return found


def _need_every_class(found: Predictions) -> None:
    counts = np.bincount(found.labels, minlength=len(found.classes))
    if (counts == 0).any():
        missing = found.classes[int(np.flatnonzero(counts == 0)[0])]
        raise InputError(
            f"{found.where}: class '{missing}' has no image, so its recall is unknown; "
            "split the cohort so that every class is in it, or leave the class out of the cohort"
        )


def _need_same_images(first: Predictions, found: Predictions) -> None:
    if found.classes != first.classes:
        raise InputError(
            f"{found.where}: has classes {', '.join(found.classes)}; {first.where} has {', '.join(first.classes)}; "
            "fit every arm on the same classes, in the same order"
        )
    odd = np.setxor1d(first.image_ids, found.image_ids)
    if len(odd):
        image = odd[0]
        has, lacks = (found, first) if image in found.image_ids else (first, found)
        raise InputError(
            f"{found.where}: other images than {first.where}: {image} is in {has.where} but not in {lacks.where}; "
            "fit every arm on the same split"
        )
    for what, here, there in (
        ("label", np.array(found.classes)[found.labels], np.array(first.classes)[first.labels]),
        ("lesion", found.lesion_ids, first.lesion_ids),
    ):
        differ = np.flatnonzero(here != there)
        if len(differ):
            row = int(differ[0])
            raise InputError(
                f"{found.where}: image {found.image_ids[row]} has {what} '{here[row]}', in {first.where} it has "
                f"'{there[row]}'; fit every arm on the same split"
            )
