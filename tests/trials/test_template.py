"""The commented protocol: what it parses to, that no key lacks a word, and that recipes still work in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dermsynth.classifiers.config import RECIPES
from dermsynth.cohorts.augment import POLICIES
from dermsynth.core.errors import ArtefactError
from dermsynth.trials.keys import meanings, models_in
from dermsynth.trials.loading import PRESETS, load_protocol
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.template import SCHEMA_FILE, START, start, template, write_template

NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def parsed(text: str) -> Protocol:
    return Protocol.model_validate(yaml.safe_load(text))


def test_it_parses_back_into_the_default_protocol() -> None:
    assert parsed(template(start())) == Protocol.model_validate(START)


@pytest.mark.parametrize("name", NAMES)
def test_a_presets_template_is_that_preset(name: str) -> None:
    assert parsed(template(load_protocol(name))) == load_protocol(name)


def test_every_key_of_the_protocol_stands_in_it() -> None:
    values = yaml.safe_load(template(start()))
    assert list(values) == list(Protocol.model_fields)
    assert list(values["generator"]["training"]) == list(start().generator.training.canonical())


def test_a_key_has_its_meaning_limits_and_default_above_it() -> None:
    text = template(load_protocol("demo"))
    assert "# fits of every arm, with seeds seed, seed + 1, … [≥ 1; default 3]\nrepeats: 3\n" in text
    assert "    # looks at the averaged generator over the run, the last one at its end [≥ 1; default 8]\n" in text
    assert "  #   width: maps next to the image; they double towards the 4 x 4 end [≥ 1; default 64]\n" in text
    assert all(len(line) < 140 for line in text.splitlines())


@pytest.mark.parametrize(("key", "names"), [("recipe", RECIPES), ("policy", POLICIES)])
def test_another_recipe_or_policy_brings_its_values(key: str, names: dict[str, object]) -> None:
    text = template(start())
    for name in names:
        default = yaml.safe_load(text)["classifier" if key == "recipe" else "augmentation"][key]
        changed = parsed(text.replace(f"{key}: {default}\n", f"{key}: {name}\n"))
        block = {"classifier" if key == "recipe" else "augmentation": {key: name}}
        assert changed == Protocol.model_validate({**START, **block})


def test_no_key_is_without_a_word() -> None:
    """Of the keys that everybody sees; `kind` and `step` choose a block."""
    seen, silent = set(), []

    def visit(model: type) -> None:
        if model in seen:
            return
        seen.add(model)
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            if name not in meanings(model) and name not in ("kind", "step"):
                silent.append(f"{model.__name__}.{name}")
            for inner in models_in(field.annotation):
                visit(inner)

    visit(Protocol)
    assert silent == []


def test_what_stands_below_a_field_is_its_meaning() -> None:
    from dermsynth.classifiers.config import FitConfig

    assert meanings(FitConfig)["head_first"] == (
        "Share of the steps, the first ones, in which the head and batch norms learn alone."
    )
    assert meanings(FitConfig)["fresh"].startswith("Draws the weights of `hf:`")  # of the model that it extends


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    write_template(start(), tmp_path / "trial.yaml")
    assert {path.name for path in tmp_path.iterdir()} == {"trial.yaml", SCHEMA_FILE}
    first = (tmp_path / "trial.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA_FILE}"
    with pytest.raises(ArtefactError, match=r"trial\.yaml: already exists; give the path of a file to make"):
        write_template(load_protocol("demo"), tmp_path / "trial.yaml")
    assert parsed((tmp_path / "trial.yaml").read_text()) == start()
