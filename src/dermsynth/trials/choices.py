"""The entries of a protocol's lists: its arms, what else they are tested on, and how the treatment is chosen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Self

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from dermsynth.classifiers import find
from dermsynth.classifiers.config import FitConfig
from dermsynth.cohorts.labels import load_map
from dermsynth.cohorts.sources import SourceConfig
from dermsynth.core.config import Config, nearest
from dermsynth.core.errors import ConfigError
from dermsynth.trials.arms import ARMS, ENLARGES
from dermsynth.trials.generators import GeneratorChoice

_WHOLE = ("add", "counts", "synthetic", "tests")
OWN_GENERATOR = "generator"
"""In a classifier's model, in place of a run: the generator of the arm, or the trial's."""


def of_the_generator(classifier: FitConfig) -> bool:
    """Return whether a classifier starts from the trial's own generator, as in `discriminator:generator`."""
    found = find(classifier.model)
    return found.backbone.source == "run" and found.argument == OWN_GENERATOR


def _or_a_name(schema: dict[str, Any]) -> None:
    """Let a JSON Schema say what the file may say: a name alone, and `each`, which is expanded before validation."""
    block = dict(schema)
    block["properties"] = {
        **block["properties"],
        "each": {
            "type": "object",
            "description": "dotted keys of this block, each with a list of values: one arm for each combination",
            "additionalProperties": {"type": "array"},
        },
    }
    schema.clear()
    schema["anyOf"] = [{"type": "string", "enum": sorted(ARMS)}, block]


class ArmChoice(Config):
    """An arm of a trial: its recipe, and what stands over the trial's own settings. A name alone is a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_or_a_name)

    arm: str = Field(description="the recipe")
    name: str = Field("", description="stands in results; the recipe's where nothing is given")
    fill_to: int | None = Field(None, ge=1, description="instead of the trial's amount")
    add: dict[str, int] = Field(default_factory=dict, description="instead of the trial's amount")
    generator: GeneratorChoice | None = Field(None, description="keys that stand over the trial's generator")
    classifier: FitConfig | None = Field(None, description="keys that stand over the trial's classifier")
    varied: dict[str, float | str] = Field(default_factory=dict, description="what a grid (`each`) set here")

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone(cls, given: Any) -> Any:
        values = {"arm": given} if isinstance(given, str) else given
        if not isinstance(values, dict):
            raise ValueError("an arm is a name or a block with the key 'arm'")
        return {**values, "name": values.get("name") or values.get("arm", "")}

    @field_validator("arm")
    @classmethod
    def _known(cls, arm: str) -> str:
        if arm not in ARMS:
            raise ValueError(f"unknown arm '{arm}'; {nearest(arm, ARMS)}")
        return arm

    @model_validator(mode="after")
    def _says_what_matters(self) -> Self:
        if (self.fill_to or self.add) and self.arm not in ENLARGES:
            raise ValueError(f"arm '{self.name}': {self.arm} adds no images; leave out 'fill_to' and 'add'")
        if self.fill_to and self.add:
            raise ValueError(f"arm '{self.name}': give 'fill_to' or 'add', not both")
        return self

    @model_serializer(mode="wrap")
    def _short(self, whole: SerializerFunctionWrapHandler) -> Any:
        values: dict[str, Any] = whole(self)
        said = {key: value for key, value in values.items() if value not in (None, {}, ())}
        return self.arm if said == {"arm": self.arm, "name": self.arm} else said


def arm_blocks(arms: Any, generator: Any, classifier: Any) -> Any:
    """Return the entries of `arms` as they are validated: grids expanded, blocks laid over the trial's.

    Args:
        arms: What the file has under `arms`.
        generator: What it has under `generator`; `classifier`: likewise.

    Raises:
        ValueError: a grid that is none.
    """
    if not isinstance(arms, list | tuple):
        return arms
    blocks = []
    for entry in arms:
        for block in _expanded(entry) if isinstance(entry, Mapping) else [entry]:
            for key, base in (("generator", generator), ("classifier", classifier)):
                if isinstance(block, dict) and isinstance(block.get(key), Mapping):
                    block[key] = overlaid(base or {}, block[key])
            blocks.append(block)
    return blocks


def _expanded(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    block = {key: value for key, value in entry.items() if key != "each"}
    grid = entry.get("each", {})
    if not isinstance(grid, Mapping) or not all(isinstance(values, list) and values for values in grid.values()):
        raise ValueError("arms: 'each' needs keys with lists of values, for example each: {fill_to: [250, 500]}")
    name = block.get("name") or block.get("arm", "")
    for values in itertools.product(*grid.values()):
        made = deepcopy(block)
        for path, value in zip(grid, values, strict=True):
            _put(made, str(path), value)
        if grid:
            said = " ".join(f"{path.rsplit('.', 1)[-1]}={_short(v)}" for path, v in zip(grid, values, strict=True))
            made |= {"name": f"{name} {said}", "varied": dict(zip(grid, values, strict=True))}
        yield made


def _put(block: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        block = block.setdefault(parent, {})
        if not isinstance(block, dict):
            raise ValueError(f"arms: 'each' has '{path}', and '{parent}' is no block")
    block[last] = value


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def overlaid(base: Any, over: Mapping[str, Any]) -> dict[str, Any]:
    """Return a block with another's keys over it, block by block: what `over` does not name stays.

    A block of another kind, an empty one, a table of counts and the tests replace the whole block; another algorithm
    does not inherit settings.
    """
    found = base.canonical() if isinstance(base, Config) else dict(base)
    if over.get("kind", found.get("kind")) != found.get("kind"):
        return dict(over)
    if "algorithm" in over and over["algorithm"] != found.get("algorithm", "dcgan"):
        found.pop("settings", None)
    for key, value in over.items():
        inner = found.get(key)
        nested = isinstance(inner, Mapping | Config) and isinstance(value, Mapping) and value and key not in _WHOLE
        found[key] = overlaid(inner, value) if nested else value
    return found


class BestOnVal(Config):
    """The treatment is chosen among several arms by the endpoint's metric on val, then judged once on test."""

    best_on_val: tuple[str, ...] = Field(min_length=2, description="the arms that it may be")


class TestChoice(Config):
    """Images beside the trial's test part: of another source, or synthetic ones that are mixed into the test part.

    The second is what makes a published gain that is none: the treatment is judged on the test part and new images of
    its own generator, the control on the test part alone.
    """

    __test__ = False  # for pytest: this is no test class

    source: SourceConfig | None = Field(None, description="images from elsewhere")
    labels: str | None = Field(None, description="a label map to the trial's classes")
    synthetic: dict[str, int] = Field(default_factory=dict, description="images per class")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.source is None) == (not self.synthetic):
            raise ValueError("give 'source' for images from elsewhere, or 'synthetic' for drawn ones")
        if self.labels is not None:
            if self.source is None:
                raise ValueError("labels: drawn images have the trial's classes; leave it out")
            try:
                load_map(self.labels)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        for name, count in self.synthetic.items():
            if count < 1:
                raise ValueError(f"synthetic.{name} is {count}; give 1 or more, or leave the class out")
        return self
