"""Near-duplicates: every alteration is found and named, other lesions are not, and nothing else decides the result."""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dermsynth.cohorts.duplicates import SIMILAR, SYMMETRIES, Symmetry, near_duplicates
from dermsynth.cohorts.sources.phantom import PhantomConfig, draw
from dermsynth.cohorts.stack import ImageStack

Images = NDArray[np.uint8]
symmetries = st.sampled_from(SYMMETRIES)


def drawn(count: int = 60, size_px: int = 64) -> Images:
    """Return one photo of each of `count` lesions."""
    config = PhantomConfig(counts={"nv": count // 2, "mel": count - count // 2}, several_photos=0.0)
    return np.concatenate([photos.images for photos in draw(config, size_px)])


LESIONS = drawn()


def found(images: Images, others: Images | None = None, **options: int) -> list[tuple[int, int, str]]:
    pairs = near_duplicates(ImageStack.of(images), None if others is None else ImageStack.of(others), **options)
    return [(a, b, transform) for a, b, transform, _ in pairs.iter_rows()]


def with_copy(copy: Images) -> Images:
    return np.concatenate([LESIONS, copy[None]])


def resized(image: Images, side: int) -> Images:
    how = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=how), np.uint8)


def cropped(image: Images, side: int, y: int, x: int) -> Images:
    return resized(image[y : y + side, x : x + side], len(image))


def recompressed(image: Images, quality: int) -> Images:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def test_different_lesions_have_no_duplicates() -> None:
    assert found(LESIONS) == []


@settings(max_examples=8, deadline=None)
@given(symmetry=symmetries, row=st.integers(0, len(LESIONS) - 1))
def test_every_symmetry_of_the_square_is_found_and_named(symmetry: Symmetry, row: int) -> None:
    assert found(with_copy(symmetry.apply(LESIONS[row]))) == [(row, len(LESIONS), symmetry.name)]


@settings(max_examples=8, deadline=None)
@given(symmetry=symmetries)
def test_the_inverse_undoes_a_symmetry(symmetry: Symmetry) -> None:
    image = LESIONS[0]
    assert (symmetry.inverse.apply(symmetry.apply(image)) == image).all()


@pytest.mark.parametrize(("side", "y", "x"), [(62, 1, 1), (58, 0, 6), (55, 9, 0), (55, 9, 9), (55, 4, 5)])
def test_a_crop_is_found_wherever_it_was_cut(side: int, y: int, x: int) -> None:
    assert found(with_copy(cropped(LESIONS[0], side, y, x))) == [(0, len(LESIONS), "same")]


@pytest.mark.parametrize("copy_first", [False, True])
def test_the_transform_leads_from_the_first_row_to_the_second(copy_first: bool) -> None:
    turned = Symmetry(False, 1).apply(cropped(LESIONS[0], 56, 3, 5))
    pair = [turned, LESIONS[0]] if copy_first else [LESIONS[0], turned]
    expected = "turned by 270°" if copy_first else "turned by 90°"
    assert found(np.stack(pair)) == [(0, 1, expected)]


def test_a_copy_that_was_altered_in_every_way_is_found() -> None:
    copy = Symmetry(True, 3).apply(resized(cropped(LESIONS[5], 57, 2, 4), 50))
    brighter = np.clip(1.03 * copy.astype(float) + 3, 0, 255).astype(np.uint8)
    assert found(with_copy(recompressed(resized(brighter, 64), 60))) == [(5, len(LESIONS), "mirrored, turned by 270°")]


def test_an_exact_copy_has_similarity_1() -> None:
    pairs = near_duplicates(ImageStack.of(with_copy(LESIONS[3])))
    assert pairs.select("a", "b", "transform").rows() == [(3, len(LESIONS), "same")]
    assert pairs["similarity"][0] == pytest.approx(1.0, abs=0.01)


def test_three_copies_are_three_pairs() -> None:
    images = np.concatenate([LESIONS, recompressed(LESIONS[7], 50)[None], recompressed(LESIONS[7], 80)[None]])
    count = len(LESIONS)
    assert found(images) == [(7, count, "same"), (7, count + 1, "same"), (count, count + 1, "same")]


def test_another_stack_may_have_another_size_and_is_not_compared_with_itself() -> None:
    others = np.stack([resized(np.asarray(LESIONS[row]), 48) for row in (9, 4, 4)])
    assert found(LESIONS, others) == [(4, 1, "same"), (4, 2, "same"), (9, 0, "same")]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_crop_in_either_stack_is_found(swapped: bool) -> None:
    whole, crop = LESIONS[:20], Symmetry(False, 1).apply(cropped(LESIONS[2], 55, 9, 0))[None]
    assert (
        found(crop, whole) == [(0, 2, "turned by 270°")] if swapped else found(whole, crop) == [(2, 0, "turned by 90°")]
    )


@settings(max_examples=4, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(random: object) -> None:
    images = with_copy(cropped(LESIONS[0], 57, 2, 4))[[0, 60, *range(1, 30)]]
    order = np.random.default_rng(random.randrange(1000)).permutation(len(images))  # type: ignore[attr-defined]
    pairs = {(int(order[a]), int(order[b])) for a, b, _ in found(images[order])}
    assert {tuple(sorted(pair)) for pair in pairs} == {(0, 1)}


def test_the_number_of_threads_does_not_matter() -> None:
    images = ImageStack.of(np.concatenate([LESIONS, [recompressed(image, 50) for image in LESIONS[:20]]]))
    one, three = (near_duplicates(images, threads=threads) for threads in (1, 3))
    assert one.equals(three)
    assert one.height == 20
    assert one["similarity"].min() >= SIMILAR


@pytest.mark.parametrize("value", [0, 128, 255])
def test_images_without_structure_are_duplicates_of_nothing(value: int) -> None:
    blank = np.full((3, 64, 64, 3), value, np.uint8)
    assert found(blank) == []
    assert found(np.concatenate([LESIONS, blank])) == []


def test_noise_of_one_colour_is_no_duplicate() -> None:
    noise = np.random.default_rng(0).normal(128, 20, (200, 16, 16, 3)).clip(0, 255).astype(np.uint8)
    assert found(noise) == []


def test_progress_ends_with_all_images() -> None:
    calls: list[tuple[int, int]] = []
    near_duplicates(ImageStack.of(LESIONS), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(LESIONS), len(LESIONS))


def test_the_columns_are_those_promised_even_without_a_pair() -> None:
    pairs = near_duplicates(ImageStack.of(LESIONS[:2]))
    assert pairs.schema == {"a": pl.Int64, "b": pl.Int64, "transform": pl.String, "similarity": pl.Float64}
