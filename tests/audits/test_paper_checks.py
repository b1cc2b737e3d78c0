"""Every check: a true paper passes, and one tampered number fails."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dermsynth.audits.paper import TEMPLATE, Finding, Paper, audit_paper, example, example_text
from dermsynth.core.config import parse, read_yaml


def template() -> dict[str, Any]:
    """Return the values of the template: a true paper with everything in it."""
    return copy.deepcopy(read_yaml(example_text(TEMPLATE), TEMPLATE))


def audit(values: dict[str, Any]) -> list[Finding]:
    return audit_paper(parse(Paper, values, "paper"))


def of(values: dict[str, Any], check: str) -> list[tuple[str, str]]:
    return [(finding.severity, finding.where) for finding in audit(values) if finding.check == check]


def table(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return values whose only table is this one."""
    made = {"where": "T", "test": "test", **changes}
    kept = {key: value for key, value in values.items() if key in ("paper", "sets", "sums")}
    return {**kept, "tables": [made]}


def paper(counts: dict[str, int], **changes: Any) -> dict[str, Any]:
    return table({"paper": "x", "sets": {"test": {"counts": counts}}}, **changes)


def test_the_template_holds_nothing_impossible_and_every_kind_of_entry() -> None:
    assert {finding.severity for finding in audit(template())} == {"doubtful", "note"}
    assert set(template()) == set(Paper.model_fields)


def test_class_counts_add_up_to_the_printed_total() -> None:
    values = template()
    values["sets"]["test"]["total"] = 501
    assert ("impossible", "test") in of(values, "sums")


def test_parts_add_up_to_their_whole() -> None:
    values = template()
    values["sets"]["data"]["total"] = 2501
    (found,) = [finding for finding in audit(values) if finding.check == "sums"]
    assert found.steps == (
        "train + test: 2,000 + 500 = 2,500",
        "data: 2,501",
        "the two differ in one digit: a misprint?",
    )


def test_a_part_that_is_larger_than_its_whole_is_impossible() -> None:
    values = {"paper": "x", "sets": {"all": {"total": 10}, "a": {"total": 11}, "b": {}}, "sums": ["all = a + b"]}
    assert of(values, "sums") == [("impossible", "all = a + b")]


def test_an_empty_set_is_no_trouble() -> None:
    sets = {"all": {"counts": {"a": 1, "b": 1}}, "train": {"counts": {"a": 1, "b": 1}}, "test": {}}
    values = table(
        {"paper": "x", "sets": sets, "sums": ["all = train + test"]}, columns=["accuracy"], rows={"A": "0.5"}
    )
    assert audit(values) == []


def test_what_is_not_printed_follows_from_the_sums() -> None:
    sets = {"all": {}, "a": {"counts": {"mel": 1, "nv": 2}}, "b": {"counts": {"mel": 3, "nv": 4}}, "c": {"total": 5}}
    sets |= {"more": {"total": 16}}
    values = {"paper": "x", "sets": sets, "sums": ["more = all + c", "all = a + b"]}
    assert of(values, "sums") == [("impossible", "more = all + c")]
    sets["more"]["total"] = 15
    assert of(values, "sums") == []


@pytest.mark.parametrize(("mel", "findings"), [(50, 0), (54, 0), (90, 1)])
def test_a_part_has_the_class_mix_of_its_whole(mel: int, findings: int) -> None:
    sets = {"all": {"counts": {"mel": 500, "nv": 1500}}, "test": {"counts": {"mel": mel, "nv": 200 - mel}}, "train": {}}
    assert len(of({"paper": "x", "sets": sets, "sums": ["all = train + test"]}, "class mix")) == findings


def test_a_test_set_with_synthetic_images_is_doubtful() -> None:
    sets = {"real": {"total": 80}, "fake": {"total": 20, "synthetic": True}, "test": {}}
    values = table(
        {"paper": "x", "sets": sets, "sums": ["test = real + fake"]}, columns=["accuracy"], rows={"A": "0.900"}
    )
    (found,) = [finding for finding in audit(values) if finding.check == "synthetic test images"]
    assert found.steps[1].endswith("at least (90 - 20) / 80 = 0.8750, at most 1.0000")
    values["tables"][0]["test"] = "real"
    assert of(values, "synthetic test images") == []


@pytest.mark.parametrize(("accuracy", "findings"), [("0.8674", 1), ("0.8667", 0), ("0.8666", 0), ("0.867", 0)])
def test_an_accuracy_is_a_fraction_of_the_test_images(accuracy: str, findings: int) -> None:
    assert len(of(paper({"b": 360, "m": 300}, columns=["accuracy"], rows={"A": accuracy}), "k/n")) == findings


