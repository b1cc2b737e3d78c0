"""Which fits are the same recipe with other seeds, as far as their cards say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dermsynth.classifiers.predictions import FILE
from dermsynth.core import artefacts
from dermsynth.core.config import digest_of
from dermsynth.core.errors import InputError

_MADE_BY = ("arm", "augmentation", "balance", "train_counts", "size_px")


@dataclass(frozen=True)
class Recipe:
    """Fits that differ in their seed alone, ascending; predictions without a card stand alone and know no seed."""

    name: str
    fits: tuple[Path, ...]
    seeds: tuple[int, ...] | None


def recipes_of(fits: Sequence[Path]) -> list[Recipe]:
    """Group folders of fits and predictions files, in the order in which recipes first appear.

    Two fits are of one recipe if their cards have the same arm, settings, augmentation and training images per class,
    and other seeds. Fits that agree in the seed too, as two hybrids of different pools may, stay apart.

    Raises:
        InputError: a path that is given twice.
        ArtefactError: a folder whose card cannot be read.
    """
    cards = {path: card_of(path) for path in fits}
    if len({path.resolve() for path in fits}) < len(fits):
        twice = next(path for i, path in enumerate(fits) if path.resolve() in {p.resolve() for p in fits[:i]})
        raise InputError(f"{twice}: is given twice; name every fit once")
    groups: dict[str, list[Path]] = {}
    for path in fits:
        card = cards[path]
        groups.setdefault(str(path) if card is None else digest_of(_recipe(card)), []).append(path)
    found: list[tuple[tuple[Path, ...], tuple[int, ...] | None]] = []
    for paths in groups.values():
        seeds = {path: _seed(cards[path]) for path in paths}
        known = [seed for seed in seeds.values() if seed is not None]
        if len(set(known)) == len(paths):
            ordered = sorted(paths, key=lambda path: seeds[path] or 0)
            found.append((tuple(ordered), tuple(sorted(known))))
        else:
            found += [((path,), None if seeds[path] is None else (seeds[path] or 0,)) for path in paths]
    return [Recipe(_name(paths, cards[paths[0]]), paths, seeds) for paths, seeds in found]


def distinct(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes with names that differ, by their folder where the arm alone is not enough."""
    names = [recipe.name for recipe in recipes]
    return [
        recipe if names.count(recipe.name) == 1 else replace(recipe, name=f"{recipe.name} ({_folder(recipe.fits[0])})")
        for recipe in recipes
    ]


def need_pairs(recipe: Recipe, baseline: Recipe) -> None:
    """Raise InputError unless both have one fit, or the same seeds."""
    if len(recipe.fits) != len(baseline.fits) or (len(recipe.fits) > 1 and recipe.seeds != baseline.seeds):
        raise InputError(
            f"'{recipe.name}' has {_told(recipe)}, '{baseline.name}' has {_told(baseline)}; "
            "differences are paired by seed: give the same seeds of both"
        )


def card_of(fit: Path) -> dict[str, Any] | None:
    """Return the card of a fit, given as its folder or as the predictions file in it; None if there is none."""
    folder = _folder(fit)
    return artefacts.read_card(folder, "fit") if (folder / artefacts.CARD).is_file() else None


def _recipe(card: Mapping[str, Any]) -> dict[str, Any]:
    config = {key: value for key, value in card.get("config", {}).items() if key != "seed"}
    return {"config": config, **{key: card.get(key) for key in _MADE_BY}}


def _seed(card: Mapping[str, Any] | None) -> int | None:
    return None if card is None else card.get("config", {}).get("seed")


def _name(paths: tuple[Path, ...], card: Mapping[str, Any] | None) -> str:
    return str((card or {}).get("arm") or _folder(paths[0]).stem)


def _folder(path: Path) -> Path:
    return path.parent if path.name == FILE else path


def _told(recipe: Recipe) -> str:
    if recipe.seeds is None:
        return "a fit without a known seed"
    return f"seed{'s' * (len(recipe.seeds) > 1)} {', '.join(map(str, recipe.seeds))}"
