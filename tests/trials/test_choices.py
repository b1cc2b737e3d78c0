"""Arms as blocks and grids: what the file says, what stands over what, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dermsynth.core.config import parse
from dermsynth.core.errors import ConfigError
from dermsynth.trials.protocol import Protocol

SMALL: dict[str, Any] = {
    "name": "small",
    "cohort": {"source": {"kind": "phantom", "counts": {"mel": 20, "nv": 30}}, "size_px": 64},
    "fill_to": 40,
    "generator": {"settings": {"width": 4}, "training": {"budget_kimg": 3}},
}
TRANSLATING = {
    "generator": {"algorithm": "cyclegan", "settings": {"source": ["nv"], "target": ["mel"], "width": 2}},
    "fill_to": None,
    "add": {"mel": 10},
}


def protocol(**changes: Any) -> Protocol:
    return parse(Protocol, {**SMALL, **changes}, "trial")


def test_a_name_alone_is_a_recipe_and_stays_one_in_the_frozen_file() -> None:
    found = protocol(arms=["real", "oversampled", "hybrid"])
    assert [(arm.name, arm.arm) for arm in found.arms] == [(name, name) for name in ("real", "oversampled", "hybrid")]
    assert found.canonical()["arms"] == ["real", "oversampled", "hybrid"]


def test_a_grid_makes_an_arm_of_each_combination() -> None:
    grid = {"fill_to": [50, 60], "generator.settings.width": [4, 8]}
    found = protocol(arms=["oversampled", {"arm": "hybrid", "each": grid}], treatment="hybrid fill_to=60 width=8")
    assert [arm.name for arm in found.arms[1:]] == [
        f"hybrid fill_to={fill} width={width}" for fill in (50, 60) for width in (4, 8)
    ]
    last = found.arms[-1]
    assert found.amount(last)["fill_to"] == 60
    assert found.generator_of(last).settings == {"width": 8}
    assert last.varied == {"fill_to": 60, "generator.settings.width": 8}


def test_the_frozen_file_is_the_same_protocol() -> None:
    grid = {"add.mel": [5, 10], "generator.path_rank.keep": [0.5, 1.0]}
    found = protocol(
        **TRANSLATING,
        arms=["oversampled", {"arm": "hybrid", "each": grid}],
        treatment={"best_on_val": ["hybrid mel=5 keep=0.5", "hybrid mel=10 keep=1"]},
    )
    assert parse(Protocol, yaml.safe_load(found.to_yaml()), "frozen") == found


def test_a_block_stands_over_the_trials_generator_key_by_key() -> None:
    block = {"arm": "hybrid", "name": "longer", "generator": {"training": {"budget_kimg": 9}}}
    found = protocol(arms=["oversampled", "hybrid", block])
    longer = found.generator_of(found.arm("longer"))
    assert (longer.training.budget_kimg, longer.settings) == (9, {"width": 4})
    assert found.generator_of(found.arm("hybrid")).training.budget_kimg == 3


def test_another_algorithm_does_not_inherit_settings() -> None:
    block = {"arm": "hybrid", "name": "gan", "generator": {"algorithm": "gan"}}
    found = protocol(arms=["oversampled", "hybrid", block])
    assert found.generator_of(found.arm("gan")).settings == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": ["oversampled", "hybird"]}, "unknown arm 'hybird'; did you mean 'hybrid'?"),
        ({"arms": ["oversampled", "hybrid", "hybrid"]}, "two arms are called 'hybrid'"),
        ({"arms": [{"arm": "hybrid", "each": {"fill_to": 3}}]}, "'each' needs keys with lists of values"),
        ({"arms": [{"arm": "real", "fill_to": 9}]}, "real adds no images; leave out 'fill_to' and 'add'"),
        ({"arms": ["hybrid", "oversampled", {"arm": "real", "generator": {}}]}, "real has no synthetic images"),
        ({"fill_to": None}, "'fill_to' is missing (or 'add')"),
        ({"add": {"mel": 4}}, "give 'fill_to' or 'add', not both"),
        ({"treatment": {"best_on_val": ["hybrid", "hybrd"]}}, "treatment is 'hybrd', which is not among the arms"),
        ({"generator": {"per_class": True}}, "generator.per_class needs 'add', which names the classes"),
        ({"generator": {"path_rank": {"keep": 0.5}}}, "path_rank: dcgan draws from noise and has no target class"),
        ({**TRANSLATING, "add": {"nv": 4}}, "its generator makes images of 'mel' alone; give 'add: {mel: N}'"),
        ({"generator": {"screens": ["near-cpy"]}}, "unknown rule 'near-cpy'"),
        ({"generator": {"size_px": 64}}, "generator.size_px is 64, the cohort's 64; choose a smaller one"),
        ({"classifiers": {"main": {}}}, "that is the name of 'classifier'"),
        (
            {
                "arms": ["oversampled", "hybrid", {"arm": "hybrid", "name": "b"}],
                "treatment": {"best_on_val": ["hybrid", "b"]},
                "endpoint": {"split": "val"},
            },
            "the endpoint is judged on val as well",
        ),
        (
            {**TRANSLATING, "arms": ["oversampled", "hybrid"], "tests": {"x": {"synthetic": {"mel": 4}}}},
            "has no new images",
        ),
        ({"tests": {"x": {}}}, "give 'source' for images from elsewhere, or 'synthetic' for drawn ones"),
        ({"tests": {"x": {"synthetic": {"mel": 0}}}}, "synthetic.mel is 0"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        protocol(**changes)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
