"""A figure of what classical augmentation does: a row per operation at its extremes, then all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dermsynth.cohorts.augment import ClassicalAugmentation, altered, augment, draw
from dermsynth.cohorts.augment.mixing import mix
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.config import nearest
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import numpy_generator, torch_generator
from dermsynth.reports.numbers import MINUS
from dermsynth.reports.sheets import Row
from dermsynth.training.device import to_pixels

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = 5
_STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_OFF = ClassicalAugmentation(policy="none")
Cases = dict[str, dict[str, float]]
"""Draws by the caption of the image they make."""


def rows(cohort: Cohort, config: ClassicalAugmentation, label: str | None = None, seed: int = 0) -> list[Row]:
    """Return a row for every operation that is on, and two for all of them: on one lesion, and on several.

    Args:
        cohort: Where the images are from.
        config: The settings.
        label: Class of the lesion; default: any.
        seed: Another one shows other lesions and other draws.

    Raises:
        InputError: the cohort has no image of this class.
    """
    images, labels = _chosen(cohort, label, seed)
    lesion = images[:1].expand(COLUMNS, -1, -1, -1)

    def sampled(name: str, setting: str, before: Tensor, chosen: ClassicalAugmentation) -> Row:
        after = augment(before, chosen, torch_generator(seed, "preview"))
        if not chosen.mixes:
            return Row(name, setting, to_pixels(after).numpy(), [""] * COLUMNS)
        after, shares = mix(after, labels, len(cohort.classes), chosen, torch_generator(seed, "preview mix"))
        return Row(name, setting, to_pixels(after).numpy(), [_blend(row, cohort.classes) for row in shares.tolist()])

    def setting(field: str) -> str:
        value = getattr(config, field)
        return field if value is True else f"{field} {value:g}"

    found = []
    for name, field, cases in _operations(config):
        if getattr(config, field) != getattr(_OFF, field):
            after = altered(images[:1].expand(len(cases), -1, -1, -1), _alone(config, field), _draws(cases))
            found.append(Row(name, setting(field), to_pixels(after).numpy(), list(cases)))
    if config.randaugment_ops:
        always = {field: getattr(_OFF, field) for field in ("flip", "quarter_turns", "crop_side_min", "erasing_chance")}
        chosen = config.changed(**always, mixup_alpha=0.0, cutmix_alpha=0.0)
        found.append(sampled("RandAugment", setting("randaugment_ops"), lesion, chosen))
    for name, field in (("mixup", "mixup_alpha"), ("CutMix", "cutmix_alpha")):
        if getattr(config, field):
            found.append(sampled(name, setting(field), images, _alone(config, field)))
    unmixed = config.changed(mixup_alpha=0.0, cutmix_alpha=0.0)
    found.append(sampled("all, on one lesion", f"policy {config.policy}", lesion, unmixed))
    found.append(sampled("all, on several", f"policy {config.policy}", images, config))
    return found


def _operations(config: ClassicalAugmentation) -> Iterator[tuple[str, str, Cases]]:
    """Yield name, setting and cases of what acts on one image."""
    yield (
        "flip",
        "flip",
        {
            "as it is": {},
            "left-right": {"mirror_x": 1},
            "up-down": {"mirror_y": 1},
            "both": {"mirror_x": 1, "mirror_y": 1},
        },
    )
    yield "quarter turns", "quarter_turns", {f"{90 * turns}°": {"quarter": turns / 4} for turns in range(4)}
    for name, field, draws in (
        ("rotation", "rotation_deg", ("rotation",)),
        ("shear", "shear_deg", ("shear",)),
        ("scale", "scale_max", ("scale",)),
        ("translation", "translation_share", ("shift_x", "shift_y")),
        ("brightness", "brightness", ("brightness",)),
        ("contrast", "contrast", ("contrast",)),
        ("saturation", "saturation", ("saturation",)),
        ("hue", "hue_deg", ("hue",)),
    ):
        yield name, field, {_amount(config, field, at): dict.fromkeys(draws, at) for at in _STRENGTHS}
    corners = {"top left": (0, 0), "top right": (1, 0), "centre": (0.5, 0.5), "bottom left": (0, 1)}
    crops = {at: {"side": 1, "centre_x": x, "centre_y": y} for at, (x, y) in corners.items()}
    yield "crop", "crop_side_min", {"as it is": {}, **crops}
    shapes = {"smallest": (0, 0.5), "wide": (0.4, 0), "square": (0.6, 0.5), "tall": (0.4, 1), "largest": (1, 0.5)}
    erased = {at: {"area": area, "aspect": aspect, "top": area, "left": 0.3} for at, (area, aspect) in shapes.items()}
    yield "erasing", "erasing_chance", erased


def _amount(config: ClassicalAugmentation, field: str, strength: float) -> str:
    """Return what an operation does at a strength from -1 to 1, in its unit."""
    value = getattr(config, field)
    if not strength:
        return "as it is"
    if field == "scale_max":
        return f"× {value**strength:.2f}"
    text = f"{strength * value:+g}°" if field.endswith("deg") else f"{100 * strength * value:+g} %"
    return text.replace("-", MINUS)


def _alone(config: ClassicalAugmentation, field: str) -> ClassicalAugmentation:
    """Return the settings with one operation on, and the size of what is erased."""
    return _OFF.changed(**{name: getattr(config, name) for name in (field, "erasing_area_max")})


def _draws(cases: Cases) -> dict[str, Tensor]:
    """Return the draws of all cases; what a case does not name does nothing."""
    import torch

    names = draw(1, _OFF, torch_generator(0, "preview"))
    return {name: torch.tensor([float(case.get(name, 0)) for case in cases.values()]) for name in names}


def _chosen(cohort: Cohort, label: str | None, seed: int) -> tuple[Tensor, Tensor]:
    """Return `COLUMNS` images in [-1, 1] and their labels: the first of `label`, then of other classes in turn."""
    import torch

    counts = cohort.counts()
    if label is not None and not counts.get(label):
        raise InputError(f"{cohort.path or 'cohort'}: has no image of class '{label}'; {nearest(label, counts)}")
    order = numpy_generator(seed, "preview").permutation(len(cohort))
    labels = cohort.labels[order]
    first = 0 if label is None else int(np.flatnonzero(labels == cohort.classes.index(label))[0])
    # How often the class of an image came before: the first of every class, then the second of every class.
    earlier = np.array([(labels[:place] == own).sum() for place, own in enumerate(labels)])
    earlier[first] = -1
    picked = order[np.resize(np.argsort(earlier, kind="stable"), COLUMNS)]
    pixels = torch.from_numpy(np.stack([cohort.images[int(row)] for row in picked]))
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(cohort.labels[picked])


def _blend(shares: Sequence[float], classes: Sequence[str]) -> str:
    """Return '70 % mel' and '30 % nv', on a line each."""
    return "\n".join(
        f"{100 * share:.0f} % {name}" for share, name in zip(shares, classes, strict=True) if share > 0.005
    )