def test_the_mean_of_runs_has_a_finer_grid() -> None:
    values = paper({"b": 360, "m": 300}, columns=["accuracy"], rows={"A": "0.8674"}, runs=2)
    assert of(values, "k/n") == []  # 1145 / 1320


def test_a_class_recall_is_a_fraction_of_its_images() -> None:
    rows = {"A": "0.708", "B": "0.700"}
    values = paper({"DF": 24, "NV": 500, "MEL": 90}, columns=["DF recall"], rows=rows)
    (found,) = [finding for finding in audit(values) if finding.check == "k/n"]
    assert [step.split(":")[0] for step in found.steps] == ["T, B"]


COLUMNS = ["precision", "recall", "specificity", "accuracy"]  # of TP 74, FN 26, FP 27, TN 373


def test_metrics_give_their_confusion_matrix() -> None:
    values = paper({"mel": 100, "nv": 400}, positive="mel", columns=COLUMNS, rows={"A": "0.733 0.740 0.933 0.894"})
    (found,) = [finding for finding in audit(values) if finding.check == "confusion matrix"]
    assert (found.severity, found.steps) == ("note", ("T, A: exactly one: TP 74, FN 26, FP 27, TN 373",))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("0.740 0.733 0.935 0.894", "positive = mel, actual and predicted exchanged: exactly one: TP 74, FN 26"),
        ("0.935 0.933 0.740 0.894", "positive = nv: exactly one: TP 373, FN 27, FP 26, TN 74"),
    ],
)
def test_exchanged_labels_are_recognised(row: str, told: str) -> None:
    values = paper({"mel": 100, "nv": 400}, positive="mel", columns=COLUMNS, rows={"A": row})
    (found,) = [finding for finding in audit(values) if finding.check == "confusion matrix"]
    assert found.severity == "impossible"
    assert told in found.steps[1]


def test_a_silent_paper_may_mean_either_class() -> None:
    rows = {"A": "0.935 0.933 0.740 0.894"}
    values = paper({"mel": 100, "nv": 400}, positive="either", columns=COLUMNS, rows=rows)
    assert of(values, "confusion matrix") == [("note", "T")]


def test_metrics_without_any_matrix_are_impossible() -> None:
    values = paper({"mel": 100, "nv": 400}, positive="mel", columns=COLUMNS, rows={"A": "0.733 0.740 0.933 0.924"})
    assert [severity for severity, _ in of(values, "confusion matrix")] == ["impossible"]


def test_metrics_of_other_images_imply_another_prevalence() -> None:
    row = "0.935 0.740 0.933"  # precision 74/79 = .937 needs far more than 100 of 500 positives
    values = paper({"mel": 100, "nv": 400, "df": 10}, positive="mel", columns=COLUMNS[:3], rows={"A": row})
    assert of(values, "implied prevalence") == [("impossible", "test")]
    assert of(values, "confusion matrix") == []  # not said twice
    values["tables"][0]["rows"]["A"] = "0.725 0.740 0.932"
    assert of(values, "implied prevalence") == []


def test_rows_of_one_unknown_test_set_imply_one_prevalence() -> None:
    rows = {"A": "0.733 0.740 0.9325", "B": "0.717 0.660 0.935"}
    values = table(template(), positive="mel", columns=COLUMNS[:3], rows=rows)
    values["sets"]["evaluation"], values["tables"][0]["test"] = {}, "evaluation"
    values["sums"] = ["train = evaluation + rest"]
    values["sets"]["rest"] = {}
    assert of(values, "implied prevalence") == []
    values["tables"][0]["rows"]["B"] = "0.917 0.660 0.935"
    assert of(values, "implied prevalence") == [("impossible", "evaluation")]


@pytest.mark.parametrize(
    ("f1", "severity"), [("0.85", []), ("0.84", []), ("0.91", ["impossible"]), ("0.80", ["impossible"])]
)
def test_f1_follows_from_precision_and_recall(f1: str, severity: list[str]) -> None:
    values = paper(
        {"mel": 1, "nv": 1}, positive="mel", columns=["precision", "recall", "f1"], rows={"A": f"0.94 0.77 {f1}"}
    )
    assert [found for found, _ in of(values, "F1 identity")] == severity


@pytest.mark.parametrize(("f1", "severity"), [("0.91", ["impossible"]), ("0.70", [])])
def test_a_macro_f1_is_at_most_that_of_macro_precision_and_recall(f1: str, severity: list[str]) -> None:
    columns = ["macro precision", "macro recall", "macro f1"]
    values = paper({"mel": 1, "nv": 1}, columns=columns, rows={"A": f"0.94 0.77 {f1}"})
    assert [found for found, _ in of(values, "F1 identity")] == severity


