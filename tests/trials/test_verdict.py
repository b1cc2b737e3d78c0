"""The verdict from prediction files: its numbers, its words, its bytes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from statsmodels.stats.multitest import multipletests

from dermsynth.classifiers.predictions import FILE, Predictions, write_predictions
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.trials.verdict import ArmFacts, Context, Endpoint, Verdict, judge
from dermsynth.trials.wording import sentence

CLASSES = ("df", "mel", "nv")
PER_CLASS = (20, 60, 120)  # lesions, two photos each
ENDPOINT = Endpoint(resamples=300)
Fits = dict[str, dict[int, Path]]
Change = Callable[[Predictions], Predictions]


def fit(skill: float, key: list[int], n: tuple[int, ...] = PER_CLASS) -> Predictions:
    """Predictions of a made-up classifier; `skill` is how far the true class stands out."""
    shared, own = np.random.default_rng(0), np.random.default_rng(key)
    labels = np.repeat(np.arange(len(n)), np.array(n) * 2)
    logits = shared.normal(0, 1, (sum(n), len(n)))[np.arange(len(labels)) // 2]
    logits = logits + own.normal(0, 0.5, logits.shape) + skill * np.eye(len(n))[labels]
    return Predictions(
        image_ids=np.array([f"image{i:04}" for i in range(len(labels))]),
        lesion_ids=np.array([f"lesion{i // 2}" for i in range(len(labels))]),
        labels=labels,
        probabilities=np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        classes=CLASSES,
    )


def trial(folder: Path, skills: Mapping[str, float], seeds: tuple[int, ...] = (0, 1, 2), n: Any = PER_CLASS) -> Fits:
    fits: Fits = {}
    for number, (arm, skill) in enumerate(skills.items()):
        for seed in seeds:
            path = folder / f"{arm}-{seed}"
            path.mkdir(parents=True)
            write_predictions(path / FILE, {"test": fit(skill, [number, seed], n)})
            fits.setdefault(arm, {})[seed] = path
    return fits


def decide(fits: Fits, **changes: Any) -> Verdict:
    arguments: dict[str, Any] = {
        "endpoint": ENDPOINT,
        "control": "oversampled",
        "treatment": "hybrid",
        "name": "t",
        "generators": 3,
    }
    return judge(fits, **{**arguments, **changes})


def test_a_leaky_split_is_said_in_the_verdict_and_in_its_sentence(tmp_path: Path) -> None:
    verdict = decide(
        trial(tmp_path, {"oversampled": 1.0, "hybrid": 1.5}),
        context=Context(leaky="38.7 % of the test images are known"),
    )
    assert (
        "The split is leaky: 38.7 % of the test images are known; all these results are too good." in verdict.sentence
    )
    assert verdict.to_json()["leaky"] == "38.7 % of the test images are known"


def rewrite(fits: Fits, arm: str, seed: int, change: Change) -> Path:
    from dermsynth.classifiers.predictions import read_predictions

    path = fits[arm][seed] / FILE
    write_predictions(path, {"test": change(read_predictions(path))})
    return path


def copied(found: Predictions, **changes: Any) -> Predictions:
    return Predictions(**{**vars(found), **changes})


@pytest.fixture(scope="module")
def six_arms(tmp_path_factory: pytest.TempPathFactory) -> Fits:
    skills = {"real": 1.0, "classical": 1.1, "oversampled": 1.2, "hybrid": 1.8, "placebo": 0.9, "oracle": 2.4}
    return trial(tmp_path_factory.mktemp("six"), skills)


@pytest.fixture
def two_arms(tmp_path: Path) -> Fits:
    return trial(tmp_path, {"oversampled": 1.2, "hybrid": 1.2}, seeds=(0, 1))


def test_the_file_has_exactly_the_fields_of_schema_3(six_arms: Fits) -> None:
    counts = {"df": 5, "mel": 5, "nv": 5}
    context = Context(arms={"hybrid": ArmFacts("hybrid", {"fill_to": 5}, counts)})
    found = json.loads(json.dumps(decide(six_arms, context=context).to_json()))
    assert list(found) == [
        *("schema", "trial", "sentence", "outcome", "treatment", "control", "endpoint", "seeds", "generators"),
        *("classes", "test", "leaky", "edited", "chosen", "arms", "comparisons", "doses", "looks", "subgroups"),
    ]
    assert found["schema"] == 3
    assert list(found["endpoint"]) == ["metric", "smallest_difference", "confidence", "resamples", "split"]
    assert found["test"] == {
        "images": 400,
        "lesions": 200,
        "per_class": {c: {"images": 2 * n, "lesions": n} for c, n in zip(CLASSES, PER_CLASS, strict=True)},
    }
    assert list(found["arms"]) == list(six_arms)
    arm = found["arms"]["hybrid"]
    scored = ["balanced_accuracy", "accuracy", "macro_auc", "recall", "confusion", "train_counts"]
    assert list(arm) == ["recipe", "settings", *scored]
    assert (arm["recipe"], arm["settings"]) == ("hybrid", {"fill_to": 5})
    assert list(arm["recall"]) == list(found["classes"]) == list(CLASSES)
    assert list(arm["macro_auc"]) == list(arm["recall"]["df"]) == ["mean", "low", "high", "by_seed"]
    assert arm["train_counts"] == counts
    assert found["arms"]["real"]["train_counts"] is None
    change = ["difference", "low", "high", "p_value", "adjusted_p", "equivalence_p", "outcome", "by_seed"]
    whole = ["arm", "against", "metric", *change, "sign_flip_p", "margin", "classes", "recall"]
    assert list(found["comparisons"][0]) == whole
    assert list(found["comparisons"][0]["recall"]["df"]) == change
    assert list(found["comparisons"][0]["margin"]) == ["below", "within", "above"]
    assert list(found["comparisons"][0]["classes"]) == ["q", "p_value", "i_squared"]


def test_it_is_read_back_from_its_json(six_arms: Fits) -> None:
    found = decide(six_arms)
    assert Verdict.model_validate(json.loads(json.dumps(found.to_json()))) == found


def test_every_arm_meets_the_control_and_the_treatment_meets_its_rivals(six_arms: Fits) -> None:
    pairs = [(c.arm, c.against) for c in decide(six_arms).comparisons]
    assert pairs == [
        *((arm, "oversampled") for arm in ("real", "classical", "hybrid", "placebo", "oracle")),
        *(("hybrid", arm) for arm in ("placebo", "classical", "real")),
    ]
    pairs = [(c.arm, c.against) for c in decide(six_arms, control="real").comparisons]
    assert pairs.count(("hybrid", "real")) == 1


def test_scores_are_those_of_scikit_learn(six_arms: Fits) -> None:
    arm = decide(six_arms).arms["hybrid"]
    confusion = np.zeros((3, 3), dtype=int)
    for seed in (0, 1, 2):
        found = fit(1.8, [3, seed])
        labels, predicted = found.labels, found.probabilities.argmax(axis=1)
        auc = metrics.roc_auc_score(labels, found.probabilities, multi_class="ovr")
        assert arm.balanced_accuracy.by_seed[seed] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
        assert arm.accuracy.by_seed[seed] == pytest.approx(metrics.accuracy_score(labels, predicted))
        assert arm.macro_auc.by_seed[seed] == pytest.approx(auc, abs=1e-6)
        confusion += metrics.confusion_matrix(labels, predicted)
    assert arm.confusion == tuple(map(tuple, confusion.tolist()))
    for band in (arm.balanced_accuracy, arm.accuracy, arm.macro_auc, *arm.recall.values()):
        assert 0 <= band.low < band.mean < band.high <= 1
        assert band.mean == pytest.approx(np.mean(band.by_seed))


def test_differences_are_those_of_the_arms_by_seed(six_arms: Fits) -> None:
    found = decide(six_arms)
    for comparison in found.comparisons:
        a, b = found.arms[comparison.arm], found.arms[comparison.against]
        expected = np.subtract(a.balanced_accuracy.by_seed, b.balanced_accuracy.by_seed)
        assert comparison.by_seed == pytest.approx(expected)
        assert comparison.difference == pytest.approx(expected.mean())
        for name, change in comparison.recall.items():
            assert change.difference == pytest.approx(a.recall[name].mean - b.recall[name].mean)


def test_the_same_files_in_any_order_of_rows_give_the_same_bytes(six_arms: Fits, tmp_path: Path) -> None:
    moved: Fits = {}
    for arm, by_seed in six_arms.items():
        for seed in reversed(by_seed):
            number = list(six_arms).index(arm)
            skill = {"real": 1.0, "classical": 1.1, "oversampled": 1.2, "hybrid": 1.8, "placebo": 0.9, "oracle": 2.4}
            rows = np.random.default_rng([number, seed]).permutation(400)
            path = tmp_path / f"{arm}-{seed}.parquet"
            write_predictions(path, {"test": fit(skill[arm], [number, seed]).take(rows)})
            moved.setdefault(arm, {})[seed] = path
    assert json.dumps(decide(moved).to_json()) == json.dumps(decide(six_arms).to_json())


def test_swapping_the_arms_negates_the_verdict(six_arms: Fits) -> None:
    there, back = decide(six_arms), decide(six_arms, treatment="oversampled", control="hybrid")
    a, b = there.comparison("hybrid", "oversampled"), back.comparison("oversampled", "hybrid")
    assert a is not None
    assert b is not None
    assert (a.difference, a.low, a.high, a.p_value) == pytest.approx((-b.difference, -b.high, -b.low, b.p_value))
    assert (there.outcome, back.outcome) == ("helps", "harms")


def test_a_gain_is_told_with_the_oracles(six_arms: Fits) -> None:
    found = decide(six_arms)
    main, oracle = found.comparison("hybrid", "oversampled"), found.comparison("oracle", "oversampled")
    assert main is not None
    assert oracle is not None
    assert found.sentence == (
        "Helps: over 3 seeds, training on hybrid instead of oversampled raised balanced accuracy on 400 test images "
        f"of 200 lesions by {100 * main.difference:.1f} points (95 % interval {100 * main.low:+.1f} to "
        f"{100 * main.high:+.1f}, p < 0.001); the whole interval lies beyond the 2.0 points declared to matter. "
        f"Recall by class, adjusted for 3 classes, in points: mel ({100 * main.recall['mel'].difference:+.1f}), nv "
        f"({100 * main.recall['nv'].difference:+.1f}) gained. "
        f"As many new real images (oracle) gained {100 * oracle.difference:.1f} points (95 % interval "
        f"{100 * oracle.low:+.1f} to {100 * oracle.high:+.1f}, adjusted p < 0.001), of which hybrid reached "
        f"{100 * main.difference / oracle.difference:.0f} %."
    )


def test_the_declared_comparison_is_not_adjusted_and_all_others_are_together(six_arms: Fits) -> None:
    found = decide(six_arms)
    main, *_ = [c for c in found.comparisons if (c.arm, c.against) == ("hybrid", "oversampled")]
    others = [c for c in found.comparisons if c is not main]
    assert main.adjusted_p == main.p_value
    assert [c.adjusted_p for c in others] == pytest.approx(multipletests([c.p_value for c in others], method="holm")[1])


def test_the_classes_of_a_comparison_are_decided_together(tmp_path: Path) -> None:
    found = decide(trial(tmp_path, {"oversampled": 1.2, "hybrid": 1.4}))
    classes = found.comparisons[0].recall.values()
    adjusted = multipletests([c.p_value for c in classes], method="holm")[1]
    assert [c.adjusted_p for c in classes] == pytest.approx(adjusted)
    not_alone = [c for c in classes if c.p_value < 0.05 <= c.adjusted_p]
    assert [c.outcome for c in not_alone] == ["inconclusive"] * 2
    assert all(c.low > 0 for c in not_alone)


def test_a_gain_over_the_placebo_must_survive_the_adjustment(six_arms: Fits) -> None:
    found = decide(six_arms)
    strong = found.comparison("hybrid", "placebo")
    assert strong is not None
    assert "cannot be credited" not in found.sentence
    weak = strong.model_copy(update={"low": 0.001, "p_value": 0.04, "adjusted_p": 0.08})
    comparisons = tuple(weak if c is strong else c for c in found.comparisons)
    told = sentence(found.model_copy(update={"comparisons": comparisons}))
    assert "cannot be credited to what the images show" in told
    assert f"({100 * strong.difference:+.1f} points, 95 % interval +0.1 to " in told
    assert "adjusted p = 0.080)" in told


def test_the_other_tests_of_a_comparison_are_those_of_its_seeds_and_its_classes(six_arms: Fits) -> None:
    main = decide(six_arms).comparisons[0]
    assert main.sign_flip_p == 0.25  # three seeds that agree
    assert main.margin.below + main.margin.within + main.margin.above == pytest.approx(1)
    assert max(main.margin.below, main.margin.above) == pytest.approx(main.equivalence_p)
    assert 0 <= main.classes.i_squared < 1
    assert 0 < main.classes.p_value <= 1


def test_a_loss_is_told(tmp_path: Path) -> None:
    found = decide(trial(tmp_path, {"oversampled": 1.8, "hybrid": 1.2, "oracle": 2.4}))
    assert found.sentence.startswith("Harms: over 3 seeds, training on hybrid instead of oversampled lowered balanced")
    assert " by -" not in found.sentence
    assert "(oracle) gained" in found.sentence
    assert "reached" not in found.sentence


def test_no_answer_is_told_as_no_answer(two_arms: Fits) -> None:
    found = decide(two_arms)
    assert found.outcome == "inconclusive"
    assert found.sentence.startswith(
        "Inconclusive: over 2 seeds, training on hybrid instead of oversampled changed balanced accuracy on 400"
    )
    assert "; differences under 2.0 points were declared not to matter." in found.sentence


def test_arms_with_the_same_predictions_are_equivalent_without_a_negative_zero(tmp_path: Path) -> None:
    fits = trial(tmp_path, {"oversampled": 1.2}, n=(100, 100, 200))
    found = decide({**fits, "hybrid": fits["oversampled"]})
    main = found.comparisons[0]
    assert (found.outcome, main.difference, main.p_value) == ("equivalent", 0, 1)
    text = json.dumps(found.to_json())
    assert "-0.0," not in text
    assert "NaN" not in text
    assert "by +0.0 points" in found.sentence
    assert "all within the 2.0 points declared not to matter" in found.sentence


def test_a_gain_that_the_placebo_shares_is_not_credited_to_the_images(tmp_path: Path) -> None:
    fits = trial(tmp_path, {"oversampled": 1.0, "hybrid": 1.8})
    found = decide({**fits, "placebo": fits["hybrid"]})
    assert found.outcome == "helps"
    assert "The gain cannot be credited to what the images show" in found.sentence
    assert "shuffled labels (+0.0 points" in found.sentence


def test_a_gain_that_may_be_too_small_to_matter_is_told_as_such(six_arms: Fits) -> None:
    found = decide(six_arms, endpoint=ENDPOINT.changed(smallest_difference=0.15))
    assert "the gain may still be smaller than the 15.0 points declared to matter" in found.sentence


def test_an_oracle_that_gains_nothing_is_not_mentioned(tmp_path: Path) -> None:
    found = decide(trial(tmp_path, {"oversampled": 1.2, "hybrid": 1.2, "oracle": 1.2}))
    assert "oracle" not in found.sentence


@pytest.mark.parametrize(
    ("seeds", "generators", "caveat"),
    [
        ((0,), 1, "One seed and one generator were trained: how others would differ is left out of the interval."),
        ((0,), 3, "One seed was trained: how other seeds would differ is left out of the interval."),
        ((0, 1), 0, "Two seeds say little about how others would differ: train three or more."),
        ((0, 1), 1, "train three or more; one generator was trained: how another one would differ is left out of the"),
        ((0, 1, 2), 1, "One generator was trained: how another one would differ is left out of the interval."),
    ],
)
def test_what_the_interval_leaves_out_is_said(
    tmp_path: Path, seeds: tuple[int, ...], generators: int, caveat: str
) -> None:
    found = decide(trial(tmp_path, {"oversampled": 1.2, "hybrid": 1.2}, seeds=seeds), generators=generators)
    assert caveat in found.sentence
    assert f"over {len(seeds)} seed{'s' * (len(seeds) > 1)}, " in found.sentence


def test_one_seed_gives_finite_numbers(tmp_path: Path) -> None:
    found = decide(trial(tmp_path, {"oversampled": 1.2, "hybrid": 1.4}, seeds=(7,)))
    assert found.seeds == (7,)
    numbers = [v for c in found.comparisons for v in (c.low, c.high, c.p_value)]
    assert np.isfinite(numbers).all()


def test_two_photos_of_a_lesion_are_less_evidence_than_two_lesions(tmp_path: Path) -> None:
    fits = trial(tmp_path, {"oversampled": 1.2, "hybrid": 1.2}, seeds=(0,))
    together = decide(fits).arms["hybrid"].balanced_accuracy
    for arm in fits:
        rewrite(fits, arm, 0, lambda found: copied(found, lesion_ids=found.image_ids))
    apart = decide(fits).arms["hybrid"].balanced_accuracy
    assert together.mean == apart.mean
    assert together.high - together.low > 1.1 * (apart.high - apart.low)


def test_validation_can_be_judged_instead(tmp_path: Path) -> None:
    fits: Fits = {}
    for number, arm in enumerate(("oversampled", "hybrid")):
        write_predictions(tmp_path / arm, {"val": fit(1.2, [number])})
        fits[arm] = {0: tmp_path / arm}
    found = decide(fits, endpoint=ENDPOINT.changed(split="val"))
    assert "on 400 val images" in found.sentence
    with pytest.raises(InputError, match="has no row of split 'test'; splits: val"):
        decide(fits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.take(np.arange(1, 400)), "image0000 is in .*oversampled-0.* but not in .*hybrid-1"),
        (
            lambda p: copied(p, image_ids=np.array(["extra", *p.image_ids[1:]])),
            "extra is in .*hybrid-1.* but not in .*oversampled-0",
        ),
        (
            lambda p: copied(p, labels=np.array([1, *p.labels[1:]])),
            "image image0000 has label 'mel', in .*oversampled-0.* it has 'df'",
        ),
        (
            lambda p: copied(p, lesion_ids=np.array(["other", *p.lesion_ids[1:]])),
            "image image0000 has lesion 'other', in .*oversampled-0.* it has 'lesion0'",
        ),
        (lambda p: copied(p, classes=("df", "mel", "bkl")), "has classes df, mel, bkl; .* has df, mel, nv"),
    ],
)
def test_fits_about_other_images_are_refused(two_arms: Fits, change: Change, message: str) -> None:
    path = rewrite(two_arms, "hybrid", 1, change)
    with pytest.raises(InputError, match=message) as refused:
        decide(two_arms)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_a_class_without_test_images_is_named(two_arms: Fits) -> None:
    for arm in two_arms:
        for seed in (0, 1):
            rewrite(two_arms, arm, seed, lambda found: found.take(np.arange(40, 400)))
    with pytest.raises(InputError, match="class 'df' has no image"):
        decide(two_arms)


def test_arms_with_different_seeds_are_refused(two_arms: Fits) -> None:
    del two_arms["hybrid"][1]
    with pytest.raises(InputError, match=r"arm 'hybrid' was fitted with seeds \[0\], arm 'oversampled' with \[0, 1\]"):
        decide(two_arms)


def test_an_arm_without_fits_is_refused() -> None:
    with pytest.raises(InputError, match="arm 'oversampled' has no fit"):
        decide({"oversampled": {}, "hybrid": {}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"treatment": "hybird"}, "the treatment 'hybird' is no arm of this trial; arms: oversampled, hybrid"),
        ({"control": "none"}, "the control 'none' is no arm"),
        ({"treatment": "oversampled"}, "treatment and control are both 'oversampled'"),
        ({"generators": -1}, "generators is -1"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(two_arms: Fits, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decide(two_arms, **changes)
