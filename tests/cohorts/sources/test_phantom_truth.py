"""The phantom as an instrument: masks, repeated photos, nuisances without information, overlap that means something."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from dermsynth.cohorts.sources.phantom import CLASSES, DEFAULT_COUNTS, PhantomConfig, Photos, census, draw, scene
from dermsynth.cohorts.sources.phantom.signs import SIGNS, VARIETIES, draw_signs
from dermsynth.core.randomness import numpy_generator


@pytest.fixture(scope="module")
def photos() -> Photos:
    (drawn,) = draw(PhantomConfig(counts=dict.fromkeys(CLASSES, 20), several_photos=0.6), 48)
    return drawn


def test_masks_cover_the_lesion(photos: Photos) -> None:
    for label in CLASSES:
        of_class = (photos.table["label"] == label).to_numpy()
        inside, outside = [], []
        for image, mask in zip(photos.images[of_class], photos.masks[of_class], strict=True):
            assert mask.any()
            inside.append(image[mask == 1].mean())
            outside.append(image[mask == 0].mean() if (mask == 0).any() else np.nan)
        assert np.nanmedian(np.array(outside) - np.array(inside)) > 8, f"{label}: not darker than its skin"


def test_photos_of_one_lesion_resemble_each_other_more_than_photos_of_two(photos: Photos) -> None:
    middle = photos.images[:, 12:36, 12:36].reshape(len(photos.images), -1, 3).astype(float)
    looks = np.concatenate([middle.mean(axis=1), middle.std(axis=1)], axis=1)
    distance = np.linalg.norm(looks[:, None] - looks[None], axis=2)
    lesion, label = (photos.table[column].to_numpy() for column in ("lesion_id", "label"))
    different_photo = ~np.eye(len(lesion), dtype=bool)
    same_lesion = (lesion[:, None] == lesion[None]) & different_photo
    same_class = (label[:, None] == label[None]) & ~same_lesion & different_photo
    assert same_lesion.any()
    assert np.median(distance[same_lesion]) < 0.5 * np.median(distance[same_class])


def test_photos_of_one_lesion_are_not_copies(photos: Photos) -> None:
    assert len(np.unique(photos.images, axis=0)) == len(photos.images)


def test_the_share_of_lesions_with_several_photos_is_kept() -> None:
    several = np.array([census.photos_of(0, lesion, 0.25) for lesion in range(2000)])
    assert set(several) == {1, 2, 3}
    assert np.mean(several > 1) == pytest.approx(0.25, abs=0.04)


def test_another_size_shows_the_same_scene() -> None:
    counts = {"mel": 2, "nv": 2, "bcc": 2}
    (small,), (large,) = draw(PhantomConfig(counts=counts), 32), draw(PhantomConfig(counts=counts), 128)
    shrunk = large.images.reshape(6, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    for one, other in zip(small.images, shrunk, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95
    assert np.mean(small.masks != large.masks[:, 2::4, 2::4]) < 0.03


def test_skin_light_hair_and_noise_know_nothing_of_the_class() -> None:
    """The same lesion number as another class: far from both lesions every pixel is the same."""
    import cv2

    equal = []
    for lesion in range(24):
        skin = census.patient(0, census.patient_number(0, lesion)).skin
        looks = [scene.photograph(0, lesion, 0, label, 0.0, skin, 64) for label in ("nv", "vasc", "bcc")]
        anywhere = np.maximum.reduce([mask for _, mask in looks])
        away = cv2.distanceTransform(1 - anywhere, cv2.DIST_L2, 5) > 20
        equal += [(image[away] == looks[0][0][away]).all(axis=-1) for image, _ in looks[1:]]
    # Faint satellites of a lesion lie outside its mask.
    assert len(np.concatenate(equal)) > 2000
    assert np.concatenate(equal).mean() > 0.98


def test_skin_tone_and_sex_are_independent_of_the_class() -> None:
    people = [(census.label_of(3, n), census.patient(3, census.patient_number(3, n))) for n in range(6000)]
    dark = np.array([owner.skin.melanin > 0.4 for _, owner in people])
    male = np.array([owner.sex == "male" for _, owner in people])
    labels = np.array([label for label, _ in people])
    for trait in (dark, male):
        for label in CLASSES:
            of_class = trait[labels == label]
            assert abs(of_class.mean() - trait.mean()) < 4 * np.sqrt(0.25 / len(of_class))


def test_the_lesion_number_does_not_give_the_class_away() -> None:
    listed = census.listed(DEFAULT_COUNTS, 0, 0, 0.25)
    number, label = np.array([n for n, _, _ in listed]), np.array([name for _, _, name in listed])
    rank = number.argsort().argsort() / len(number)
    for name in CLASSES:
        assert rank[label == name].mean() == pytest.approx(0.5, abs=0.12)


def test_a_new_patient_begins_where_a_range_may_start() -> None:
    assert all(census.patient_number(seed, 7 * census.PATIENT_BLOCK) == 7 * census.PATIENT_BLOCK for seed in range(50))


def test_some_patients_have_several_lesions() -> None:
    owners = pl.Series([census.patient_number(0, lesion) for lesion in range(1000)])
    assert 0.6 < owners.n_unique() / 1000 < 0.95


def test_every_variety_names_known_signs_and_the_shares_add_up() -> None:
    for label in CLASSES:
        assert sum(variety.share for variety in VARIETIES[label]) == pytest.approx(1.0)
        for variety in VARIETIES[label]:
            assert {*variety.ranges, *variety.structures} <= set(SIGNS)


def test_overlap_moves_a_lesion_but_leaves_the_draws_of_a_pure_one() -> None:
    pure, blended = (draw_signs("df", overlap, numpy_generator(0, "test", 1)) for overlap in (0.0, 1.0))
    faint = draw_signs("df", 1e-6, numpy_generator(0, "test", 1))
    assert pure == pytest.approx(faint)
    assert pure != pytest.approx(blended)


def test_more_overlap_makes_a_simple_classifier_worse() -> None:
    accuracy = [_accuracy_of_a_linear_classifier(overlap) for overlap in (0.0, 0.35, 1.0)]
    assert accuracy[0] > accuracy[1] + 0.03
    assert accuracy[1] > accuracy[2] + 0.03
    assert accuracy[2] > 1.2 / len(CLASSES)


def _accuracy_of_a_linear_classifier(overlap: float) -> float:
    """Least squares on size and colour: half of the lesions to learn from, half to test on."""
    counts = dict.fromkeys(CLASSES, 60)
    (photos,) = draw(PhantomConfig(counts=counts, overlap=overlap, several_photos=0.0), 20, chunk=1000)
    features = _features(photos)
    features = np.column_stack([(features - features.mean(0)) / features.std(0), np.ones(len(features))])
    label = np.array([CLASSES.index(name) for name in photos.table["label"]])
    train = np.arange(len(label)) % 2 == 0
    weights = np.linalg.lstsq(features[train], np.eye(len(CLASSES))[label[train]])[0]
    return float(((features[~train] @ weights).argmax(axis=1) == label[~train]).mean())


def _features(photos: Photos) -> NDArray[np.float64]:
    """Size of the lesion, and mean and spread of its colour relative to the skin around it."""
    rows = []
    for image, mask in zip(np.log(photos.images + 8.0), photos.masks.astype(bool), strict=True):
        skin = image[~mask] if (~mask).any() else image[mask]
        lesion = image[mask] if mask.any() else image[8:12, 8:12].reshape(-1, 3)
        rows.append([np.sqrt(mask.mean()), *(lesion.mean(0) - skin.mean(0)), *lesion.std(0), *skin.std(0)])
    return np.array(rows)
