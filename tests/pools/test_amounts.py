"""How many images to draw, and of what they are a share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.core.errors import ConfigError
from dermsynth.pools.amounts import fill, prevalence, ratio, share

REAL = {"df": 20, "mel": 100, "nv": 300}
PAPER_002 = {"NV": 10300, "MEL": 3618, "BCC": 2658, "BKL": 2099, "AK": 694, "SCC": 502, "VASC": 202, "DF": 191}


def test_filling_brings_smaller_classes_up() -> None:
    assert fill(REAL).counts == {"df": 280, "mel": 200, "nv": 0}
    assert fill(REAL, 50).counts == {"df": 30, "mel": 0, "nv": 0}


@pytest.mark.parametrize(
    ("number", "printed"), [(2000, 0.0898), (4000, 0.1649), (8000, 0.2830), (16000, 0.4412), (24000, 0.5422)]
)
def test_the_fractions_of_paper_002_experiment_1_are_shares_of_all_classes(number: int, printed: float) -> None:
    exact = number / (20264 + number)
    found = share(PAPER_002, exact)
    assert sum(found.counts.values()) == number
    assert round(exact, 4) == printed
    assert "of 20,264 real training images of all classes and these together" in found.told


@pytest.mark.parametrize(("number", "printed"), [(500, 0.035), (2000, 0.1256), (7000, 0.335)])
def test_those_of_experiment_2_are_shares_of_two_classes(number: int, printed: float) -> None:
    found = share(PAPER_002, number / (13918 + number), ["NV", "MEL"])
    assert sum(found.counts.values()) == number
    assert abs(number / (13918 + number) - printed) < 0.0006
    assert "of 13,918 real training images of NV, MEL and these together" in found.told


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 5000), min_size=1),
    st.floats(0.01, 0.95),
)
def test_no_image_is_lost_in_sharing_out(real: dict[str, int], wanted: float) -> None:
    total = sum(real.values())
    by_share, by_ratio = share(real, wanted).counts, ratio(real, wanted).counts
    assert sum(by_share.values()) == round(total * wanted / (1 - wanted))
    assert sum(by_ratio.values()) == round(total * wanted)
    for name, count in by_ratio.items():
        assert abs(count - round(total * wanted) * real[name] / total) < 1


def test_a_prevalence_is_reached_and_other_classes_get_nothing() -> None:
    found = prevalence(REAL, {"mel": 0.4, "df": 0.1})
    total = sum(REAL.values()) + sum(found.counts.values())
    assert found.counts["nv"] == 0
    assert (REAL["mel"] + found.counts["mel"]) / total == pytest.approx(0.4, abs=0.002)
    assert (REAL["df"] + found.counts["df"]) / total == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fill(REAL, 20), "no class has fewer than 20 real training images"),
        (lambda: share(REAL, 1.0), "share 1: expected a number between 0 and 1"),
        (lambda: share(REAL, 0.5, ["mle"]), "unknown class 'mle'; did you mean 'mel'?"),
        (lambda: ratio(REAL, 0), "ratio 0: expected a number above 0"),
        (lambda: prevalence(REAL, {"mel": 0.5, "nv": 0.5}), "leave nothing for other classes"),
        (lambda: prevalence(REAL, {"mel": 0.1}), "class 'mel' has 100 real images, more than"),
        (lambda: prevalence(REAL, {"mel": 1.5}), "prevalence mel=1.5: expected a number between 0 and 1"),
    ],
)
def test_amounts_that_make_no_sense_are_refused(call: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        call()  # type: ignore[operator]
