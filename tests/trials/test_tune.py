"""The search: equal budgets, counted suggestions, resume, killed and failed tries; and that nothing reads the test."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from dermsynth.classifiers.predictions import read_predictions
from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ArtefactError, ConfigError, DivergedError, InputError
from dermsynth.metrics.scores import balanced_accuracy
from dermsynth.trials.hidden import BLANK
from dermsynth.trials.loading import load_protocol
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.space import parse_space
from dermsynth.trials.tries import Tuning
from dermsynth.trials.tune import _Search, tune
from dermsynth.trials.tuned import file_name, write_results

DECLARED: dict[str, Any] = {
    "name": "tiny",
    "repeats": 2,
    "cohort": {
        "source": {"kind": "phantom", "counts": {"bkl": 30, "mel": 40, "nv": 60}},
        "size_px": 16,
        "split": {"val": 0.25, "test": 0.35, "near_duplicates": False},
    },
    "fill_to": 30,
    "generator": {"settings": {"width": 2, "batch_size": 8}, "training": {"budget_kimg": 0.1, "snapshots": 1}},
    "arms": ["real", "oversampled", "hybrid"],
    "classifier": {"width": 2, "budget_kimg": 0.1, "evaluations": 1},
}
PROTOCOL = Protocol.model_validate(DECLARED)
RATE, OPTIMISER = "classifier.learning_rate=1e-4..1e-1:log", "classifier.optimiser=adam,sgd"
ARMS = ("real", "hybrid")
Made = Callable[[str, Protocol], float]


def searched(out: Path, *, trials: int = 6, over: tuple[str, ...] = (RATE, OPTIMISER), **options: Any) -> Tuning:
    protocol = options.pop("protocol", PROTOCOL)
    options.setdefault("arms", ARMS)
    with ThreadPoolExecutor(1) as executor:
        return tune(protocol, parse_space(over, protocol), out, trials=trials, executor=executor, **options)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Made], None]:
    """Let a function of arm and protocol give the scores, without any fit."""

    def put(score: Made) -> None:
        monkeypatch.setattr(_Search, "score", lambda self, arm, protocol, workers: score(arm, protocol))

    put(lambda arm, protocol: 1 - abs(protocol.classifier.learning_rate - 0.01))
    return put


def values_of(found: Tuning, arm: str = "real") -> list[dict[str, Any]]:
    return [one.values for one in found.of(arm)]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tuning, list[str]]:
    """Return a search with real fits, and every cohort folder that was opened meanwhile."""
    torch.set_num_threads(1)  # this runs before the fixture that does so for every test
    out = tmp_path_factory.mktemp("tune") / "out"
    opened: list[str] = []
    original = Cohort.open.__func__  # type: ignore[attr-defined]

    def noted(cls: type[Cohort], path: Path | str, **options: Any) -> Cohort:
        opened.append(Path(path).name.split("-")[0] + ("*" if ".partial" in str(path) else ""))
        found: Cohort = original(cls, path, **options)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cohort, "open", classmethod(noted))
        found = searched(out, trials=2, over=(RATE,))
    write_results(found, PROTOCOL, out)
    return out, found, opened


def test_only_the_job_that_hides_the_test_part_opens_the_whole_cohort(
    real: tuple[Path, Tuning, list[str]],
) -> None:
    opened = real[2]
    assert opened.count("cohort") == 1
    assert opened.count("hidden") > 5


def test_no_test_image_is_predicted(real: tuple[Path, Tuning, list[str]]) -> None:
    jobs = real[0] / "jobs"
    (cohort,) = (Cohort.open(path) for path in jobs.glob("cohort-*"))
    test = set(cohort.part("test").table["image_id"])
    assert len(test) > 20
    fits = sorted(jobs.glob("fit-*/predictions.parquet"))
    assert len(fits) == 2 * 2 * 2
    for path in fits:
        table = pl.read_parquet(path)
        assert not test & set(table["image_id"])
        assert table.filter(pl.col("split") != "val")["image_id"].str.starts_with(BLANK).all()


def test_a_score_is_the_mean_over_repeats_of_balanced_accuracy_on_val(real: tuple[Path, Tuning, list[str]]) -> None:
    out, found, _ = real
    scores = []
    for path in (out / "jobs").glob("fit-*"):
        card = json.loads((path / "card.json").read_text())
        if card["arm"] == "real" and card["config"]["learning_rate"] == 0.001:
            val = read_predictions(path, "val")
            scores.append(balanced_accuracy(val.labels, val.predicted, 3))
    assert len(scores) == 2
    assert found.own_score("real") == pytest.approx(sum(scores) / 2)


def test_cohort_and_generator_are_made_once(real: tuple[Path, Tuning, list[str]]) -> None:
    kinds = [path.name.split("-")[0] for path in (real[0] / "jobs").iterdir()]
    assert [kinds.count(kind) for kind in ("cohort", "hidden", "run", "pool")] == [1, 1, 1, 2]


def test_the_results_are_a_table_and_protocols_that_can_be_run(real: tuple[Path, Tuning, list[str]]) -> None:
    out, found, _ = real
    table = pl.read_csv(out / "tries.csv")
    assert table.columns == ["arm", "number", "state", "score", "seconds", "classifier.learning_rate", "reason"]
    assert table["arm"].to_list() == ["real", "real", "hybrid", "hybrid"]
    best = found.best("hybrid")
    assert best is not None
    assert best.score == max(one.score or 0 for one in found.of("hybrid"))
    overlay = yaml.safe_load((out / "best-hybrid.yaml").read_text())
    assert overlay == {"classifier": {"learning_rate": best.values["classifier.learning_rate"]}}
    block = {**DECLARED["classifier"], **overlay["classifier"]}
    assert load_protocol(out / "tuned-hybrid.yaml") == Protocol.model_validate({**DECLARED, "classifier": block})
    told = json.loads((out / "best.json").read_text())["arms"]["hybrid"]
    assert told == {
        "tries": 2,
        "failed": 0,
        "own_score": found.own_score("hybrid"),
        "score": best.score,
        "values": best.values,
    }
    assert json.loads((out / "card.json").read_text())["kind"] == "tuning"


def test_every_arm_has_the_same_number_of_tries_at_any_time(tmp_path: Path, made_up: Any) -> None:
    order: list[str] = []
    found = searched(tmp_path / "a", tell=lambda one: order.append(one.arm))
    assert order == ["real", "hybrid"] * 6
    assert {arm: len(found.of(arm)) for arm in ARMS} == {"real": 6, "hybrid": 6}
    assert found.finished


def test_the_first_try_has_the_protocols_own_values(tmp_path: Path, made_up: Any) -> None:
    own = {"classifier.learning_rate": 0.001, "classifier.optimiser": "adam"}
    assert values_of(searched(tmp_path / "a", trials=1)) == [own]
    outside = searched(tmp_path / "b", trials=1, over=("classifier.learning_rate=0.1..0.2",))
    assert outside.own_score("real") is None


def test_the_same_seed_suggests_the_same_and_another_one_other_values(tmp_path: Path, made_up: Any) -> None:
    one, two = (values_of(searched(tmp_path / name, trials=14)) for name in "ab")
    assert one == two
    assert len({json.dumps(values) for values in one}) == 14
    other = searched(tmp_path / "c", protocol=PROTOCOL.changed(seed=1))
    assert values_of(other)[1:] != one[1:6]


@pytest.mark.parametrize("storage", [None, "tries.db", "tries.journal", "sqlite:///{}/url.db"])
def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    tmp_path: Path, made_up: Any, storage: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = storage.format(tmp_path) if storage else None
    whole = searched(tmp_path / "whole", trials=5, arms=["real"])
    assert not searched(tmp_path / "parts", trials=3, arms=["real"], storage=where).tries[3:]
    assert values_of(searched(tmp_path / "parts", trials=5, arms=["real"], storage=where)) == values_of(whole)
    assert (tmp_path / "parts" / "study.journal").exists() == (storage is None)


def test_the_search_finds_what_is_better(tmp_path: Path, made_up: Any) -> None:
    found = searched(tmp_path / "a", trials=30, arms=["real"], over=(RATE,))
    best, own = found.best("real"), found.own_score("real")
    assert best is not None
    assert own is not None
    assert best.score is not None
    assert best.score > own
    assert best.values["classifier.learning_rate"] == pytest.approx(0.01, abs=0.004)


def test_values_that_cannot_be_used_fail_and_count(tmp_path: Path, made_up: Any) -> None:
    def score(arm: str, protocol: Protocol) -> float:
        if protocol.classifier.optimiser == "sgd":
            raise DivergedError("the loss is no longer finite")
        return 0.5

    made_up(score)
    found = searched(tmp_path / "a")
    failed = [one for one in found.tries if one.state == "failed"]
    assert failed
    assert {one.reason for one in failed} == {"the loss is no longer finite"}
    assert len(found.tries) == 12
    write_results(found, PROTOCOL, tmp_path / "a")
    assert "the loss is no longer finite" in (tmp_path / "a" / "tries.csv").read_text()


def test_a_search_in_which_all_fails_says_why(tmp_path: Path, made_up: Any) -> None:
    def score(arm: str, protocol: Protocol) -> float:
        raise InputError("no such image")

    made_up(score)
    with pytest.raises(ConfigError, match="no try succeeded; the first one: no such image"):
        searched(tmp_path / "a", trials=2)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.trials import test_tune as here
def score(self, arm, protocol, workers):
    if protocol.classifier.learning_rate != 0.001:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5
here._Search.score = score
here.searched(Path({out!r}), trials=3, arms=["real"])
"""


