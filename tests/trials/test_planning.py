"""What a planned trial would see: its lesions, the noise of an earlier trial, and the forecast."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.helpers import CLASSES, make_cohort, saved_cohort
from tests.trials.earlier import SMALL, earlier_trial

from dermsynth.cohorts.cohort import Cohort
from dermsynth.core.errors import ArtefactError, ConfigError, InputError
from dermsynth.metrics.power import Noise
from dermsynth.trials.loading import PRESETS
from dermsynth.trials.plan import plan as jobs_of
from dermsynth.trials.power import Plan, forecast, noise_like, planned
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.verdict import Declared
from dermsynth.trials.work import make_cohort as job_of_cohort


def protocol(folder: Path, **changes: object) -> Path:
    (folder / "plan.yaml").write_text(yaml.safe_dump({**SMALL, **changes}))
    return folder / "plan.yaml"


def test_the_lesions_of_a_protocol_are_those_of_its_cohort(tmp_path: Path) -> None:
    path = protocol(tmp_path)
    found = planned(path)
    job = jobs_of(Protocol.model_validate(SMALL))[0][0]
    job_of_cohort(job.config, {}, tmp_path / "cohort")
    test = Cohort.open(tmp_path / "cohort").part("test").table
    expected = {name: test.filter(label=name)["lesion_id"].n_unique() for name in ("mel", "nv")}
    assert found.lesions == expected
    assert (found.repeats, found.endpoint.smallest_difference) == (4, 0.05)


def test_a_label_map_counts_its_own_classes(tmp_path: Path) -> None:
    cohort = {**SMALL["cohort"], "labels": "benign-malignant"}  # type: ignore[dict-item]
    found = planned(protocol(tmp_path, cohort=cohort))
    assert list(found.lesions) == ["benign", "malignant"]
    assert min(found.lesions.values()) > 0


def test_a_split_cohort_is_a_plan_with_the_usual_endpoint(tmp_path: Path) -> None:
    saved_cohort(tmp_path / "cohort")
    found = planned(tmp_path / "cohort")
    test = make_cohort().part("test").table
    assert found.lesions == {name: test.filter(label=name).height for name in CLASSES}
    assert (found.repeats, found.endpoint) == (3, Declared())


def test_a_preset_is_meant_where_a_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert (PRESETS / "demo.yaml").exists()
    assert sum(planned("demo").lesions.values()) > 100


def test_what_is_no_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no card\.json, so it is no complete cohort"):
        planned(tmp_path)
    with pytest.raises(ConfigError, match="no preset 'dmeo'; did you mean 'demo'"):
        planned("dmeo")


def test_the_noise_of_a_trial_is_that_of_its_fits_in_the_order_of_the_plan(tmp_path: Path) -> None:
    folder = earlier_trial(tmp_path / "trial")
    found = noise_like(folder, ("mel", "nv"))
    assert found.lesion + found.churn == pytest.approx([2 * 0.5 * 0.5, 2 * 0.9 * 0.1], abs=0.12)
    turned = noise_like(folder, ("nv", "mel"))
    assert turned.churn.tolist() == found.churn[::-1].tolist()
    assert turned.together == found.together


def test_a_trial_that_tells_nothing_about_the_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has the classes mel, nv; the plan has bcc, nv: choose a trial"):
        noise_like(earlier_trial(tmp_path / "a"), ("bcc", "nv"))
    with pytest.raises(InputError, match="b: one seed was trained"):
        noise_like(earlier_trial(tmp_path / "b", seeds=(0,)), ("mel", "nv"))
    with pytest.raises(InputError, match="hybrid and oversampled judged every lesion alike; it tells nothing"):
        noise_like(earlier_trial(tmp_path / "d", alike=True), ("mel", "nv"))
    with pytest.raises(ArtefactError, match="no such folder; expected a dermsynth trial"):
        noise_like(tmp_path / "c", ("mel", "nv"))


def test_a_forecast_holds_the_plan_among_its_alternatives() -> None:
    plan = Plan({"mel": 50, "nv": 500}, 7, Declared())
    found = forecast(plan, Noise.assumed(2, discordance=0.2, seed_sd=0.01))
    assert list(found.alternatives) == [3, 5, 7, 10, 20]
    assert found.alternatives[7][0] == found.balanced_accuracy[0] < found.balanced_accuracy[1]
    assert found.recall["mel"][0] > found.recall["nv"][0]
    assert found.alternatives[7][2] < found.alternatives[7][1] < found.alternatives[7][0]
    large = forecast(Plan({"mel": 50_000, "nv": 50_000}, 20, Declared()), Noise.assumed(2, discordance=0.1, seed_sd=0))
    assert found.equivalent < 0.1 < 0.99 < large.equivalent
