"""A whole trial by its command: from a YAML file to a verdict and a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.journeys.commands import TRIAL, dermsynth, one_line

from dermsynth.trials.costs import read_costs


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished trial."""
    folder = tmp_path_factory.mktemp("trial")
    (folder / "trial.yaml").write_text(TRIAL)
    printed = dermsynth("trial", "run", "trial.yaml", "--out", "trial", "--threads", "1", cwd=folder).stdout
    (folder / "printed").write_text(printed)
    return folder


def test_the_sentence_is_printed_and_is_the_verdicts(work: Path) -> None:
    verdict = json.loads((work / "trial" / "verdict.json").read_text())
    assert verdict["sentence"] in (work / "printed").read_text()


def test_every_arm_is_judged_on_every_seed(work: Path) -> None:
    verdict = json.loads((work / "trial" / "verdict.json").read_text())
    assert list(verdict["arms"]) == ["real", "classical", "oversampled", "hybrid", "placebo", "oracle"]
    assert all(len(arm["balanced_accuracy"]["by_seed"]) == 2 for arm in verdict["arms"].values())


def test_arms_that_enlarge_trained_on_the_same_counts(work: Path) -> None:
    arms = json.loads((work / "trial" / "verdict.json").read_text())["arms"]
    counts = [arms[name]["train_counts"] for name in arms if name != "real"]
    assert all(count == counts[0] for count in counts)
    assert sum(counts[0].values()) > sum(arms["real"]["train_counts"].values())


def test_the_report_and_the_data_behind_it_are_there(work: Path) -> None:
    names = {path.name for path in (work / "trial").iterdir()}
    records = {"protocol.yaml", "index.json", "verdict.json", "fidelity.json", "audit.json", "card.json", "status.json"}
    assert names == records | {"report.html", "jobs"}


def test_every_job_has_a_log_and_a_cost_beside_it_and_not_in_it(work: Path) -> None:
    jobs = work / "trial" / "jobs"
    folders = {path.parent.name for path in jobs.glob("[!.]*/card.json")}
    assert {path.stem for path in (jobs / "logs").iterdir()} == folders
    assert set(read_costs(jobs)) == folders
    assert all(cost.processor_s for cost in read_costs(jobs).values())


def test_a_finished_trial_says_so_from_another_terminal(work: Path) -> None:
    told = json.loads(dermsynth("trial", "status", "trial", "--json", cwd=work).stdout)
    assert told["state"] == "finished"
    assert told["counts"]["done"] == len(told["jobs"])
    assert "trial: finished" in dermsynth("trial", "status", "trial", cwd=work).stdout


def test_the_plan_has_the_counts_of_the_trial_that_follows(work: Path) -> None:
    plan = json.loads(dermsynth("trial", "plan", "trial.yaml", "--json", cwd=work).stdout)
    verdict = json.loads((work / "trial" / "verdict.json").read_text())
    assert plan["arms"] == {name: arm["train_counts"] for name, arm in verdict["arms"].items()}
    assert {job["folder"] for job in plan["jobs"]} == set(read_costs(work / "trial" / "jobs"))
    assert plan["work_s"] >= plan["wall_s"] >= plan["critical_s"] > 0


def test_the_plan_of_a_finished_trial_has_nothing_to_do(work: Path) -> None:
    plan = json.loads(dermsynth("trial", "plan", "trial.yaml", "--out", "trial", "--json", cwd=work).stdout)
    assert all(job["done"] for job in plan["jobs"])
    assert plan["work_s"] == plan["kept_bytes"] == 0


def test_trials_that_share_a_folder_share_what_is_the_same_in_them(work: Path) -> None:
    arms = ", hybrid, placebo, oracle]"
    (work / "one.yaml").write_text(TRIAL.replace("repeats: 2", "repeats: 1").replace(arms, "]\ntreatment: classical"))
    other = TRIAL.replace("repeats: 2", "repeats: 1").replace("classical, oversampled" + arms, "oversampled]")
    (work / "two.yaml").write_text(other + "treatment: real\n")
    run = ["--threads", "1", "--jobs", "shared"]
    dermsynth("trial", "run", "one.yaml", "--out", "one", *run, cwd=work)
    made = {path: path.stat().st_mtime_ns for path in (work / "shared").glob("*/card.json")}
    dermsynth("trial", "run", "two.yaml", "--out", "two", *run, cwd=work)
    assert {path: path.stat().st_mtime_ns for path in (work / "shared").glob("*/card.json")} == made
    index = json.loads((work / "two" / "index.json").read_text())
    assert index["cohort"].startswith("../shared/cohort-")
    before = (work / "two" / "verdict.json").read_bytes()
    # Replaced, one trial leaves what the other has; both together can be moved; where the jobs are is remembered.
    dermsynth("trial", "run", "one.yaml", "--out", "one", *run, "--force", cwd=work)
    assert {path: path.stat().st_mtime_ns for path in (work / "shared").glob("*/card.json")} == made
    (work / "moved").mkdir()
    for name in ("one", "two", "shared"):
        (work / name).rename(work / "moved" / name)
    dermsynth("trial", "run", work / "two.yaml", "--out", "two", "--threads", "1", cwd=work / "moved")
    assert (work / "moved" / "two" / "verdict.json").read_bytes() == before
    assert not (work / "moved" / "two" / "jobs").exists()
    assert "<h1" in (work / "trial" / "report.html").read_text(encoding="utf-8")


