"""The figure of classical augmentation: which rows it has, and that they show what they say."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.helpers import make_cohort

from dermsynth.cohorts.augment import ClassicalAugmentation
from dermsynth.core.errors import InputError
from dermsynth.reports.augmentation import COLUMNS, rows
from dermsynth.reports.sheets import Row, drawn

COHORT = make_cohort()
PAPERS = ClassicalAugmentation(policy="papers")
MIXED = ClassicalAugmentation(policy="none", randaugment_ops=2, mixup_alpha=1.0, cutmix_alpha=1.0)


def named(config: ClassicalAugmentation, label: str | None = None, seed: int = 0) -> dict[str, Row]:
    return {row.name: row for row in rows(COHORT, config, label, seed)}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (PAPERS, ["flip", "rotation", "shear"]),
        (MIXED, ["RandAugment", "mixup", "CutMix"]),
        (ClassicalAugmentation(policy="none"), []),
    ],
)
def test_there_is_a_row_for_every_operation_that_is_on(config: ClassicalAugmentation, names: list[str]) -> None:
    assert list(named(config)) == [*names, "all, on one lesion", "all, on several"]


def test_a_row_shows_the_image_as_it_is_and_at_both_ends_of_the_range() -> None:
    turned = named(ClassicalAugmentation(policy="none", rotation_deg=180.0))["rotation"]
    assert turned.captions == ["−180°", "−90°", "as it is", "+90°", "+180°"]
    first, _, plain, _, last = turned.images.astype(int)
    assert (COHORT.images[:] == plain).all(axis=(1, 2, 3)).any()
    assert np.abs(first - plain[::-1, ::-1]).max() <= 1
    assert np.abs(last - first).max() <= 1


def test_an_amount_is_written_in_its_unit() -> None:
    found = named(ClassicalAugmentation())
    assert found["brightness"].captions[0] == "−10 %"
    assert found["hue"].captions[-1] == "+2°"
    assert found["scale"].captions[0] == "× 0.80"


def test_shares_of_classes_stand_below_mixed_images() -> None:
    found = named(MIXED)
    for name in ("mixup", "CutMix", "all, on several"):
        shares = [caption.count("%") for caption in found[name].captions]
        assert max(shares) == 2
    assert found["all, on one lesion"].captions == [""] * COLUMNS


def test_several_lesions_are_of_as_many_classes_as_there_are() -> None:
    channels = named(ClassicalAugmentation(policy="none"), "mel")["all, on several"].images.mean(axis=(1, 2)).argmax(1)
    assert channels[0] == 1  # the helper's cohort has a colour per class: bkl red, mel green, nv blue
    assert sorted(channels[:3]) == [0, 1, 2]


def test_a_class_without_an_image_is_refused() -> None:
    with pytest.raises(InputError, match="no image of class 'mle'; did you mean 'mel'"):
        rows(COHORT, PAPERS, "mle")


def test_another_seed_shows_another_lesion() -> None:
    shown = [named(PAPERS, "mel", seed)["flip"].images[0] for seed in (0, 1)]
    assert not np.array_equal(*shown)


def test_the_figure_has_every_image_at_a_whole_number_of_times_its_size() -> None:
    found = rows(COHORT, PAPERS)
    image = np.asarray(Image.open(io.BytesIO(drawn(found))).convert("RGB"))
    tile = found[0].images[0].repeat(4, axis=0).repeat(4, axis=1)
    places = np.argwhere((image[: -tile.shape[0], : -tile.shape[1]] == tile[0, 0]).all(axis=2))
    assert any(np.array_equal(image[y : y + 64, x : x + 64], tile) for y, x in places)


def test_the_same_figure_is_drawn_from_the_same_seed() -> None:
    assert drawn(rows(COHORT, MIXED, seed=3)) == drawn(rows(COHORT, MIXED, seed=3))