def test_a_killed_try_is_marked_and_its_values_are_tried_again(tmp_path: Path, made_up: Any) -> None:
    code = KILLED.format(tests=str(Path(__file__).parents[2]), out=str(tmp_path / "a"))
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == -9
    found = searched(tmp_path / "a", trials=3, arms=["real"])
    assert [one.state for one in found.tries] == ["done", "killed", "done", "done"]
    assert found.tries[1].values == found.tries[2].values
    whole = searched(tmp_path / "b", trials=3, arms=["real"])
    assert values_of(whole) == [one.values for one in found.tries if one.state == "done"]


def test_two_at_once_share_the_tries(tmp_path: Path, made_up: Any) -> None:
    meeting = threading.Barrier(2, timeout=200)
    told: list[list[tuple[str, int]]] = [[], []]

    def score(arm: str, protocol: Protocol) -> float:
        if protocol.classifier.learning_rate == 0.001:
            meeting.wait()  # neither goes on before both have a try
        return protocol.classifier.learning_rate

    made_up(score)

    def work(number: int) -> None:
        searched(tmp_path / "a", trials=5, tell=lambda one: told[number].append((one.arm, one.number)))

    workers = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(told[0] + told[1]) == sorted((arm, number) for arm in ARMS for number in range(5))
    assert all(told)


