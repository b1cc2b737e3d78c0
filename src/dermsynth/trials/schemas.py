"""JSON Schemas (draft 2020-12) of what a trial reads and writes, generated from the models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from dermsynth.cohorts.augment import POLICIES, ClassicalAugmentation
from dermsynth.cohorts.preprocess import STEPS
from dermsynth.core.config import nearest
from dermsynth.core.errors import ConfigError
from dermsynth.trials.keys import meanings
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import Verdict

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: dict[str, tuple[type[BaseModel], Literal["validation", "serialization"], str]] = {
    "trial": (Protocol, "validation", "dermsynth trial"),
    "verdict": (Verdict, "serialization", "dermsynth verdict"),
}
_LAID_OVER = {
    "variants": "blocks that stand over the rest of the file, by the name that follows its own: FILE.yaml:NAME",
    "scales": "likewise, after the variant; a block may have variants of its own",
}
"""Keys of a file that are gone before it is a protocol (`dermsynth.trials.loading`)."""
_OVERLAYS = {"type": "object", "additionalProperties": {"type": "object"}}


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of `trial` (trial.yaml) or `verdict` (verdict.json).

    It says what a file may say; that arms can be built from what is declared, only reading the protocol tells.

    Raises:
        ConfigError: another name.
    """
    if name not in SCHEMAS:
        raise ConfigError(f"no schema of '{name}'; {nearest(name, SCHEMAS)}")
    model, mode, title = SCHEMAS[name]
    found = model.model_json_schema(by_alias=True, mode=mode, schema_generator=_Described)
    if model is Protocol:
        found["properties"] |= {name: {**_OVERLAYS, "description": text} for name, text in _LAID_OVER.items()}
    return {"$schema": DIALECT, "$id": f"urn:dermsynth:{name}", **found, "title": title}


class _Described(GenerateJsonSchema):
    """Adds what the models' sources say of a field, and the short forms that are expanded before validation."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        found = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        texts = meanings(model)
        for name, field in model.model_fields.items():
            entry = found.get("properties", {}).get(field.alias or name)
            if entry is not None and name in texts:
                entry.setdefault("description", texts[name])
        if issubclass(model, ClassicalAugmentation):
            return {"anyOf": [{"type": "string", "enum": sorted(POLICIES)}, found]}
        return found

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> dict[str, Any]:
        found = super().tagged_union_schema(schema)
        if schema["discriminator"] == "step":
            return {"anyOf": [{"type": "string", "enum": sorted(STEPS)}, found]}
        return found