CLASSES = ["a precision", "a recall", "b precision", "b recall", "c precision", "c recall", "accuracy"]


@pytest.mark.parametrize(
    ("row", "findings"),
    [
        ("0.850 0.850 0.538 0.467 0.667 0.800 0.754", 0),
        ("0.850 0.850 0.538 0.467 0.667 0.800 0.781", 1),
        ("0.350 0.850 0.238 0.467 0.667 0.800 0.754", 1),
    ],
)
def test_accuracy_follows_from_recalls_and_predictions_add_up(row: str, findings: int) -> None:
    # actual a, b, c = 40, 15, 10 images; 34, 7, 8 right; 40, 13, 12 predicted
    values = paper({"a": 40, "b": 15, "c": 10}, columns=CLASSES, rows={"A": row})
    assert len(of(values, "accuracy from recalls")) == findings


@pytest.mark.parametrize(("balanced", "severity"), [("0.706", []), ("0.754", ["impossible"])])
def test_balanced_accuracy_is_the_mean_recall(balanced: str, severity: list[str]) -> None:
    columns = ["a recall", "b recall", "c recall", "balanced accuracy"]
    rows = {"A": f"0.850 0.467 0.800 {balanced}"}
    values = paper({"a": 40, "b": 15, "c": 10}, columns=columns, rows=rows)
    assert [found for found, _ in of(values, "averages")] == severity


def test_a_printed_matrix_agrees_with_its_metrics_and_class_counts() -> None:
    values = template()
    assert of(values, "printed matrix") == []
    values["matrices"][0]["counts"] = [[75, 25], [27, 373]]
    (found,) = [finding for finding in audit(values) if finding.check == "printed matrix"]
    assert "Table 2, hybrid: accuracy 0.894; from the matrix 448/500 = 0.8960" in found.steps


def test_a_printed_matrix_is_only_held_against_its_own_test_set() -> None:
    values = template()
    values["tables"][1] |= {"test": "train", "rows": {"hybrid": "1200 0.9850 0.990 0.989"}}
    assert of(values, "printed matrix") == []


def test_a_matrix_with_its_axes_exchanged_is_recognised() -> None:
    values = template()
    values["matrices"][0]["orientation"] = "rows are predicted"
    steps = [step for finding in audit(values) if finding.check == "printed matrix" for step in finding.steps]
    assert "the other sums fit: actual and predicted are exchanged" in steps


def test_one_arm_has_one_value() -> None:
    values = template()
    values["tables"][1]["rows"]["hybrid"] = "1200 0.760 0.933 0.898"
    assert ("impossible", "hybrid") in of(values, "repeated cells")
    values["tables"][1]["test"] = "train"  # on other images it may have another
    assert of(values, "repeated cells") == []


def test_one_quantity_is_stated_once() -> None:
    values = template()
    assert of(values, "repeated cells") == []
    values["stated"]["learning rate"]["Table 1"] = "0.001"
    assert of(values, "repeated cells") == [("impossible", "learning rate")]


def test_one_metric_under_the_name_of_another_is_recognised() -> None:
    values = template()
    values["tables"][0]["rows"] |= {
        "x": "0.894 0.717 0.660 0.935 0.688 0.925",
        "hybrid": "0.894 0.733 0.740 0.933 - 0.894",
    }
    assert of(values, "relabelled cells") == []  # one cell may be chance
    values["tables"][0]["rows"]["real"] = "0.880 0.717 0.660 0.935 0.688 0.894"
    assert of(values, "relabelled cells") == [("doubtful", "Figure 4")]


@pytest.mark.parametrize(("row", "findings"), [("0.8812 0.8765 0.9312", 0), ("0.8734 0.8911 0.9123", 1)])
def test_copied_digits_are_doubtful(row: str, findings: int) -> None:
    rows = {"A": "0.8734 0.8911 0.9222", "B": row}
    values = paper({"a": 4000, "b": 6000}, columns=["accuracy", "a recall", "auc"], rows=rows)
    assert len(of(values, "copied cells")) == findings


def test_fractions_have_their_stated_denominator_or_the_right_one_is_named() -> None:
    values = template()
    assert of(values, "denominator") == []
    values["shares"][1]["added"] = {100: "5.88%", 800: "33.33 %"}
    (found,) = [finding for finding in audit(values) if finding.check == "denominator"]
    assert "that is nv of 'train': 1,600" in found.steps