def test_a_folder_holds_one_search(tmp_path: Path, made_up: Any) -> None:
    searched(tmp_path / "a", trials=1)
    with pytest.raises(
        ArtefactError, match="holds a search with another protocol, space or arms; choose another --out"
    ):
        searched(tmp_path / "a", trials=1, over=(RATE,))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtefactError, match="already exists and is no search"):
        searched(tmp_path / "mine", trials=1)


def test_arms_are_those_that_a_key_acts_on(tmp_path: Path, made_up: Any) -> None:
    width = "generator.settings.width=2..4"
    assert searched(tmp_path / "a", trials=1, over=(width,), arms=()).arms == ("hybrid",)
    assert searched(tmp_path / "b", trials=1, over=(width, RATE), arms=()).arms == ("real", "oversampled", "hybrid")
    with pytest.raises(ConfigError, match=r"--arm real: no fit of it depends on generator\.settings\.width"):
        searched(tmp_path / "c", over=(width,), arms=("real",))
    with pytest.raises(ConfigError, match="--arm hybird: no such arm; did you mean 'hybrid'"):
        searched(tmp_path / "d", arms=("hybird",))


def test_a_storage_that_cannot_be_opened_is_one_line(tmp_path: Path, made_up: Any) -> None:
    with pytest.raises(ConfigError, match=r"^--storage sqlite:////nowhere/x\.db: cannot be opened") as error:
        searched(tmp_path / "a", storage="sqlite:////nowhere/x.db")
    assert "\n" not in str(error.value)


def test_an_arms_name_becomes_a_files() -> None:
    assert file_name("hybrid fill_to=250") == "hybrid-fill_to-250"
