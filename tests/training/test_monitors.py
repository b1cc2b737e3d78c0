"""Every rule fires on its planted failure and is silent on a healthy run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsynth.algorithms import augment
from dermsynth.training import monitors
from dermsynth.training.monitors import Finding, findings

Looks = list[dict[str, float]]
Lines = list[dict[str, float]]

REAL = {"kernel_floor": -0.006, "real_diversity": 19.48, "real_coverage": 0.963}
NAMES = ("kernel_distance", "diversity", "coverage", "change")
# A DCGAN on HAM10000 at 32 px, a look every 5,000 images, and the gap of its scores; nothing is made up here.
HEALTHY = [
    (0.790, 13.64, 0.292, None),
    (0.725, 10.40, 0.366, 19.76),
    (0.455, 16.68, 0.502, 17.90),
    (0.380, 18.24, 0.535, 10.70),
    (0.234, 17.45, 0.580, 13.97),
    (0.175, 17.65, 0.716, 10.53),
    (0.193, 17.75, 0.720, 7.30),
    (0.174, 18.11, 0.745, 6.71),
    (0.141, 18.28, 0.749, 5.99),
    (0.119, 18.27, 0.716, 5.36),
    (0.111, 18.23, 0.757, 4.58),
    (0.096, 18.16, 0.753, 3.94),
]
HEALTHY_GAP = (4.23, 3.92, 2.10, 1.88, 1.70, 1.39, 1.24, 1.32, 1.37, 1.17, 1.02, 0.92)
# The same with 50 images per class: 35 held-out ones leave the kernel distance much to chance.
FEW = [
    (0.940, 16.3, 0.66, None),
    (0.534, 19.1, 0.77, 21.14),
    (0.320, 20.2, 0.86, 21.72),
    (0.178, 19.3, 0.91, 13.72),
    (0.112, 18.9, 0.97, 9.30),
    (0.275, 18.7, 1.00, 8.22),
    (0.188, 18.3, 1.00, 7.50),
    (0.194, 19.1, 0.97, 6.96),
    (0.223, 19.3, 0.94, 6.78),
]
# A run of 1,000 images in all: the generator has hardly begun.
BEGUN = [(327.8, 1.085, 0.0, None), (133.8, 1.834, 0.0, 1.42), (48.8, 2.323, 0.0, 2.91)]
# StyleGAN2 of width 8: smooth images that are near real ones as a whole and cover few of them, but are varied.
SMOOTH = [(1.934, 31.7, 0.0, None), (0.766, 22.8, 0.01, 26.8), (0.600, 18.9, 0.07, 12.9), (0.605, 18.3, 0.1, 9.3)]
# Progressive GAN of width 8: new layers take the images away from real ones for a while.
GROWN = [
    (140.8, 36.4, 0.0, None),
    (21.68, 18.1, 0.0, 81.4),
    (118.7, 11.1, 0.0, 54.0),
    (18.48, 7.6, 0.0, 43.5),
    (7.64, 7.7, 0.01, 14.9),
    (3.36, 8.6, 0.04, 20.6),
]
# A generator held back (a fiftieth of the learning rate) against a hastened discriminator, and one that cannot move.
HELD_BACK = [(25.0, 3.90, 0.0, None), (25.9, 4.05, 0.0, 3.62), (27.9, 4.09, 0.0, 4.27), (29.4, 3.95, 0.0, 3.55)]
HELD_BACK_GAP = (12.96, 15.34, 16.60, 17.79)
UNMOVED = [(25.53, 3.90, 0.0, None), (25.46, 3.89, 0.0, 0.63), (25.46, 3.89, 0.0, 0.12), (25.47, 3.89, 0.0, 0.08)]


def looks_of(rows: Sequence[tuple[float | None, ...]], every: int = 5000) -> Looks:
    return [
        {
            "images_seen": every * (i + 1),
            **{name: value for name, value in zip(NAMES, row, strict=True) if value is not None},
            **(REAL if row[0] is not None else {}),
        }
        for i, row in enumerate(rows)
    ]


def lines_of(gaps: Sequence[float], every: int = 5000, per_look: int = 10, **more: Sequence[float]) -> Lines:
    """Return lines between looks; the gap and what else is given stays the same from look to look."""
    return [
        {
            "images_seen": every * i + every * (j + 1) // per_look,
            "loss_generator": 1.0,
            "score_real": gap / 2,
            "score_fake": -gap / 2,
            **{name: values[i] for name, values in more.items()},
        }
        for i, gap in enumerate(gaps)
        for j in range(per_look)
    ]


def told(
    history: Lines, looks: Looks, *, logits: bool = True, settings: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Return what is told over a whole run, look by look."""
    return [
        finding
        for n in range(1, len(looks) + 1)
        for finding in findings(history, looks[:n], logits=logits, settings=settings)
    ]


def kinds(found: Sequence[Finding]) -> list[tuple[str, int]]:
    return [(finding.kind, finding.images_seen) for finding in found]


