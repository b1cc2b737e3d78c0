"""The loop: what a run leaves, how it resumes, how it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from tests.helpers import make_cohort, saved_cohort

from dermsynth.algorithms.base import Adam, Algorithm, AlgorithmConfig, Batch, Phase
from dermsynth.algorithms.dcgan import Dcgan, DcganConfig
from dermsynth.core.artefacts import read_card
from dermsynth.core.errors import ArtefactError, ConfigError, DivergedError, InputError, InterruptedRunError
from dermsynth.training import checkpoint
from dermsynth.training.config import TrainConfig
from dermsynth.training.loop import train

SMALL = DcganConfig(width=2, batch_size=8)
SHORT = TrainConfig(budget_kimg=0.4, precision="fp32", snapshots=2)


def run(out: Path, settings: DcganConfig = SMALL, config: TrainConfig = SHORT, **kwargs: Any) -> Path:
    return train(make_cohort(), Dcgan, settings, config, out, **kwargs)


def networks(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "networks.safetensors")[0]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that nothing interrupted."""
    return run(tmp_path_factory.mktemp("loop") / "whole")


def test_a_run_leaves_networks_history_grids_and_a_card(whole: Path) -> None:
    card = read_card(whole, "run")
    assert card["images_seen"] == 400
    assert card["config"]["settings"]["width"] == 2
    lines = [json.loads(line) for line in (whole / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["images_seen"] == 400
    assert {"loss_discriminator", "loss_generator", "score_real", "score_fake"} <= lines[0].keys()
    assert [path.stem for path in sorted((whole / "samples").iterdir())] == ["000000200", "000000400"]
    assert not whole.with_name("whole.partial").exists()


def test_only_the_train_part_is_seen(whole: Path) -> None:
    cohort = make_cohort()
    expected = cohort.table.filter(pl.col("split") == "train")["image_id"]
    assert set(pl.read_parquet(whole / "seen.parquet")["image_id"]) == set(expected)


def test_equal_seeds_give_equal_bits_and_another_seed_does_not(whole: Path, tmp_path: Path) -> None:
    first = networks(whole)
    assert same(first, networks(run(tmp_path / "b")))
    other = TrainConfig(budget_kimg=0.4, precision="fp32", snapshots=2, seed=1)
    assert not same(first, networks(run(tmp_path / "c", config=other)))


def test_training_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path / "run")
    torch.testing.assert_close(torch.rand(3), expected)


class _StopError(Exception):
    """Stands for anything that ends a process between two steps."""


def stop_at(images: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= images:
            raise _StopError

    return progress


@pytest.mark.parametrize("images", [8, 104, 392])
def test_a_run_that_broke_off_continues_bit_for_bit(whole: Path, tmp_path: Path, images: int) -> None:
    often = SHORT.changed(checkpoint_every_s=0)
    with pytest.raises(_StopError):
        run(tmp_path / "run", config=often, progress=stop_at(images))
    told: list[int] = []
    continued = run(tmp_path / "run", config=often, progress=lambda done, total: told.append(done))
    assert told[0] > images - SMALL.batch_size, "it started from nothing"
    assert same(networks(continued), networks(whole))
    seen = [json.loads(line)["images_seen"] for line in (continued / "history.jsonl").read_text().splitlines()]
    assert seen == sorted(set(seen))
    assert seen[-1] == 400


def test_history_and_grids_written_after_the_last_checkpoint_are_made_again_once(tmp_path: Path) -> None:
    reference = run(tmp_path / "reference")
    never = SHORT.changed(checkpoint_every_s=1e9)
    with pytest.raises(_StopError):
        run(tmp_path / "run", config=never, progress=stop_at(300))
    assert len(list((tmp_path / "run.partial" / "samples").iterdir())) == 1
    continued = run(tmp_path / "run", config=never)
    assert sorted(path.name for path in (continued / "samples").iterdir()) == ["000000200.png", "000000400.png"]

    def means(folder: Path) -> list[dict[str, float]]:
        lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if name != "wall_s"} for line in lines]

    assert means(continued) == means(reference)


