"""Trials side by side: what is paired, what is not, the numbers of both, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.trials.finished import finished_trial

from dermsynth.classifiers.predictions import FILE, read_predictions
from dermsynth.core.errors import ArtefactError, ConfigError, InputError
from dermsynth.metrics.scores import balanced_accuracy
from dermsynth.trials.compare import compare, differing, flat, unpaired

SKILLS = {"oversampled": 1.0, "hybrid": 1.2}
BETTER = {"oversampled": 1.0, "hybrid": 2.0}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compare")
    first = finished_trial(folder / "first", SKILLS)
    return first, finished_trial(folder / "second", BETTER, draw=1, fill_to=80, classifier={"width": 8})


def scores(trial: Path, arm: str) -> list[float]:
    found = [read_predictions(trial / "jobs" / f"{arm}-{seed}" / FILE) for seed in (0, 1, 2)]
    return [balanced_accuracy(one.labels, one.predicted, 3) for one in found]


def test_only_the_keys_that_differ_are_listed(two: tuple[Path, Path]) -> None:
    assert compare(two).differs == {
        "fill_to": {"first": 40, "second": 80},
        "classifier.width": {"first": None, "second": 8},
    }


def test_paired_differences_are_those_of_the_seeds(two: tuple[Path, Path]) -> None:
    (found,) = compare(two).against
    assert (found.trial, found.seeds, found.unpaired, found.why) == ("second", (0, 1, 2), None, "")
    assert found.treatment is not None
    assert found.effect is not None
    expected = np.subtract(scores(two[1], "hybrid"), scores(two[0], "hybrid"))
    assert found.treatment.by_seed == pytest.approx(expected)
    gains = [np.subtract(scores(trial, "hybrid"), scores(trial, "oversampled")) for trial in two]
    assert found.effect.by_seed == pytest.approx(gains[1] - gains[0])
    assert found.effect.difference == pytest.approx(np.mean(gains[1] - gains[0]))
    assert found.effect.low < found.effect.difference < found.effect.high


def test_a_better_treatment_is_told_apart_and_the_same_one_is_not(two: tuple[Path, Path], tmp_path: Path) -> None:
    better = compare(two).against[0].treatment
    same = compare([two[0], finished_trial(tmp_path / "again", SKILLS, draw=7)]).against[0].treatment
    assert better is not None
    assert same is not None
    assert better.p_value < 0.001
    assert same.p_value > 0.05
    assert same.low < 0 < same.high


def test_the_same_control_cancels_out_of_the_effects(two: tuple[Path, Path], tmp_path: Path) -> None:
    """With the very same control fits, effects differ by what the treatments differ by, and are as well known."""
    other = finished_trial(tmp_path / "other", BETTER, draw=1)
    for seed in (0, 1, 2):
        source = two[0] / "jobs" / f"oversampled-{seed}" / FILE
        (other / "jobs" / f"oversampled-{seed}" / FILE).write_bytes(source.read_bytes())
    (found,) = compare([two[0], other]).against
    assert found.treatment is not None
    assert found.effect is not None
    assert found.effect.by_seed == pytest.approx(found.treatment.by_seed)
    assert (found.effect.low, found.effect.high) == pytest.approx((found.treatment.low, found.treatment.high))


def test_it_reads_the_other_way_round_with_the_sign_turned(two: tuple[Path, Path]) -> None:
    there, back = compare(two).against[0].effect, compare(two[::-1]).against[0].effect
    assert there is not None
    assert back is not None
    assert (back.low, back.difference, back.high) == pytest.approx((-there.high, -there.difference, -there.low))
    assert back.p_value == pytest.approx(there.p_value)


def test_only_common_seeds_are_paired(two: tuple[Path, Path], tmp_path: Path) -> None:
    later = finished_trial(tmp_path / "later", BETTER, seeds=(1, 2, 3, 4))
    assert compare([two[0], later]).against[0].seeds == (1, 2)
    none = finished_trial(tmp_path / "none", BETTER, seeds=(5, 6))
    assert compare([two[0], none]).against[0].why == "the trials have no seed in common"


def test_other_test_images_are_compared_unpaired(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = finished_trial(tmp_path / "other", BETTER, images="photo")
    (found,) = compare([two[0], other]).against
    assert (found.treatment, found.effect, found.seeds) == (None, None, ())
    assert found.why == "they were judged on other images (400 and 400, 0 of them in both)"
    assert found.unpaired is not None
    assert "not paired: they were judged on other images" in found.sentence
    assert f"standard error {100 * found.unpaired.standard_error:.1f} points" in found.sentence


def test_an_unpaired_difference_has_both_variances(two: tuple[Path, Path]) -> None:
    first, other = (compare(two).trials[name].comparisons[0] for name in ("first", "second"))
    first, other = (
        one.model_copy(update={"difference": value, "low": value - half, "high": value + half})
        for one, value, half in ((first, 0.02, 1.959964 * 0.03), (other, 0.1, 1.959964 * 0.04))
    )
    found = unpaired(first, other, 0.95)
    assert found.standard_error == pytest.approx(0.05, rel=1e-5)
    expected = stats.norm.interval(0.95, loc=0.08, scale=0.05)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-5)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(0.08 / 0.05), rel=1e-4)


def test_a_verdict_alone_is_enough_for_an_unpaired_comparison(two: tuple[Path, Path], tmp_path: Path) -> None:
    alone = tmp_path / "published.verdict.json"
    alone.write_bytes((two[1] / "verdict.json").read_bytes())
    found = compare([two[0], alone])
    assert found.without_protocol == ("published.verdict.json",)
    assert found.differs == {}
    assert found.against[0].why == "the predictions of published.verdict.json are not at hand"


def test_several_trials_against_the_first_are_a_family(two: tuple[Path, Path], tmp_path: Path) -> None:
    third = finished_trial(tmp_path / "third", SKILLS, draw=3)
    alone = compare([two[0], third]).against[0].treatment
    together = compare([*two, third]).against[1].treatment
    assert alone is not None
    assert together is not None
    assert alone.adjusted_p == alone.p_value == together.p_value < together.adjusted_p + 1e-12
    assert ", adjusted p" in compare([*two, third]).against[0].sentence


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"smallest_difference": 0.05}, "endpoint.smallest_difference is 0.02 in first and 0.05 in other"),
        ({"split": "val"}, "endpoint.split is test in first and val in other"),
        ({"confidence": 0.9}, "endpoint.confidence is 0.95 in first and 0.9 in other"),
    ],
)
def test_different_endpoints_are_refused(
    two: tuple[Path, Path], tmp_path: Path, declared: dict[str, object], said: str
) -> None:
    other = finished_trial(tmp_path / "other", SKILLS, endpoint={"resamples": 300, **declared})
    with pytest.raises(ConfigError, match=rf"^{said}: .*; compare trials with the same endpoint$"):
        compare([two[0], other])


def test_other_classes_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = finished_trial(tmp_path / "other", SKILLS, counts=(30, 60))
    with pytest.raises(ConfigError, match="first tells df, mel, nv apart and other df, mel: balanced_accuracy means"):
        compare([two[0], other])


def test_what_is_no_trial_is_named(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give two finished trials or more"):
        compare(two[:1])
    with pytest.raises(ConfigError, match="the same trial is given twice"):
        compare([two[0], two[0] / "verdict.json"])
    with pytest.raises(ArtefactError, match="no such folder; expected a dermsynth trial"):
        compare([two[0], tmp_path / "nowhere"])
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(InputError, match=r"odd\.json: is no verdict"):
        compare([two[0], tmp_path / "odd.json"])
    (tmp_path / "old.json").write_text(json.dumps({"schema": 1}))
    with pytest.raises(InputError, match=r"old\.json: is a verdict of schema 1, this dermsynth reads \d; judge"):
        compare([two[0], tmp_path / "old.json"])


def test_keys_are_dotted_and_lists_stay_whole() -> None:
    assert flat({"a": {"b": [1, {"c": 2}], "d": {}}, "e": 3}) == {"a.b": [1, {"c": 2}], "a.d": {}, "e": 3}
    assert differing({"x": {"a": 1, "b": 2}, "y": {"a": 1, "c": 3}}) == {
        "b": {"x": 2, "y": None},
        "c": {"x": None, "y": 3},
    }
