"""Paths with variables, and the choice of a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.cohorts.sources import source_config
from dermsynth.cohorts.sources.base import expand
from dermsynth.core.errors import ConfigError, InputError


def test_a_path_takes_variables_and_their_defaults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGES", "/data")
    monkeypatch.delenv("ABSENT", raising=False)
    assert expand("${IMAGES}/ham") == Path("/data/ham")
    assert expand("${IMAGES:-/other}/ham") == Path("/data/ham")
    assert expand("${ABSENT:-../data}/ham") == Path("../data/ham")
    assert expand("~/ham") == Path.home() / "ham"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABSENT", raising=False)
    with pytest.raises(InputError, match=r"\$\{ABSENT\}/ham: the environment variable ABSENT is not set"):
        expand("${ABSENT}/ham")


def test_an_unknown_source_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown source 'ham1000'; did you mean 'ham10000'"):
        source_config("ham1000", {})


def test_an_unknown_setting_of_a_source_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="source folder: unknown key 'rot'; did you mean 'root'"):
        source_config("folder", {"rot": "x"})
