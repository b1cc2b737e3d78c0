"""The published JSON Schemas: equal to the models, valid by their own standard, and true of real files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.trials.test_verdict import ENDPOINT, trial

from dermsynth.core.errors import ConfigError
from dermsynth.trials.loading import PRESETS
from dermsynth.trials.schemas import DIALECT, SCHEMAS, schema_of
from dermsynth.trials.template import START, start, template
from dermsynth.trials.verdict import judge

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"


def wrong(name: str, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema_of(name)).iter_errors(value)]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_file_is_what_the_models_say(name: str) -> None:
    published = json.loads((PUBLISHED / f"{name}.schema.json").read_text(encoding="utf-8"))
    command = f"dermsynth trial schema --of {name} > docs/schemas/{name}.schema.json"
    assert published == schema_of(name), f"run: {command}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema_with_an_id_a_title_and_no_dangling_reference(name: str) -> None:
    found = schema_of(name)
    Draft202012Validator.check_schema(found)
    assert (found["$schema"], found["$id"]) == (DIALECT, f"urn:dermsynth:{name}")
    assert found["title"]
    assert found["description"]
    used = {node["$ref"] for node in nodes(found) if isinstance(node.get("$ref"), str)}
    assert used == {f"#/$defs/{name}" for name in found["$defs"]}


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_follow_it(path: Path) -> None:
    assert wrong("trial", yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_the_template_follows_it() -> None:
    assert wrong("trial", yaml.safe_load(template(start()))) == []


def test_short_forms_follow_it() -> None:
    cohort = {**START["cohort"], "preprocessing": ["hair", {"step": "gamma", "gamma": 2}, "resize"]}  # type: ignore[dict-item]
    assert wrong("trial", {**START, "cohort": cohort, "augmentation": "papers"}) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repeats": 0}, r"$.repeats: 0 is less than the minimum of 1"),
        ({"nmae": "x"}, "'nmae' was unexpected"),
        ({"augmentation": "stong"}, "$.augmentation: 'stong' is not valid"),
        ({"cohort": {"source": {"kind": "floder", "root": "x"}}}, "$.cohort.source"),
        ({"endpoint": {"metric": "luck"}}, "'balanced_accuracy'"),
    ],
)
def test_mistakes_do_not(change: dict[str, Any], said: str) -> None:
    found = wrong("trial", {**START, **change})
    assert len(found) == 1
    assert said in found[0]


def test_every_key_of_a_verdict_is_in_its_schema_and_a_finished_one_follows_it(tmp_path: Path) -> None:
    fits = trial(tmp_path, {"real": 1.0, "oversampled": 1.2, "hybrid": 1.8, "placebo": 0.9})
    verdict = judge(fits, ENDPOINT, control="oversampled", treatment="hybrid", name="t", generators=1)
    found = json.loads(json.dumps(verdict.to_json()))
    assert wrong("verdict", found) == []
    assert set(schema_of("verdict")["properties"]) == set(found)
    assert wrong("verdict", {**found, "outcome": "perhaps"})


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no schema of 'verdcit'; did you mean 'verdict'"):
        schema_of("verdcit")
