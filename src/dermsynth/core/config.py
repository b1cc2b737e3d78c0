"""Frozen configuration models, read from YAML, that name the nearest known key when one is misspelt."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dermsynth.core.errors import ConfigError


class Config(BaseModel):
    """A frozen set of named values; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> dict[str, Any]:
        """Return plain JSON values, fit for a card and for hashing."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON: equal configurations have equal digests."""
        return digest_of(self.canonical())

    def changed(self, **values: Any) -> Self:
        """Return a copy with other values, validated like a new one."""
        return type(self).model_validate({**self.model_dump(), **values})


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


ConfigT = TypeVar("ConfigT", bound=Config)


def parse(model: type[ConfigT], values: Mapping[str, Any], where: str) -> ConfigT:
    """Validate `values` as `model`.

    Raises:
        ConfigError: one line that starts with `where` and names the key, the value and what was expected.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_problem(model, error)}") from None


def load_yaml(model: type[ConfigT], path: Path) -> ConfigT:
    """Read a YAML file as `model`; raises ConfigError as `parse` does, also for a file that is no YAML mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found {type(values).__name__}")
    return parse(model, values, str(path))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean …?' for the most similar known name, or the list of known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(names))}"


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    location = [str(part) for part in problem["loc"]]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return f"unknown key '{'.'.join(location)}'; {nearest(location[-1], known)}{more}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"'{'.'.join(location)}' is missing{more}"
    if not location:
        return f"{message}{more}"
    return f"'{'.'.join(location)}' is {problem['input']!r}: {message}{more}"


def _fields_at(model: type[BaseModel], location: list[str]) -> set[str]:
    """Return the known keys of the (possibly nested, possibly one of several) model at `location`."""
    models = {model}
    for part in location:
        fields = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        inner = {found for annotation in fields for found in _models_in(annotation)}
        # A list index, a dictionary key or a union's tag does not name a field: stay with the same models.
        models = inner or models
    return {name for m in models for name in m.model_fields}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) in (Union, UnionType, Annotated, list, tuple, dict):
        return {found for argument in get_args(annotation) for found in _models_in(argument)}
    return set()
