"""Frozen configuration models, read from YAML, that name the nearest known key when one is misspelt."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

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
        """Return a copy with other values, validated like a new one; raises ConfigError as `parse` does."""
        return parse(type(self), {**self.model_dump(), **values}, type(self).__name__)


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


def parse_named(text: str, kinds: Mapping[str, type[ConfigT]], option: str) -> ConfigT:
    """Return the settings that `NAME` or `NAME:KEY=VALUE,…` stands for, the command line's way of writing one of many.

    Args:
        text: What was written; values are read as YAML.
        kinds: The models by name.
        option: The option's name without dashes, which is also what each of its values is called.

    Raises:
        ConfigError: an unknown name or setting, with the nearest known one, or a setting without a value.
    """
    where = f"--{option} {text}"
    name, _, rest = text.partition(":")
    if name not in kinds:
        raise ConfigError(f"{where}: unknown {option} '{name}'; {nearest(name, kinds)}")
    pairs = [pair.partition("=") for pair in rest.split(",") if pair]
    for key, equals, _ in pairs:
        if not equals:
            keys = [field for field in kinds[name].model_fields if field != option]
            raise ConfigError(f"{where}: '{key}' should be KEY=VALUE; keys of {name}: {', '.join(keys)}")
    return parse(kinds[name], {key: read_yaml(value, where) for key, _, value in pairs}, where)


def load_yaml(model: type[ConfigT], path: Path) -> ConfigT:
    """Read a YAML file as `model`; raises ConfigError as `parse` does, also for a file that is no YAML mapping."""
    return parse(model, read_mapping(path), str(path))


def read_mapping(path: Path) -> dict[str, Any]:
    """Return what a YAML file of 'key: value' lines says; raises ConfigError for any other file."""
    try:
        values = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found {type(values).__name__}")
    return values


def read_yaml(text: str, where: str) -> Any:
    """Return the plain values of a YAML text; raises ConfigError that starts with `where`, also for a repeated key."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark and "\n" in text.strip() else ""
        raise ConfigError(f"{where}: {line}not valid YAML: {_on_one_line(error.problem or str(error))}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2025-13-01
        raise ConfigError(f"{where}: not valid YAML: {_on_one_line(str(error))}") from None


class _Loader(yaml.SafeLoader):
    """Plain values only; a key that stands twice in a mapping is an error, where PyYAML lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name = self.construct_object(key)
                if name in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"key '{name}' stands twice; keep one", problem_mark=key.start_mark
                    )
                seen.add(name)
        return super().construct_mapping(node, deep)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean …?' for the most similar known name, or the list of known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(names))}"


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    # A misspelt key of a required field is reported twice, as missing and as unknown: the unknown one says more.
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    location, models = _resolved(model, problem["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    name = ".".join(location)
    if problem["type"] == "extra_forbidden":
        known = {field for found in models for field in found.model_fields}
        return f"unknown key '{name}'; {nearest(location[-1], known)}{more}"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key = problem["ctx"]["discriminator"].strip("'")
        tags = [tag.strip().strip("'") for tag in problem["ctx"].get("expected_tags", "").split(",") if tag]
        if problem["type"] == "union_tag_not_found":
            return f"'{'.'.join([*location, key])}' is missing{more}"
        tag = problem["ctx"]["tag"]
        return f"'{'.'.join([*location, key])}' is '{tag}': {nearest(tag, tags)}{more}"
    message = _on_one_line(problem["msg"].removeprefix("Value error, "))
    if problem["type"] == "missing":
        return f"'{name}' is missing{more}"
    if not location:
        return f"{message}{more}"
    # A whole block of the file would bury the message.
    found = f" is {problem['input']!r}" if isinstance(problem["input"], (str, int, float, NoneType)) else ""
    return f"'{name}'{found}: {message}{more}"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _resolved(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[list[str], set[type[BaseModel]]]:
    """Return the keys of `path` as they stand in the file, and the models that its last key may be a field of.

    pydantic also lists which model of a union it tried; no key of the file has that name.
    """
    keys: list[str] = []
    inside, models = {model}, {model}
    for part in path:
        if len(inside) > 1:
            chosen = {m for m in inside if part in _tags_of(m) or part == m.__name__}
            if chosen:
                inside = models = chosen
                continue
        models = inside
        fields = [m.model_fields[part].annotation for m in inside if part in m.model_fields]
        inner = {found for annotation in fields for found in _models_in(annotation)}
        # A list index or a dictionary key does not name a field: stay with the same models.
        inside = inner or inside
        keys.append(str(part))
    return keys, models


def _tags_of(model: type[BaseModel]) -> set[Any]:
    """Return the values of the model's literal fields: a discriminated union tells its members apart by one of them."""
    annotations = [field.annotation for field in model.model_fields.values()]
    return {tag for annotation in annotations if get_origin(annotation) is Literal for tag in get_args(annotation)}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) in (Union, UnionType, Annotated, list, tuple, dict):
        return {found for argument in get_args(annotation) for found in _models_in(argument)}
    return set()