def test_a_partial_run_with_other_settings_is_refused_with_the_differences(tmp_path: Path) -> None:
    with pytest.raises(_StopError):
        run(tmp_path / "run", progress=stop_at(100))
    with pytest.raises(ArtefactError, match=r"other settings \(settings\.width 2 → 4\)"):
        run(tmp_path / "run", DcganConfig(width=4, batch_size=8))
    assert read_card(run(tmp_path / "run", DcganConfig(width=4, batch_size=8), force=True), "run")


def test_a_finished_run_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(ArtefactError, match="already exists; choose another --out, or --force"):
        run(tmp_path / "run")


def test_a_stop_request_saves_the_state_and_says_how_to_continue(tmp_path: Path) -> None:
    import os
    import signal

    def interrupt(done: int, total: int) -> None:
        if done == 200:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"at 2\d\d of 400 images; .* run the same command again"):
        run(tmp_path / "run", progress=interrupt)
    assert same(networks(run(tmp_path / "run")), networks(run(tmp_path / "whole")))


def test_a_class_without_training_images_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort()
    without = cohort.select((pl.col("label") != "mel") | (pl.col("split") != "train"))
    with pytest.raises(InputError, match="class 'mel' has no image in the train part"):
        train(without, Dcgan, SMALL, SHORT, tmp_path / "run")


def test_a_cohort_without_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no split; run 'dermsynth split"):
        train(make_cohort(split=False), Dcgan, SMALL, SHORT, tmp_path / "run")


def test_the_average_lies_between_the_first_and_the_last_weights(tmp_path: Path) -> None:
    tensors = networks(run(tmp_path / "run"))
    live = tensors["generator.project.weight"]
    average = tensors["ema.project.weight"]
    assert not torch.equal(live, average)
    assert np.corrcoef(live.flatten(), average.flatten())[0, 1] > 0.9


class _Exploding(Algorithm):
    """A network whose loss becomes NaN in the steps that end at some image counts, so many times."""

    name = "exploding"
    Config = AlgorithmConfig
    fatal: ClassVar[set[int]] = set()
    times: ClassVar[int] = 1
    latent = SMALL.latent

    @classmethod
    def check(cls, config: AlgorithmConfig, size_px: int, classes: tuple[str, ...]) -> None:
        return

    def build(self) -> dict[str, torch.nn.Module]:
        self.generator = Dcgan(SMALL, self.size_px, self.classes).generator
        return {"generator": self.generator}

    def phases(self) -> list[Phase]:
        return [Phase("generator", self.generator, self.loss, Adam(learning_rate=1e-3))]

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = self.generator(batch.noise, batch.labels).square().mean()
        if batch.images_seen + len(batch.labels) in _Exploding.fatal and _Exploding.times:
            _Exploding.times -= 1
            loss = loss * float("nan")
        return loss, {"loss_generator": loss}


def explode(out: Path, at: set[int], times: int) -> Path:
    _Exploding.fatal, _Exploding.times = at, times
    return train(make_cohort(), _Exploding, AlgorithmConfig(batch_size=8), SHORT, out)


@pytest.mark.parametrize(("fatal", "back_to"), [(240, 200), (120, 0)])
def test_a_loss_that_is_not_finite_takes_the_run_back_to_the_last_snapshot_once(
    tmp_path: Path, fatal: int, back_to: int, caplog: pytest.LogCaptureFixture
) -> None:
    out = explode(tmp_path / "run", {fatal}, times=1)
    told = f"loss_generator is not finite at {fatal} images: back to {back_to} images, with half the learning rate"
    assert [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()] == [
        {"kind": "rolled back", "images_seen": back_to, "message": told}
    ]
    assert told in caplog.text
    seen = [json.loads(line)["images_seen"] for line in (out / "history.jsonl").read_text().splitlines()]
    assert seen == sorted(set(seen))
    assert seen[-1] == 400


def test_after_going_back_the_learning_rate_is_half(tmp_path: Path) -> None:
    # The only difference is the rate of the second half: weights of a network that never exploded lie elsewhere.
    whole = networks(explode(tmp_path / "whole", set(), times=0))
    halved = networks(explode(tmp_path / "halved", {208}, times=1))
    first = networks(train_to_200(tmp_path / "first"))
    name = "generator.project.weight"
    ratio = (halved[name] - first[name]).abs().mean() / (whole[name] - first[name]).abs().mean()
    assert 0.3 < ratio < 0.8


