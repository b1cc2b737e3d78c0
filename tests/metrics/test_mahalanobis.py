"""Distances to clusters: against scipy, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf

from dermsynth.core.errors import InputError
from dermsynth.metrics.mahalanobis import clusters


def mixture(count: int = 300, dimensions: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    centres = generator.normal(0, 4, (3, dimensions))
    spread = generator.normal(0, 1, (dimensions, dimensions))
    return centres[labels] + generator.normal(0, 1, (count, dimensions)) @ spread, labels


def test_the_distance_is_scipys_to_the_nearest_class_mean() -> None:
    features, labels = mixture()
    means = np.stack([features[labels == one].mean(axis=0) for one in range(3)])
    covariance, _ = ledoit_wolf(features - means[labels], assume_centered=True)
    asked = mixture(20, seed=1)[0]
    expected = cdist(asked, means, "mahalanobis", VI=np.linalg.inv(covariance)).min(axis=1)
    np.testing.assert_allclose(clusters(features, labels).distances(asked), expected, rtol=1e-8)


def test_the_unit_of_all_features_plays_no_part() -> None:
    features, labels = mixture()
    asked = mixture(20, seed=1)[0]
    once = clusters(features, labels).distances(asked)
    np.testing.assert_allclose(clusters(1000 * features, labels).distances(1000 * asked), once, rtol=1e-6)


def test_more_dimensions_than_images_and_features_that_never_change_give_finite_distances() -> None:
    features, labels = mixture(30, 60)
    features[:, 7] = 3.0
    distances = clusters(features, labels).distances(features)
    assert np.isfinite(distances).all()
    odd = features[:1].copy()
    odd[0, 7] = 50.0
    assert clusters(features, labels).distances(odd)[0] > distances.max()


def test_images_that_are_all_the_same_have_no_distance() -> None:
    found = clusters(np.ones((4, 3)), np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(found.distances(np.ones((2, 3))), [0, 0])
    assert found.distances(np.zeros((1, 3)))[0] > 0


def test_a_class_without_an_image_has_no_centre() -> None:
    features, _ = mixture(10)
    assert len(clusters(features, np.array([0, 2] * 5)).means) == 2


def test_features_of_another_network_are_refused() -> None:
    features, labels = mixture()
    with pytest.raises(InputError, match="features of 4 dimensions; the reference has 5"):
        clusters(features, labels).distances(features[:, :4])