def test_a_fraction_of_the_classes_is_checked() -> None:
    values = template()
    values["shares"][0]["classes"] = {"mel": "21 %"}
    assert of(values, "denominator") == [("impossible", "text: share of melanomas")]


def compared(base: str, arm: str, metric: str = "accuracy", n: int = 1000) -> Finding:
    values = paper({"a": n, "b": n}, columns=[metric], rows={"base": base, "arm": arm})
    values["comparisons"] = [{"where": "text", "metrics": [metric], "baseline": "base", "arms": ["arm"]}]
    (found,) = [finding for finding in audit(values) if finding.check == "comparison"]
    return found


@pytest.mark.parametrize(
    ("base", "arm", "metric", "severity", "told"),
    [
        ("0.800", "0.850", "accuracy", "note", "The numbers agree with the claim."),
        ("0.800", "0.810", "accuracy", "doubtful", "accuracy: the gain is within the noise of the test set."),
        ("0.800", "0.790", "accuracy", "doubtful", "accuracy: claimed better, printed as worse."),
        ("0.800", "0.800", "accuracy", "doubtful", "accuracy: claimed better, printed as no better."),
        ("41.88", "44.41", "fid", "doubtful", "fid: claimed better, printed as worse."),
        ("44.41", "41.88", "fid", "note", "The numbers agree with the claim."),
    ],
)
def test_a_claimed_gain_has_its_sign_and_more_than_noise(
    base: str, arm: str, metric: str, severity: str, told: str
) -> None:
    found = compared(base, arm, metric)
    assert (found.severity, found.finding) == (severity, told)


def test_the_step_of_a_comparison_shows_its_standard_error() -> None:
    # sqrt(.8 × .2 / 2000 + .81 × .19 / 2000) = .01252; z = .01 / .01252
    (step,) = compared("0.800", "0.810").steps
    assert "standard error 0.0125, z = 0.80, 95 % half-width 2.5 points" in step
    assert "p = 1.9e-06 at best, with 20 more right and none more wrong" in step


@pytest.mark.parametrize(("best", "severity"), [("0.810", "doubtful"), ("0.890", "note")])
def test_the_best_of_many_is_held_against_noise(best: str, severity: str) -> None:
    rows = {"base": "0.800"} | {f"arm {at}": f"0.{790 + 4 * (at % 6)}" for at in range(20)} | {"best": best}
    values = paper({"a": 1000, "b": 1000}, columns=["accuracy"], rows=rows)
    values["comparisons"] = [{"where": "text", "metrics": ["accuracy"], "baseline": "base"}]
    (found,) = [finding for finding in audit(values) if finding.check == "comparison"]
    assert found.severity == severity


@pytest.mark.parametrize(("test", "findings"), [("0.8900", 0), ("0.8166", 1)])
def test_test_accuracy_is_near_that_of_validation(test: str, findings: int) -> None:
    values = paper({"a": 360, "b": 300}, columns=["accuracy", "val acc"], rows={"A": f"{test} 0.9100"})
    assert len(of(values, "validation against test")) == findings


@pytest.mark.parametrize(("slope", "told"), [(0, "No metric follows what was varied."), (4, "accuracy rises with n.")])
def test_a_trend_is_told_from_none(slope: int, told: str) -> None:
    rows = {f"arm {at}": f"{at} 0.{800 + slope * at + (at * 7) % 5}" for at in range(12)}
    values = paper({"a": 1000, "b": 1000}, columns=["factor n", "accuracy"], rows=rows)
    (found,) = [finding for finding in audit(values) if finding.check == "trend"]
    assert (found.severity, found.finding) == ("note", told)


def test_rare_classes_are_noted() -> None:
    values = paper({"DF": 24, "NV": 500}, columns=["DF recall", "NV recall"], rows={"A": "0.708 0.900"})
    (found,) = [finding for finding in audit(values) if finding.check == "few test images"]
    assert found.steps == ("DF, n = 24: 1.96 × sqrt(0.7080 × 0.2920 / 24) = ± 18.2 points",)


def test_per_cent_columns_are_read_as_shares() -> None:
    values = paper({"b": 360, "m": 300}, columns=["accuracy"], rows={"A": "86.74", "B": "81.66"})
    (found,) = [finding for finding in audit(values) if finding.check == "k/n"]
    assert [step.split(":")[0] for step in found.steps] == ["T, A"]


def test_the_worst_comes_first() -> None:
    severities = [finding.severity for finding in audit_paper(example("003"))]
    assert severities == sorted(severities, key=["impossible", "doubtful", "note"].index)