def train_to_200(out: Path) -> Path:
    _Exploding.fatal = set()
    config = SHORT.changed(budget_kimg=0.2, snapshots=1)
    return train(make_cohort(), _Exploding, AlgorithmConfig(batch_size=8), config, out)


def test_a_loss_that_is_not_finite_again_stops_the_run_with_a_diagnosis(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"not finite at 280 images, again after the learning rate was halved; .*"):
        explode(tmp_path / "run", {280}, times=2)
    assert not (tmp_path / "run").exists()


def test_a_run_that_went_back_continues_with_the_halved_rate(tmp_path: Path) -> None:
    reference = networks(explode(tmp_path / "reference", {240}, times=1))
    _Exploding.fatal, _Exploding.times = {240}, 1
    settings = AlgorithmConfig(batch_size=8)
    with pytest.raises(_StopError):
        train(make_cohort(), _Exploding, settings, SHORT, tmp_path / "run", progress=stop_at(248))
    assert _Exploding.times == 0, "it has gone back before it was stopped"
    assert same(networks(train(make_cohort(), _Exploding, settings, SHORT, tmp_path / "run")), reference)


class _Greedy(_Exploding):
    """Asks for more memory than there is."""

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = torch.empty(2**50).sum()
        return loss, {}


def test_memory_that_runs_out_says_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"out of memory with batch_size 8: .*--set accumulate=2"):
        train(make_cohort(), _Greedy, AlgorithmConfig(batch_size=8), SHORT, tmp_path / "run")


def test_a_run_on_a_saved_cohort_records_its_identity(tmp_path: Path) -> None:
    cohort = saved_cohort(tmp_path / "cohort")
    out = train(cohort, Dcgan, SMALL, SHORT, tmp_path / "run")
    assert read_card(out, "run")["config"]["cohort"] == cohort.identity


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path: Path) -> None:
    with pytest.raises(_StopError):
        run(tmp_path / "run", config=SHORT.changed(checkpoint_every_s=0), progress=stop_at(300))
    partial = tmp_path / "run.partial"
    for name in (".checkpoint.safetensors.tmp-99", "samples/.000000200.png.tmp-99"):
        (partial / name).write_bytes(b"half")
    out = run(tmp_path / "run", config=SHORT.changed(checkpoint_every_s=0))
    assert not [path for path in out.rglob("*") if "tmp" in path.name]
    assert not [name for name in read_card(out, "run")["files"] if "tmp" in name]


def test_a_partial_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtefactError, match=r"holds 'thesis\.txt' but no run"):
        run(tmp_path / "run", force=True)
    assert (tmp_path / "run.partial" / "thesis.txt").exists()


def test_two_processes_cannot_train_in_one_folder(tmp_path: Path) -> None:
    from dermsynth.core.locks import alone_in

    (tmp_path / "run.partial").mkdir()
    with alone_in(tmp_path / "run.partial"), pytest.raises(ArtefactError, match="another process is at work here"):
        run(tmp_path / "run")
    assert run(tmp_path / "run").exists()


def test_another_cohort_in_memory_does_not_continue_a_run(tmp_path: Path) -> None:
    with pytest.raises(_StopError):
        run(tmp_path / "run", progress=stop_at(100))
    with pytest.raises(ArtefactError, match=r"other settings \(cohort"):
        train(make_cohort(seed=1), Dcgan, SMALL, SHORT, tmp_path / "run")


def test_a_run_killed_while_it_is_completed_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dermsynth.core import artefacts

    reference = networks(run(tmp_path / "whole"))
    often = SHORT.changed(checkpoint_every_s=0)
    with monkeypatch.context() as patched:
        patched.setattr(artefacts, "finish", stop_at(0))
        with pytest.raises((_StopError, TypeError)):
            run(tmp_path / "run", config=often)
    told: list[int] = []
    finished = run(tmp_path / "run", config=often, progress=lambda done, total: told.append(done))
    assert told == [], "it was trained already"
    assert same(networks(finished), reference)


def test_the_run_carries_the_licence_of_what_it_learnt_from(tmp_path: Path) -> None:
    cohort = make_cohort().save(tmp_path / "cohort", facts={"licence": "CC BY-NC 4.0"})
    cohort = replace(cohort, table=make_cohort().table)
    out = train(cohort, Dcgan, SMALL, SHORT, tmp_path / "run")
    assert read_card(out, "run")["licence"] == "CC BY-NC 4.0"