LEAKY = """
name: leaky
seed: 3
repeats: 2
cohort:
  source: {kind: phantom, counts: {bkl: 40, mel: 40, nv: 80}, several_photos: 1.0}
  size_px: 16
  split: {scheme: image, val: 0.1, test: 0.2}
fill_to: 70
arms: [real, oversampled]
treatment: real
control: oversampled
classifier: {budget_kimg: 1}
"""


def test_a_leaky_split_is_marked_wherever_its_results_stand(tmp_path: Path) -> None:
    (tmp_path / "trial.yaml").write_text(LEAKY)
    printed = dermsynth("trial", "run", "trial.yaml", "--out", "trial", "--threads", "1", cwd=tmp_path).stdout
    assert "The split is leaky: " in printed
    assert "Leaky split." in (tmp_path / "trial" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "trial" / "verdict.json").read_text())["leaky"].endswith(" that is in train")


def test_a_second_run_does_nothing_and_says_the_same(work: Path) -> None:
    cards = {path: path.stat().st_mtime_ns for path in (work / "trial" / "jobs").glob("[!.]*/card.json")}
    printed = dermsynth("trial", "run", "trial.yaml", "--out", "trial", "--threads", "1", cwd=work).stdout
    assert printed == (work / "printed").read_text()
    assert {path: path.stat().st_mtime_ns for path in cards} == cards


def test_the_report_can_be_made_again_from_predictions_alone(work: Path) -> None:
    trial = work / "trial"
    before = (trial / "verdict.json").read_bytes()
    (trial / "verdict.json").unlink()
    dermsynth("trial", "report", "trial", cwd=work)
    assert (trial / "verdict.json").read_bytes() == before


def test_another_protocol_in_the_same_folder_is_refused(work: Path) -> None:
    (work / "other.yaml").write_text(TRIAL.replace("fill_to: 30", "fill_to: 31"))
    error = one_line(dermsynth("trial", "run", "other.yaml", "--out", "trial", cwd=work, code=2).stderr)
    assert "holds a trial with another protocol" in error


def test_a_folder_that_is_no_trial_is_left_alone(work: Path) -> None:
    (work / "mine").mkdir()
    (work / "mine" / "thesis.txt").write_text("years of work")
    error = one_line(dermsynth("trial", "run", "trial.yaml", "--out", "mine", "--force", cwd=work, code=2).stderr)
    assert "is no trial; choose another --out" in error
    assert (work / "mine" / "thesis.txt").exists()


def test_force_deletes_the_trial_and_nothing_beside_it(work: Path) -> None:
    trial = work / "forced"
    short = TRIAL.replace("repeats: 2", "repeats: 1").replace(", hybrid, placebo, oracle]", "]\ntreatment: classical")
    (work / "short.yaml").write_text(short)
    dermsynth("trial", "run", "short.yaml", "--out", "forced", "--threads", "1", cwd=work)
    (trial / "notes.txt").write_text("mine")
    before = (trial / "verdict.json").read_bytes()
    dermsynth("trial", "run", "short.yaml", "--out", "forced", "--threads", "1", "--force", cwd=work)
    assert (trial / "notes.txt").exists()
    assert (trial / "verdict.json").read_bytes() == before


def test_a_source_that_is_not_there_leaves_a_trial_untouched(work: Path) -> None:
    wrong = TRIAL.replace("{kind: phantom, counts: {bkl: 30, mel: 40, nv: 60}}", "{kind: folder, root: nowhere}")
    (work / "wrong.yaml").write_text(wrong.replace(", oracle]", "]"))
    before = (work / "trial" / "verdict.json").read_bytes()
    arguments = ["trial", "run", "wrong.yaml", "--out", "trial", "--force"]
    assert "nowhere: no such folder" in one_line(dermsynth(*arguments, cwd=work, code=2).stderr)
    assert (work / "trial" / "verdict.json").read_bytes() == before


def test_a_fill_to_that_enlarges_nothing_is_refused_before_training(work: Path) -> None:
    (work / "small.yaml").write_text(TRIAL.replace("fill_to: 30", "fill_to: 3"))
    printed = dermsynth("trial", "run", "small.yaml", "--out", "small", "--threads", "1", cwd=work, code=2).stderr
    assert "fill_to is 3, but the smallest class has" in printed.splitlines()[-1]
    assert not list((work / "small" / "jobs").glob("run-*"))


def test_another_seed_draws_other_lesions(work: Path) -> None:
    from dermsynth.trials.loading import load_protocol
    from dermsynth.trials.plan import plan

    protocol = load_protocol(work / "trial.yaml")
    cohorts = [plan(protocol.changed(seed=seed))[0][0] for seed in (0, 1)]
    assert [job.config["source"]["seed"] for job in cohorts] == [0, 1]