@pytest.mark.parametrize(
    ("gaps", "rows", "every"),
    [
        (HEALTHY_GAP, HEALTHY, 5000),
        ((4.9, 2.8, 2.3, 2.3, 2.5, 2.7, 2.9, 3.2, 3.4), FEW, 8333),
        ((2.0, 3.0, 3.0), BEGUN, 333),
        ((3.2, 2.9, 1.7, 0.7), SMOOTH, 1333),
        ((0.1, -0.3, -0.6, 1.4, 1.0, 0.0), GROWN, 1666),
    ],
    ids=["healthy", "few images", "hardly begun", "smooth", "grown"],
)
def test_real_runs_without_a_failure_are_told_nothing(
    gaps: Sequence[float], rows: Sequence[tuple[float | None, ...]], every: int
) -> None:
    assert told(lines_of(gaps, every), looks_of(rows, every)) == []


def test_a_run_without_looks_is_told_nothing() -> None:
    assert findings(lines_of((50.0,)), [], logits=True) == []


def test_a_generator_that_comes_down_to_one_picture_collapsed() -> None:
    looks = looks_of(HEALTHY[:6])
    looks[5] |= {"diversity": 0.3 * 19.48, "kernel_distance": 4.7, "coverage": 0.02}
    found = told(lines_of(HEALTHY_GAP[:6]), looks)
    assert kinds(found) == [("mode collapse", 30_000), ("getting worse", 30_000)]
    assert found[0].message.startswith("mode collapse: images of a class differ 0.30 times as much as real ones")


def test_a_generator_that_comes_down_to_some_pictures_collapsed() -> None:
    # Twenty real images drawn in turns: their diversity is that of real ones, their coverage 0.22.
    looks = looks_of(HEALTHY[:8])
    looks[7] |= {"diversity": 19.3, "kernel_distance": 0.42, "coverage": 0.22}
    (finding,) = told(lines_of(HEALTHY_GAP[:8]), looks)
    assert kinds([finding]) == [("mode collapse", 40_000)]
    assert "come near 22% of the real ones after 72%" in finding.message


def test_a_generator_that_draws_one_picture_from_the_start_collapsed() -> None:
    looks = looks_of([(8.0, 5.0, 0.02, None), (7.0, 5.0, 0.02, 25.0), (7.5, 5.0, 0.02, 25.0)])
    assert kinds(told(lines_of((2.0, 2.0, 2.0)), looks)) == [("mode collapse", 10_000)]


def test_a_generator_whose_images_stay_alike_far_from_real_ones_is_told_so_after_some_looks() -> None:
    # WGAN-GP of width 8 after 75 steps looks like this too, so the advice allows for it.
    looks = looks_of([(36.7, 3.1, 0.01, None), *[(33.0, 3.1, 0.01, 5.0)] * 4])
    (finding,) = told(lines_of((2.0,) * 5), looks)
    assert kinds([finding]) == [("mode collapse", 20_000)]
    assert "unless it has hardly begun and needs a larger --kimg, try a lower --set learning_rate=…" in finding.message


def test_images_unlike_any_real_one_are_not_called_collapsed() -> None:
    # A perceptron's noise: no real image is near, yet no two of its images are alike.
    looks = looks_of([(477.5, 12.4, 0.0, None), (383.5, 12.6, 0.0, 67.0), (341.1, 12.5, 0.0, 52.9)])
    assert told(lines_of((9.0, 5.9, 5.8)), looks) == []


def test_a_discriminator_that_is_certain_of_all_images_overpowers() -> None:
    # That its generator's images are all alike is the consequence, and not told beside it.
    (finding,) = told(lines_of(HELD_BACK_GAP), looks_of(HELD_BACK))
    assert kinds([finding]) == [("discriminator overpowering", 5000)]
    assert "by 13 logits" in finding.message


def test_a_gap_that_lasts_a_few_lines_is_no_failure() -> None:
    history = lines_of(HEALTHY_GAP)
    for line in history[50:54]:
        line |= {"score_real": 20.0, "score_fake": -20.0}
    assert told(history, looks_of(HEALTHY)) == []


def test_a_gap_of_scores_that_are_no_logits_has_no_scale() -> None:
    # A critic's scores differ by the Wasserstein distance, which may be any number.
    found = told(lines_of([40.0] * 12), looks_of(HEALTHY), logits=False)
    assert found == []


def test_ada_that_can_do_no_more_is_overpowered() -> None:
    history = lines_of(HEALTHY_GAP[:3], ada_sign=(0.7, 0.95, 0.95), ada_p=(0.4, 0.79, 0.8))
    (finding,) = told(history, looks_of(HEALTHY[:3]), logits=False)
    assert kinds([finding]) == [("discriminator overpowering", 15_000)]
    assert "r_t 0.95" in finding.message
    assert "augment" not in finding.message


def test_ada_that_holds_its_target_at_its_largest_p_is_no_failure() -> None:
    history = lines_of(HEALTHY_GAP[:3], ada_sign=(0.7, 0.65, 0.62), ada_p=(0.4, 0.8, 0.8))
    assert told(history, looks_of(HEALTHY[:3])) == []


def test_the_largest_p_is_that_of_ada() -> None:
    assert monitors._LARGEST_P == augment._LARGEST_P


