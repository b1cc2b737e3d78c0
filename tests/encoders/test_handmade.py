"""The offline encoder sees colour, its place, edges and grain."""

from __future__ import annotations

import numpy as np
import pytest

from dermsynth.core.errors import InputError
from dermsynth.encoders.handmade import encode


def noise(n: int = 6, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_every_size_gives_the_same_number_of_finite_features(size: int) -> None:
    features = encode(noise(size=size))
    assert features.shape == (6, 236)
    assert np.isfinite(features).all()


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    images = noise(300, 16)
    np.testing.assert_allclose(encode(images)[[0, 299]], encode(images[[0, 299]]), atol=1e-6)


def test_colour_layout_is_the_mean_of_each_cell() -> None:
    images = noise(2, 16)
    expected = images[1, 2:4, 4:6].mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(encode(images)[1].reshape(-1)[:192].reshape(8, 8, 3)[1, 2], expected, atol=1e-6)


def test_a_uniform_image_has_no_edges() -> None:
    assert np.all(encode(np.full((1, 32, 32, 3), 130, dtype=np.uint8))[0, 192:224] == 0)


def test_horizontal_and_vertical_stripes_differ_in_direction_only() -> None:
    stripes = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    stripes[0, ::8] = stripes[0, 1::8] = 255
    stripes[1] = stripes[0].transpose(1, 0, 2)
    edges = encode(stripes)[:, 192:224].reshape(2, 4, 8)
    assert edges[0].argmax(axis=1).tolist() == [4] * 4  # brightness changes downwards: 90 degrees
    assert edges[1].argmax(axis=1).tolist() == [0] * 4


def test_a_checkerboard_raises_the_highest_ring() -> None:
    plain = np.full((1, 32, 32, 3), 128, dtype=np.uint8)
    board = plain + (10 * (np.indices((32, 32)).sum(axis=0) % 2)).astype(np.uint8)[None, :, :, None]
    difference = (encode(board) - encode(plain))[0, 224:]
    assert difference.argmax() == 11


@pytest.mark.parametrize(
    "images", [np.zeros((2, 20, 20, 3), np.uint8), np.zeros((2, 32, 32, 3)), np.zeros((32, 32, 3), np.uint8)]
)
def test_images_of_another_size_or_type_are_refused(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="this encoder needs uint8"):
        encode(images)
