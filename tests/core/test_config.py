"""Configuration: what is misspelt, missing or out of range is named with its path, and the nearest known word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from dermsynth.core.config import Config, load_yaml, parse, parse_named, read_yaml
from dermsynth.core.errors import ConfigError


class Zip(Config):
    kind: Literal["zip"] = "zip"
    path: str


class Drawn(Config):
    kind: Literal["drawn"] = "drawn"
    width: int = Field(3, ge=1)


class Cohort(Config):
    source: Annotated[Zip | Drawn, Field(discriminator="kind")] = Drawn()
    size_px: int = 64


class Trial(Config):
    cohort: Cohort = Cohort()
    arms: list[Drawn] = Field(default_factory=list)
    by_name: dict[str, Drawn] = Field(default_factory=dict)
    spare: Drawn | None = None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cohrot": {}}, "unknown key 'cohrot'; did you mean 'cohort'?"),
        ({"cohort": {"sise_px": 3}}, "unknown key 'cohort.sise_px'; did you mean 'size_px'?"),
        ({"arms": [{}, {"widht": 3}]}, "unknown key 'arms.1.widht'; did you mean 'width'?"),
        ({"by_name": {"first": {"widht": 3}}}, "unknown key 'by_name.first.widht'; did you mean 'width'?"),
        ({"spare": {"widht": 3}}, "unknown key 'spare.widht'; did you mean 'width'?"),
        ({"cohort": {"source": {"kind": "drawn", "widht": 3}}}, "'cohort.source.widht'; did you mean 'width'?"),
        ({"cohort": {"source": {"kind": "drwan"}}}, "'cohort.source.kind' is 'drwan': did you mean 'drawn'?"),
        ({"cohort": {"source": {"width": 3}}}, "'cohort.source.kind' is missing"),
        ({"cohort": {"source": {"kind": "zip"}}}, "'cohort.source.path' is missing"),
        ({"cohort": {"size_px": "big"}}, "'cohort.size_px' is 'big': Input should be a valid integer"),
        ({"arms": [{"width": 0}]}, "'arms.0.width' is 0: Input should be greater than or equal to 1"),
        ({"cohort": {"size_px": {"a": [1, 2]}}}, "'cohort.size_px': Input should be a valid integer"),
        ({"arms": [{"width": [1, 2]}]}, "'arms.0.width': Input should be a valid integer"),
        ({"xyz": 1}, "unknown key 'xyz'; known: arms, by_name, cohort, spare"),
    ],
)
def test_an_error_names_the_path_and_the_nearest_word(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(Trial, values, "trial.yaml")
    assert str(error.value).startswith("trial.yaml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_keys_of_the_chosen_kind_are_suggested() -> None:
    with pytest.raises(ConfigError, match=r"known: kind, width$"):
        parse(Trial, {"cohort": {"source": {"kind": "drawn", "path": "x"}}}, "trial.yaml")


def test_a_misspelt_required_key_is_called_unknown_rather_than_missing() -> None:
    with pytest.raises(ConfigError, match="unknown key 'paht'; did you mean 'path'"):
        parse(Zip, {"paht": "x"}, "zip")


def test_a_copy_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key 'widht'; did you mean 'width'"):
        Drawn().changed(widht=4)


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Drawn().width = 4  # type: ignore[misc]


def test_equal_configurations_have_equal_digests() -> None:
    assert Drawn(width=4).digest() == Drawn().changed(width=4).digest()
    assert Drawn(width=4).digest() != Drawn(width=5).digest()


def test_a_yaml_file_is_read_as_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text("cohort: {source: {kind: drawn, width: 7}}\n")
    assert load_yaml(Trial, path).cohort.source == Drawn(width=7)


def test_a_merged_mapping_may_be_overridden() -> None:
    assert read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", "text")["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "expected 'key: value' lines, found list"),
        (b"", "expected 'key: value' lines, found NoneType"),
        (b"size: 1\na: [1\n", "trial.yaml: line 3: not valid YAML: "),
        (b"a: 2025-13-01\n", "not valid YAML: month must be in 1..12"),
        (b"seed: 1\nname: x\nseed: 2\n", "trial.yaml: line 3: not valid YAML: key 'seed' stands twice; keep one"),
        (b"cohort:\n  size_px: 8\n  size_px: 9\n", "line 3: not valid YAML: key 'size_px' stands twice"),
        (b"a: {b: 1, b: 1}\nc: 1\n", "line 1: not valid YAML: key 'b' stands twice"),
        (b"\xff\xfe\xff", "cannot be read as text"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "trial.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"trial\.yaml: ") as error:
        load_yaml(Trial, path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_yaml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.yaml: no such file"):
        load_yaml(Trial, tmp_path / "absent.yaml")


KINDS = {"zip": Zip, "drawn": Drawn}


@pytest.mark.parametrize(
    ("text", "found"), [("drawn", Drawn()), ("drawn:width=5", Drawn(width=5)), ("zip:path=a:b", Zip(path="a:b"))]
)
def test_a_name_with_settings_is_one_of_several_models(text: str, found: Config) -> None:
    assert parse_named(text, KINDS, "kind") == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("darwn", "--kind darwn: unknown kind 'darwn'; did you mean 'drawn'?"),
        ("drawn:5", "--kind drawn:5: '5' should be KEY=VALUE; keys of drawn: width"),
        ("drawn:widht=5", "unknown key 'widht'; did you mean 'width'?"),
        ("drawn:width=0", "--kind drawn:width=0: 'width' is 0: "),
        ("zip", "--kind zip: 'path' is missing"),
    ],
)
def test_a_mistake_in_one_of_several_models_names_the_option(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_named(text, KINDS, "kind")
    assert message in str(caught.value)
