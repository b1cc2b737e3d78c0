"""Protocols by name: a YAML file or a preset, and which of its variants at which scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermsynth.core.config import nearest, parse, read_mapping
from dermsynth.core.errors import ConfigError
from dermsynth.trials.choices import overlaid
from dermsynth.trials.protocol import Protocol

PRESETS = Path(__file__).parent / "presets"
_VARIANTS, _SCALES = "variants", "scales"


def load_protocol(target: Path | str) -> Protocol:
    """Return the protocol that a name stands for: `FILE.yaml` or `PRESET`, then `:VARIANT` and `:SCALE` if it has any.

    A file may have, under `variants` and `scales`, blocks that are laid over the rest of it: first the variant, then
    the scale, then the scale's own block for that variant. Lists are replaced as a whole.

    Raises:
        ConfigError: no such file, preset, variant or scale, an unknown key (with the nearest known one), or a value out
            of range.
    """
    name, *parts = str(target).split(":")
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else preset(name)
    values = read_mapping(path)
    variants, scales = (_blocks(values, key, str(path)) for key in (_VARIANTS, _SCALES))
    chosen: dict[str, str] = {}
    for part in parts:
        kind = _VARIANTS if part in variants else _SCALES
        if part not in {**variants, **scales}:
            known = [*variants, *scales]
            raise ConfigError(f"{path}: has no '{part}'; {nearest(part, known) if known else 'it has no variants'}")
        if kind in chosen:
            raise ConfigError(f"{target}: '{chosen[kind]}' and '{part}' are both {kind}; choose one")
        chosen[kind] = part
    if _VARIANTS in chosen:
        values = overlaid(values, variants[chosen[_VARIANTS]])
    if _SCALES in chosen:
        scale = dict(scales[chosen[_SCALES]])
        of_variant = _blocks(scale, _VARIANTS, str(path)).get(chosen.get(_VARIANTS, ""), {})
        values = overlaid(overlaid(values, scale), of_variant)
    if parts:
        values["name"] = ", ".join(
            [str(values.get("name", "")), *(chosen[kind] for kind in (_VARIANTS, _SCALES) if kind in chosen)]
        )
    return parse(Protocol, values, str(target))


def preset(name: str) -> Path:
    """Return the path of a protocol that comes with dermsynth; raises ConfigError that suggests the nearest."""
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name not in names:
        raise ConfigError(f"no preset '{name}'; {nearest(name, names)}")
    return PRESETS / f"{name}.yaml"


def parts_of(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a file's variants and of its scales."""
    values = read_mapping(path)
    return tuple(_blocks(values, _VARIANTS, str(path))), tuple(_blocks(values, _SCALES, str(path)))


def _blocks(values: dict[str, Any], key: str, where: str) -> dict[str, Mapping[str, Any]]:
    """Take the blocks under a key out of the values and return them by name."""
    found = values.pop(key, None) or {}
    if not isinstance(found, dict) or not all(isinstance(block, dict) for block in found.values()):
        raise ConfigError(f"{where}: '{key}' should have a block for each name")
    return found
