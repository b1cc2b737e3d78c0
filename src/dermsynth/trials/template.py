"""A protocol as a commented YAML file: every key with its value, what it means, what it may be, and its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dermsynth.algorithms import algorithm_class
from dermsynth.core.artefacts import json_bytes, write_together
from dermsynth.core.config import Config, parse
from dermsynth.core.errors import ArtefactError
from dermsynth.trials.generators import GeneratorChoice
from dermsynth.trials.keys import implied, limits, meanings, models_in
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.schemas import schema_of

SCHEMA_FILE = "dermsynth-trial.schema.json"
START = {"name": "my-trial", "cohort": {"source": {"kind": "folder", "root": "images"}}, "fill_to": 500}
"""What has no default in a protocol, for the template that starts from no preset."""
_WIDTH, _KEYS = 110, 8
"""Characters of a line, and the most keys of a block that is not there which are listed."""
_GLUE = "\N{NO-BREAK SPACE}"
_HEAD = """\
# yaml-language-server: $schema={schema}
# A trial; `dermsynth trial run {name} --out FOLDER` runs it. Every key is here; one at its default may be left out.
# Above each key: what it means [what it may be; its default]. Keys after a # follow from the recipe or policy above.
"""


def start() -> Protocol:
    """Return the protocol of the template that starts from no preset: a folder of images, all else by default."""
    return parse(Protocol, START, "template")


def write_template(protocol: Protocol, out: Path) -> None:
    """Write a protocol as a commented YAML file, and beside it the JSON Schema that its first line names.

    Raises:
        ArtefactError: `out` exists, or cannot be written.
    """
    if out.exists():
        raise ArtefactError(f"{out}: already exists; give the path of a file to make")
    write_together(
        {
            out.parent / SCHEMA_FILE: json_bytes(schema_of("trial")),
            out: template(protocol, name=out.name).encode(),
        }
    )


def template(protocol: Protocol, *, name: str = "trial.yaml") -> str:
    """Return a protocol as commented YAML; parsed, it is the same protocol.

    Args:
        protocol: The values.
        name: The file's name, for the command in its first lines.
    """
    return _HEAD.format(schema=SCHEMA_FILE, name=name) + "".join(_block(protocol, protocol.canonical(), 0))


def _block(config: BaseModel, values: Mapping[str, Any], depth: int) -> Iterator[str]:
    margin, following = "  " * depth, implied(config)
    for name, field in type(config).model_fields.items():
        inner, value = getattr(config, name), values[name]
        deep = isinstance(inner, Config) and isinstance(value, Mapping)
        if depth == 0:
            yield "\n"
        text = meanings(type(config)).get(name, "")
        for line in _wrapped(text, _facts(field, deep=deep), _WIDTH - len(margin)):
            yield f"{margin}# {line}\n"
        if deep:
            yield f"{margin}{name}:\n"
            yield from _block(inner, value, depth + 1)
        else:
            yield textwrap.indent(_line(name, value), f"{margin}# " if name in following else margin)
        if isinstance(config, GeneratorChoice) and name == "settings":
            yield from _settings_of(config, margin)


def _facts(field: FieldInfo, *, deep: bool) -> str:
    """Return the limits and the default of a key, and the keys of a block that is not there."""
    said = [limits(field)]
    blocks = list(models_in(field.annotation))
    if field.discriminator is not None:
        key = str(field.discriminator)
        said.append(f"{key}: {' | '.join(str(block.model_fields[key].default) for block in blocks)}")
    if not deep:
        if field.is_required():
            said.append("required")
        else:
            default = field.get_default(call_default_factory=True)
            said.append(f"default {_short(default)}")
        if len(blocks) == 1 and len(blocks[0].model_fields) <= _KEYS:
            said.append(f"a block has the keys {', '.join(blocks[0].model_fields)}")
    told = "; ".join(filter(None, said))
    return f"[{told}]" if told else ""


def _settings_of(config: GeneratorChoice, margin: str) -> Iterator[str]:
    model = algorithm_class(config.algorithm).Config
    yield f"{margin}# {config.algorithm} has these settings:\n"
    for name, field in model.model_fields.items():
        text = f"{name}: {meanings(model).get(name, '')}".strip()
        for number, line in enumerate(_wrapped(text, _facts(field, deep=False), _WIDTH - len(margin) - 6)):
            yield f"{margin}#   {'  ' if number else ''}{line}\n"


def _short(value: Any) -> str:
    """Return a default on one line, as YAML."""

    def plain(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json")
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return value

    if value is None:
        return "null"
    written = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return written.removesuffix("...\n").strip()


def _line(name: str, value: Any) -> str:
    flow = None if isinstance(value, list | dict) else False  # None: the innermost lists on one line
    return yaml.safe_dump({name: value}, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _wrapped(text: str, facts: str, width: int) -> list[str]:
    """Return the lines of a comment; short facts in brackets are not broken."""
    if len(facts) < width // 2:
        facts = facts.replace(" ", _GLUE)
    lines = textwrap.wrap(f"{text} {facts}".strip(), width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines]
