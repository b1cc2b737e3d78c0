"""Traces of augmentation: planted ones are found, and real sets are clean."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dermsynth.cohorts.sources.phantom import PhantomConfig, draw
from dermsynth.core.errors import InputError
from dermsynth.metrics.leakage import Images, augmentation_traces

EACH = 300
PLANTED = EACH // 10


@pytest.fixture(scope="module")
def lesions() -> list[Images]:
    """Three sets of phantom images of the same classes: to be judged, reference and control."""
    config = PhantomConfig(counts={"nv": EACH * 2, "mel": EACH}, several_photos=0)
    images = np.concatenate([photos.images for photos in draw(config, 32)])
    images = images[np.random.default_rng(0).permutation(len(images))]
    return [images[start::3] for start in range(3)]


def found(images: Images, lesions: list[Images]) -> list[str]:
    return [name for name, trace in augmentation_traces(images, *lesions[1:]).items() if trace.found]


def planted(lesions: list[Images], alter: object) -> Images:
    """Return the set to be judged with a tenth of its images altered."""
    images = lesions[0].copy()
    for number in range(PLANTED):
        images[number] = alter(images[number], np.random.default_rng(number))  # type: ignore[operator]
    return images


def test_a_clean_set_shows_what_other_real_images_show(lesions: list[Images]) -> None:
    traces = augmentation_traces(*lesions)
    assert not any(trace.found for trace in traces.values())
    assert all(
        trace.synthetic < 0.05 and trace.low < trace.synthetic - trace.real < trace.high for trace in traces.values()
    )


def cut_out(image: Images, rng: np.random.Generator) -> Images:
    """Put a grey square, not quite even as a generator would paint it, somewhere."""
    row, column = rng.integers(0, 20, 2)
    image[row : row + 8, column : column + 8] = 127 + rng.normal(0, 4, (8, 8, 3))
    return image


def test_grey_squares_are_found(lesions: list[Images]) -> None:
    trace = augmentation_traces(planted(lesions, cut_out), *lesions[1:])["grey_fill"]
    assert trace.found
    assert trace.synthetic == pytest.approx(0.1, abs=0.02)


def test_grey_borders_of_translated_images_are_found(lesions: list[Images]) -> None:
    def translate(image: Images, rng: np.random.Generator) -> Images:
        moved = np.roll(image, 4, axis=int(rng.integers(2)))
        moved[:4] = 127
        return moved

    assert found(planted(lesions, translate), lesions) == ["grey_fill"]


@pytest.mark.parametrize("turns", range(4))
def test_mirrored_borders_are_found_on_every_side(lesions: list[Images], turns: int) -> None:
    def mirror(image: Images, rng: np.random.Generator) -> Images:
        width = int(rng.integers(3, 6))
        turned = np.rot90(image, turns)
        mirrored = np.concatenate([turned[:width][::-1], turned[:-width]])
        return np.rot90(mirrored, -turns)

    assert found(planted(lesions, mirror), lesions) == ["mirrored_border"]


def test_shifted_colours_are_found(lesions: list[Images]) -> None:
    # Red for blue: lesions as no skin has them, as bright as before.
    assert "unusual_colour" in found(planted(lesions, lambda image, rng: image[..., ::-1]), lesions)


def test_inverted_brightness_is_found(lesions: list[Images]) -> None:
    assert "inverted" in found(planted(lesions, lambda image, rng: 255 - image), lesions)


def test_changed_brightness_is_found(lesions: list[Images]) -> None:
    assert "exposure" in found(planted(lesions, lambda image, rng: image // 3), lesions)


def test_flips_and_quarter_turns_are_no_trace(lesions: list[Images]) -> None:
    # Dermoscopy has no upright: a generator that turns its images makes nothing unreal.
    assert not found(np.rot90(lesions[0], axes=(1, 2))[:, :, ::-1], lesions)


def test_real_dermoscopy_is_clean_and_a_tenth_with_grey_squares_is_not(real_data: Path) -> None:
    from PIL import Image

    with zipfile.ZipFile(real_data / "ham10000" / "HAM10000_images_200x150.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:: 10015 // 900][:900]
        images = np.stack(
            [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((32, 32))) for name in names]
        )
    images = images[np.random.default_rng(0).permutation(len(images))]
    sets = [images[start::3] for start in range(3)]
    assert not found(sets[0], sets)
    assert "grey_fill" in found(planted(sets, cut_out), sets)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([np.zeros((99, 16, 16, 3), np.uint8)] * 3, "99 synthetic images; at least 100"),
        ([np.zeros((100, 16, 16, 3))] * 3, "synthetic images are float64"),
        ([np.zeros((100, 8, 8, 3), np.uint8)] * 3, "S at least 16"),
        (
            [np.zeros((100, 16, 16, 3), np.uint8), np.zeros((100, 32, 32, 3), np.uint8)] * 2,
            "synthetic images have 16 px and the reference 32 px",
        ),
    ],
)
def test_unusable_sets_are_refused(sets: list[Images], message: str) -> None:
    with pytest.raises(InputError, match=message):
        augmentation_traces(*sets[:3])


def test_images_without_any_structure_are_no_error() -> None:
    flat = np.zeros((100, 16, 16, 3), np.uint8)
    assert not any(trace.found for trace in augmentation_traces(flat, flat, flat).values())