def test_a_generator_whose_images_stay_the_same_is_frozen() -> None:
    # Its images are all alike too, but the cause is another: it is told once, by the right name.
    (finding,) = told(lines_of((3.0, 3.0, 3.0, 3.0)), looks_of(UNMOVED)[1:])
    assert kinds([finding]) == [("frozen generator", 15_000)]
    assert "while 5,000 images passed, its own moved by 0.12 of 255 levels; try a higher" in finding.message


def test_a_frozen_generator_under_a_certain_discriminator_names_that_cause() -> None:
    found = told(lines_of((7.8, 10.8, 12.4, 13.4)), looks_of(UNMOVED)[1:])
    message = next(finding.message for finding in found if finding.kind == "frozen generator")
    assert message.endswith("the discriminator leaves it nothing to learn from, see there")


def test_looks_close_to_each_other_need_not_differ() -> None:
    rows = [(0.79, 13.6, 0.29, None), (0.79, 13.6, 0.29, 0.3), (0.78, 13.6, 0.29, 0.3)]
    assert told(lines_of((3.0, 3.0, 3.0), every=200), looks_of(rows, every=200)) == []


def test_a_frozen_generator_is_noticed_without_held_out_images() -> None:
    looks = [{"images_seen": 5000}, {"images_seen": 10_000, "change": 0.1}]
    assert kinds(told(lines_of((1.0, 1.0)), looks)) == [("frozen generator", 10_000)]


def test_images_that_go_away_from_real_ones_get_worse() -> None:
    looks = looks_of([*HEALTHY[:8], (0.3, 17.5, 0.69, 5.0), (0.45, 17.0, 0.62, 5.0), (0.6, 16.5, 0.55, 5.0)])
    (finding,) = told(lines_of(HEALTHY_GAP[:11]), looks)
    assert kinds([finding]) == [("getting worse", 50_000)]
    assert "0.45 after 0.17 at 40,000 images, the snapshot that is kept: stop there (--kimg 40)" in finding.message


def test_images_that_are_lost_at_once_get_worse_at_once() -> None:
    looks = looks_of([*HEALTHY[:6], (9.0, 17.0, 0.4, 40.0)])
    assert kinds(told(lines_of(HEALTHY_GAP[:7]), looks)) == [("getting worse", 35_000)]


def test_a_failure_that_lasts_is_told_once_and_one_that_returns_again() -> None:
    gaps = (2.0, 14.0, 14.0, 3.0, 3.0, 14.0)
    found = told(lines_of(gaps), looks_of(HEALTHY[:6]))
    assert kinds(found) == [("discriminator overpowering", 10_000), ("discriminator overpowering", 30_000)]


def test_what_came_after_the_look_does_not_matter() -> None:
    # A run that is continued may have read lines beyond the look that it repeats.
    history = lines_of(HELD_BACK_GAP)
    until = [line for line in history if line["images_seen"] <= 5000]
    looks = looks_of(HELD_BACK)[:1]
    assert findings(history, looks, logits=True) == findings(until, looks, logits=True) != []


def test_advice_names_the_settings_that_the_algorithm_has() -> None:
    settings = {
        "augment": "none",
        "learning_rate": 2e-4,
        "discriminator_learning_rate": 4e-4,
        "batch_size": 64,
        "width": 64,
    }
    looks = looks_of(HEALTHY[:3])
    looks[2] |= {"diversity": 5.0}
    found = told(lines_of((2.0, 14.0, 2.0)), looks, settings=settings)
    assert [finding.message.rpartition("; ")[2] for finding in found] == [
        "try --set augment=ada, --set discriminator_learning_rate=0.0002, --set width=32 or more training images",
        "try --set learning_rate=0.0001, --set batch_size=128, --set augment=ada or more training images",
    ]


def test_advice_names_no_setting_that_the_algorithm_lacks_or_has_set_so() -> None:
    looks = looks_of(HEALTHY[:3])
    looks[2] |= {"diversity": 5.0}
    found = told(lines_of((2.0, 14.0, 2.0)), looks, settings={"augment": "ada", "learning_rate": None})
    assert [finding.message.rpartition("; ")[2] for finding in found] == [
        "try more training images",
        "try a lower --set learning_rate=… or more training images",
    ]


@given(
    gaps=st.lists(st.floats(-50, 50), min_size=1, max_size=6),
    rows=st.lists(
        st.tuples(st.floats(-1, 500), st.floats(0, 30), st.floats(0, 1), st.none() | st.floats(0, 100)),
        min_size=1,
        max_size=6,
    ),
    measured=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_any_run_is_told_in_one_line_what_its_latest_look_showed(
    gaps: list[float], rows: list[tuple[float | None, ...]], measured: list[bool]
) -> None:
    rows = [row if seen else (None, None, None, row[3]) for row, seen in zip(rows, measured, strict=False)]
    looks = looks_of(rows)
    for finding in findings(lines_of(gaps), looks, logits=True):
        assert finding.images_seen == looks[-1]["images_seen"]
        assert finding.message.startswith(f"{finding.kind}: ")
        assert "\n" not in finding.message
