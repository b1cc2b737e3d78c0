"""A walk through latent space: even, of normal length, the same for every class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers import make_cohort

from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.errors import InputError
from dermsynth.core.randomness import torch_generator
from dermsynth.reports.latent import STEPS, great_circle, morphs, rows
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(budget_kimg=0.1, precision="fp32", snapshots=1)
    return train(make_cohort(), Dcgan, DcganConfig(width=2, batch_size=8), config, tmp_path_factory.mktemp("r") / "run")


def test_the_path_is_even_and_of_normal_length() -> None:
    first, last = torch.randn(2, 200, generator=torch.Generator().manual_seed(0))
    path = great_circle(first, last, 9)
    torch.testing.assert_close(path[[0, -1]], torch.stack([first, last]), rtol=1e-4, atol=1e-4)
    unit = torch.nn.functional.normalize(path)
    angles = (unit[1:] * unit[:-1]).sum(dim=1).clamp(-1, 1).acos()
    assert float(angles.max() - angles.min()) < 1e-3
    assert float(path.norm(dim=1).min()) > 0.99 * float(min(first.norm(), last.norm()))


def test_there_is_a_row_for_every_class_along_the_same_path(run: Path) -> None:
    shown = rows(run)
    assert [row.name for row in shown] == ["bkl", "mel", "nv"]
    assert all(row.images.shape == (STEPS, 16, 16, 3) for row in shown)
    assert np.array_equal(rows(run, ["mel"])[0].images, shown[1].images)
    assert not np.array_equal(rows(run, ["mel"], seed=1)[0].images, shown[1].images)


def test_an_unknown_class_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="did not practise class 'mle'; did you mean 'mel'"):
        rows(run, ["mle"])


def test_a_morph_goes_from_one_class_to_the_other_with_the_same_noise(run: Path) -> None:
    from dermsynth.pools.trained import Trained
    from dermsynth.training.samples import generate

    shown = morphs(run, "nv", "mel", count=2)
    assert [row.name for row in shown] == ["nv → mel", "nv → mel"]
    trained = Trained.open(run)
    algorithm, generator = trained.network
    noise = torch.randn(algorithm.latent, generator=torch_generator(0, "morph", 1)).repeat(2, 1)
    ends = generate(algorithm, generator, noise, torch.tensor([2, 1])).numpy()
    np.testing.assert_array_equal(shown[1].images[[0, -1]], ends)
    steps = np.abs(np.diff(shown[1].images.astype(int), axis=0)).mean((1, 2, 3))
    assert (steps < 0.5 * np.abs(ends[1].astype(int) - ends[0]).mean()).all()


def test_a_morph_between_a_class_and_itself_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="nothing changes"):
        morphs(run, "nv", "nv")
