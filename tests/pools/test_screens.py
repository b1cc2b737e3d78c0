"""Every rule of a screen: it finds what was planted for it, leaves honest images alone, and says why."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.pools.planted import CLASSES, lesions, real_cohort, table_of

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ConfigError, InputError
from dermsynth.encoders.chosen import chosen_encoder
from dermsynth.pools.screens import RULES, rules_of
from dermsynth.pools.screens.confidence import confidence, margin, votes
from dermsynth.pools.screens.features import farthest_first, probability_real
from dermsynth.pools.screens.rule import Judgement, View, Views

Pixels = NDArray[np.uint8]
HONEST = 40


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return real_cohort(tmp_path_factory.mktemp("screens") / "cohort")


def judged(cohort: Cohort, text: str, images: Pixels, labels: NDArray[np.int64] | None = None) -> Judgement:
    """Return what a rule says about honest images, of which the last are replaced by `images`."""
    honest, of_honest = lesions(HONEST, 1, cohort.size_px)
    whole = np.concatenate([honest, images]) if len(images) else honest
    classes = np.concatenate([of_honest, np.zeros(len(images), np.int64) if labels is None else labels])
    pool = Cohort.in_memory(table_of([str(n) for n in range(len(whole))], classes, "synthetic"), whole, CLASSES)
    train = cohort.part("train")
    encoder = chosen_encoder(None, train)
    (rule,) = rules_of([text])
    return rule.judge(Views(View(pool, encoder), View(train, encoder), View(cohort.part("val"), encoder)))


def noisy(images: Pixels, levels: float) -> Pixels:
    noise = np.random.default_rng(5).normal(0, levels, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def checkered(images: Pixels) -> Pixels:
    y, x = np.indices(images.shape[1:3])
    return np.clip(images + np.where((x + y) % 2, 5, -5)[..., None], 0, 255).astype(np.uint8)


def inked(images: Pixels) -> Pixels:
    found = images.copy()
    found[:, 2:4] = (90, 60, 200)
    return found


def haired(images: Pixels) -> Pixels:
    found = images.copy()
    for image in found:
        cv2.line(image, (3, 5), (58, 20), (40, 30, 30), 1, cv2.LINE_AA)
        cv2.line(image, (5, 60), (50, 35), (40, 30, 30), 1, cv2.LINE_AA)
    return found


def greyed(images: Pixels) -> Pixels:
    found = images.copy()
    found[:, 8:20, 8:20] = 127
    return found


@pytest.mark.parametrize(
    ("text", "spoil"),
    [
        ("near-copy:share=0.02", lambda train: train),
        ("near-copy:share=0.02", lambda train: noisy(train, 6)),
        ("near-copy:share=0.02", lambda train: train[:, :, ::-1]),
        ("near-copy:share=0.02", lambda train: np.rot90(train, 1, (1, 2))),
        ("duplicate:of=train", lambda train: train[:, ::-1]),
        ("duplicate:of=train", lambda train: np.stack([cv2.resize(i[2:, 2:].copy(), (32, 32)) for i in train])),
        ("realism", lambda train: np.random.default_rng(0).integers(0, 256, train.shape, dtype=np.uint8)),
        ("realism", lambda train: train // 3),
        ("discriminator", lambda train: noisy(train, 25)),
        ("artefact:trace=checkerboard,share=0.02", checkered),
        ("artefact:trace=grey_fill,share=0.02", greyed),
        ("artefact:trace=exposure,share=0.02", lambda train: train // 4),
        ("artefact:trace=ink,share=0.02", inked),
    ],
)
def test_a_rule_finds_what_it_is_for_and_leaves_honest_images(cohort: Cohort, text: str, spoil: object) -> None:
    train = cohort.part("train").images[np.arange(30)]
    found = judged(cohort, text, np.ascontiguousarray(spoil(train)))  # type: ignore[operator]
    assert found.rejected[HONEST:].mean() >= 0.8
    assert found.rejected[:HONEST].mean() <= 0.2


def test_hair_is_looked_for_where_it_shows(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shows from 48 px up, and the images have 32 px"):
        judged(cohort, "artefact:trace=hair,share=0.05", cohort.images[:1])
    larger = real_cohort(tmp_path / "larger", size_px=64)
    found = judged(larger, "artefact:trace=hair,share=0.05", haired(larger.part("train").images[np.arange(30)]))
    assert found.rejected[HONEST:].mean() >= 0.8
    assert found.rejected[:HONEST].mean() <= 0.2


def test_of_repeats_within_the_pool_the_first_stays(cohort: Cohort) -> None:
    new, labels = lesions(4, 2)
    found = judged(cohort, "duplicate", np.concatenate([new, new[:, :, ::-1], new[:2]]), np.tile(labels, 3)[:10])
    np.testing.assert_array_equal(np.flatnonzero(found.rejected), HONEST + np.arange(4, 10))
    assert found.beside
    np.testing.assert_array_equal(found.beside(np.array([HONEST + 5])), new[1:2])


def test_of_many_repeats_one_stays(cohort: Cohort) -> None:
    new, _ = lesions(1, 2)
    found = judged(cohort, "duplicate", noisy(new.repeat(30, axis=0), 1))
    np.testing.assert_array_equal(np.flatnonzero(found.rejected), HONEST + np.arange(1, 30))


def test_a_near_copy_is_shown_beside_the_training_image_turned_alike(cohort: Cohort) -> None:
    train = cohort.part("train").images[np.arange(3)]
    turned = np.ascontiguousarray(np.rot90(train[:, :, ::-1], 1, (1, 2)))
    found = judged(cohort, "near-copy:share=0.02", turned)
    assert found.beside
    np.testing.assert_array_equal(found.beside(np.arange(HONEST, HONEST + 3)), turned)
    assert found.values[HONEST:].max() == 0


@pytest.mark.parametrize("text", ["near-copy:share=0.05", "realism:share=0.05", "artefact:share=0.05"])
def test_the_share_is_that_of_held_out_images_beyond_the_limit(cohort: Cohort, text: str) -> None:
    found = judged(cohort, text, np.empty((0, 32, 32, 3), np.uint8))
    high = RULES[text.partition(":")[0]]().high
    beyond = found.real > found.thresholds[0] if high else found.real < found.thresholds[0]
    assert beyond.mean() == pytest.approx(0.05, abs=0.017)


def test_too_few_held_out_images_for_a_share_are_refused(cohort: Cohort) -> None:
    with pytest.raises(InputError, match=r"share of 0.005 .* shows in 200 or more, and val has 60; choose .* 0.017"):
        judged(cohort, "near-copy:share=0.005", np.empty((0, 32, 32, 3), np.uint8))


# Two classifiers, four images of the classes 0, 1, 0, 1.
PROBABILITIES = np.array(
    [
        [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.8, 0.1, 0.1]],
        [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.6, 0.3, 0.1]],
    ]
)
LABELS = np.array([0, 1, 0, 1])


def test_what_classifiers_say_by_hand() -> None:
    np.testing.assert_allclose(confidence(PROBABILITIES, LABELS), [0.8, 0.5, 0.4, 0.2])
    np.testing.assert_allclose(votes(PROBABILITIES, LABELS), [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(margin(PROBABILITIES, LABELS), [0.65, 0.1, 0.0, -0.5], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("confidence", [0, 1]),
        ("confidence:least=0.3", [0, 1, 2]),
        ("agreement", [0]),
        ("agreement:least=0.5", [0, 1, 2]),
        ("rank", [0, 1]),
        ("rank:order=worst", [2, 3]),
        ("boundary", [1, 2]),
        ("rank:keep=0.9", [0, 1, 2, 3]),
    ],
)
def test_rules_of_classifiers_keep_what_was_worked_out_by_hand(text: str, kept: list[int]) -> None:
    images = np.zeros((4, 16, 16, 3), np.uint8)
    cohort = Cohort.in_memory(table_of(list("abcd"), LABELS, "synthetic"), images, CLASSES)
    view = View(cohort, None, (), {"probabilities": PROBABILITIES})  # type: ignore[arg-type]
    (rule,) = rules_of([text])
    assert np.flatnonzero(~rule.judge(Views(view, view, view)).rejected).tolist() == kept


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 30), keep=st.floats(0.05, 0.95))
def test_no_rejected_image_is_farther_from_the_kept_ones_than_these_are_apart(seed: int, n: int, keep: float) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3))
    order, distances = farthest_first(points)
    kept = int(np.ceil(keep * n))
    assert sorted(order) == list(range(n))
    assert (np.diff(distances) <= 1e-12).all()
    chosen, rest = points[order[:kept]], points[order[kept:]]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(chosen) for b in chosen[:i]]
    radius = max((min(np.linalg.norm(x - c) for c in chosen) for x in rest), default=0)
    assert radius <= min(apart, default=np.inf) + 1e-9


def test_k_centre_keeps_one_image_of_each_cluster() -> None:
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]]).repeat(5, axis=0)
    points = centres + 0.1 * np.random.default_rng(0).normal(size=(20, 2))
    order, _ = farthest_first(points)
    assert sorted(order[:4] // 5) == [0, 1, 2, 3]


def test_a_discriminator_does_not_tell_equal_distributions_apart() -> None:
    generator = np.random.default_rng(0)
    pool, train, held_out = (generator.normal(size=(n, 10)) for n in (200, 300, 150))
    values, real = probability_real(pool, train, held_out)
    assert abs(values.mean() - 0.5) < 0.05
    assert abs(real.mean() - 0.5) < 0.05
    shifted, _ = probability_real(pool + 1.5, train, held_out)
    assert shifted.mean() < 0.25


def test_a_rule_is_written_with_all_its_settings() -> None:
    (rule,) = rules_of(["rank:keep=0.25"])
    assert rule.written == "rank:keep=0.25,order=best"
    assert rules_of([rule.written]) == [rule]
    assert rule.told(0.1, 0.5) == "probability of its class 0.100; the last kept of its class has 0.500"


@pytest.mark.parametrize("name", RULES)
def test_every_rule_knows_its_name_and_has_defaults(name: str) -> None:
    (rule,) = rules_of([name])
    assert rule.written.startswith(f"{name}:")
    assert rules_of([rule.written]) == [rule]


def test_a_misspelt_rule_is_named() -> None:
    with pytest.raises(ConfigError, match="--rule near-cpy: unknown rule 'near-cpy'; did you mean 'near-copy'"):
        rules_of(["near-cpy"])
