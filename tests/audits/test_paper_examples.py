"""Every defect of the papers that numbers can show is found from the committed inputs."""

from __future__ import annotations

from functools import cache

import pytest

from dermsynth.audits.paper import TEMPLATE, Finding, audit_paper, example, example_names


@cache
def audited(name: str) -> tuple[Finding, ...]:
    return tuple(audit_paper(example(name)))


def found(name: str, check: str, severity: str, *texts: str) -> None:
    """Assert that one finding of a check holds all texts."""
    findings = [finding for finding in audited(name) if (finding.check, finding.severity) == (check, severity)]
    said = [" | ".join((finding.where, finding.finding, *finding.steps)) for finding in findings]
    assert any(all(text in whole for text in texts) for whole in said), said


def test_the_examples_are_the_papers_and_the_template_is_none() -> None:
    assert example_names() == ("001", "002", "003", "skingenbench")
    assert {finding.severity for finding in audited(TEMPLATE)} <= {"doubtful", "note"}


# Paper 001


def test_001_tests_on_synthetic_images() -> None:
    found("001", "synthetic test images", "doubtful", "204 of 864", "23.6 %")


@pytest.mark.parametrize("bound", ["CNN + GAN: accuracy 0.8634", "0.8212", "0.8909", "0.8924"])
def test_001_may_be_worse_on_real_images(bound: str) -> None:
    found("001", "synthetic test images", "doubtful", bound)


@pytest.mark.parametrize(
    ("arm", "matrix", "recall_of_the_others"),
    [
        ("ResNet-18", "TP 426, FN 34, FP 37, TN 367", "367/404 = 0.9084"),
        ("MobileNet", "TP 417, FN 43, FP 29, TN 375", "375/404 = 0.9282"),
        ("CNN", "TP 379, FN 81, FP 37, TN 367", "367/404 = 0.9084"),
    ],
)
def test_001_has_its_confusion_matrices_transposed(arm: str, matrix: str, recall_of_the_others: str) -> None:
    exchanged = f"positive = benign, actual and predicted exchanged: exactly one: {matrix}"
    found("001", "confusion matrix", "impossible", arm, exchanged, f"of the others = {recall_of_the_others}")


def test_001_prints_precision_as_sensitivity_and_the_reverse() -> None:
    found("001", "confusion matrix", "impossible", "printed recall 0.9201 is precision = 426/463")
    found("001", "confusion matrix", "impossible", "printed precision 0.9261 is recall = 426/460")
    found("001", "confusion matrix", "impossible", "printed specificity 0.9152 is negative predictive value = 367/401")


def test_001_states_two_accuracies_of_the_cnn_and_the_sign_of_its_gain_depends_on_them() -> None:
    found("001", "repeated cells", "impossible", "'CNN'", "86.00%", "0.8674")
    found("001", "comparison", "doubtful", "CNN + GAN", "+0.0034", "-0.0040", "better or worse depending")


def test_001_never_improves_its_validation_accuracy() -> None:
    found("001", "comparison", "doubtful", "validation accuracy: 0.8700", "claimed better, printed as worse")
    for arm in ("MobileNet", "ResNet-18"):
        found("001", "comparison", "doubtful", f"{arm} + GAN against {arm}", "claimed better, printed as no better")


def test_001_has_a_baseline_whose_test_contradicts_its_validation() -> None:
    found("001", "validation against test", "doubtful", "Table 4, ResNet-18", "0.9100", "0.8166")


@pytest.mark.parametrize(("accuracy", "instead"), [("0.8674", "2,860/3,297"), ("90.81%", "2,994/3,297")])
def test_001_has_accuracies_that_are_no_fraction_of_660(accuracy: str, instead: str) -> None:
    found("001", "k/n", "impossible", accuracy, "/660", instead)


def test_001_changes_the_label_of_4_images() -> None:
    found("001", "sums", "impossible", "4 images change their class", "benign -4, malignant +4")


@pytest.mark.parametrize(("arm", "z"), [("CNN", "z = -0.23"), ("MobileNet", "z = 0.59")])
def test_001_has_gains_within_noise(arm: str, z: str) -> None:
    found("001", "comparison", "doubtful", f"{arm} + GAN", z)


# Paper 002


def test_002_names_a_best_of_42_that_noise_gives() -> None:
    found("002", "comparison", "doubtful", "the best of 42 is no better", "+0.0090", "expected at 2.18")


def test_002_has_classes_that_are_too_rare() -> None:
    found("002", "few test images", "note", "DF, n = 24", "18.2 points", "VASC, n = 25", "SCC, n = 63")


def test_002_shows_melanoma_recall_rise_with_the_number_of_images_but_no_effect_of_alpha() -> None:
    found("002", "trend", "note", "MEL recall rises with images, accuracy does not", "r = 0.76 over 32 rows")
    found("002", "trend", "note", "accuracy with alpha", "0.8561 (0.125), 0.8541 (0.25), 0.8569 (0.5), 0.8560 (1)")


def test_002_has_a_second_denominator() -> None:
    found("002", "denominator", "impossible", "Table 3", "8 of 8", "NV + MEL of 'train': 13,918", "= 0.2567")
    assert not any(finding.where.startswith("Table 2") for finding in audited("002") if finding.check == "denominator")


def test_002_has_accuracies_that_follow_from_its_recalls() -> None:
    assert not any(finding.check == "accuracy from recalls" for finding in audited("002"))


@pytest.mark.parametrize(
    "row",
    ["cyclegan-0.441: accuracy 0.864, balanced accuracy 0.7769, macro F1 0.8020", "ISIC-0: accuracy 0.856, balanced "],
)
def test_002_implies_its_balanced_accuracies(row: str) -> None:
    found("002", "averages", "note", row)


def test_002_has_recalls_that_are_no_fraction_of_its_melanomas() -> None:
    found("002", "k/n", "impossible", "MEL recall 0.724", "327/452 = 0.72345, 328/452 = 0.72566")


# Paper 003


def test_003_has_a_headline_that_its_confusion_matrix_contradicts() -> None:
    found("003", "printed matrix", "impossible", "Table 4, final: accuracy 0.935; from the matrix 733/851 = 0.8613")


def test_003_has_relabelled_numbers() -> None:
    found("003", "relabelled cells", "doubtful", "accuracy of the confusion matrix", "printed as auc 0.861")
    found("003", "relabelled cells", "doubtful", "precision of the confusion matrix", "printed as accuracy 0.903")


@pytest.mark.parametrize(("table", "row"), [("Table 2", "0.8465"), ("Table 3", "0.8872"), ("Table 4", "0.8872")])
def test_003_has_f1s_that_do_not_follow(table: str, row: str) -> None:
    found("003", "F1 identity", "impossible", table, row)


@pytest.mark.parametrize("prevalence", ["0.3991", "0.2329", "0.4541", "0.2248", "0.3043", "0.2758"])
def test_003_implies_six_prevalences_of_one_test_set(prevalence: str) -> None:
    found("003", "implied prevalence", "impossible", f"= {prevalence}", "6 rows", "no one prevalence", "= 0.5535")


def test_003_reports_its_final_model_twice() -> None:
    found("003", "repeated cells", "impossible", "'final'", "recall: 0.839", "0.77 (Table 2)", "0.84 (Table 4)")
    found("003", "repeated cells", "impossible", "'final'", "0.935 (Table 2), 0.915 (Table 3)")


@pytest.mark.parametrize("metric", ["precision", "recall", "f1", "auc"])
def test_003_claims_that_a_lower_rate_helps_where_it_harms(metric: str) -> None:
    found("003", "comparison", "doubtful", f"{metric}: claimed better, printed as worse")


def test_003_states_two_settings_twice() -> None:
    found("003", "repeated cells", "impossible", "beta1 of Adam", "0.5", "0.2")
    found("003", "repeated cells", "impossible", "batch size")


def test_003_claims_the_lower_fid_of_the_higher_one() -> None:
    found("003", "comparison", "doubtful", "DCGAN against LAPGAN", "44.41", "41.88", "printed as worse")


def test_003_misprints_the_size_of_its_data() -> None:
    found("003", "sums", "impossible", "3,297", "3,597", "differ in one digit")


def test_003_has_a_test_set_of_another_class_mix() -> None:
    found("003", "class mix", "doubtful", "380 of 851, 44.7 %", "6.8 standard errors")


# SkinGenBench


@pytest.mark.parametrize("arm", ["ViT-B/16", "ResNet-50", "VGG-16", "EfficientNet-B0", "ResNet-18"])
def test_skingenbench_implies_more_melanomas_than_its_data_have(arm: str) -> None:
    found("skingenbench", "implied prevalence", "doubtful", f"A2, {arm}, MEL", "1,563 of 14,116 are MEL = 0.1107")


def test_skingenbench_fits_about_1500_added_melanomas() -> None:
    found("skingenbench", "implied prevalence", "doubtful", "5 rows of one test set: all lie in", "x = 1,48")


def test_skingenbench_prints_class_shares_of_no_total() -> None:
    found("skingenbench", "denominator", "impossible", "1,563 / 14,116 = 0.1107; printed 11.03%", "466 / 14,116")
