from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fabricated import add_audit, add_fidelity, add_findings, fabricate

from dermsynth.core import artefacts
from dermsynth.reports.report import write_report

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags, attributes, ids and visible text of a page; fails on tags that are closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(finished_trial: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    trial = Path(shutil.copytree(finished_trial, tmp_path_factory.mktemp("report") / "trial"))
    add_fidelity(trial)
    add_audit(trial)
    return write_report(trial).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial of two arms and one seed, without extras, of patients without a licence, with awkward names."""
    folder = tmp_path_factory.mktemp("least") / "trial"
    arms = ("oversampled", "hybrid")
    fabricate(folder, seeds=(4,), arms=arms, size_px=16, source="<i>a clinic</i>", licence=None, name="<b>x</b> & co")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def least_page(least: Path) -> Page:
    return Page((least / "report.html").read_text(encoding="utf-8"))


def test_the_report_lies_in_the_trial_and_nothing_else_is_left(least: Path) -> None:
    assert {path.name for path in least.iterdir()} == {
        "index.json",
        "jobs",
        "protocol.yaml",
        "report.html",
        "verdict.json",
    }


def test_the_same_trial_gives_the_same_bytes_wherever_it_lies(least: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(least, tmp_path / "elsewhere"))
    assert write_report(copy).read_bytes() == (least / "report.html").read_bytes()


def test_the_page_needs_nothing_from_outside(html: str, page: Page) -> None:
    assert "http:" not in html
    assert "https:" not in html
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", " ".join(" ".join(a.values()) for _, a in page.tags))
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert {"@import", "url(h"}.isdisjoint(re.findall(r"@import|url\(h", html))


def test_the_page_has_no_script(page: Page) -> None:
    assert not page.all("script")


def test_the_sentence_comes_before_any_figure(page: Page) -> None:
    tags = [name for name, _ in page.tags]
    assert tags.index("h1") < min(tags.index("svg"), tags.index("img"), tags.index("figure"), tags.index("table"))
    assert re.search(r"over 3 seeds, training on hybrid instead of oversampled", page.text)


def test_the_outcome_is_told_by_word_and_sign(page: Page) -> None:
    assert re.search(r"[▲▼=?] (helps|harms|equivalent|inconclusive)", page.text)


@pytest.mark.parametrize(
    "section",
    [
        "comparisons",
        "robustness",
        "arms",
        "classes",
        "data",
        "images",
        "training",
        "fidelity",
        "audit",
        "ran",
        "reading",
    ],
)
def test_every_section_is_there_and_reachable(page: Page, section: str) -> None:
    assert section in [attributes.get("id") for attributes in page.all("section")]
    assert f"#{section}" in [attributes["href"] for attributes in page.all("a")]


def test_ids_are_unique_and_every_reference_has_its_target(html: str, page: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert max(ids.values()) == 1
    references = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")} | set(
        re.findall(r"url\(#([^)]+)\)", html)
    )
    labels = {name for _, attributes in page.tags for name in attributes.get("aria-labelledby", "").split()}
    assert references | labels <= set(ids)


def test_headings_skip_no_level(page: Page) -> None:
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_page_has_one_of_every_landmark(page: Page) -> None:
    assert [len(page.all(name)) for name in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]


def test_figures_images_and_tables_are_described(page: Page) -> None:
    plots = [attributes for attributes in page.all("svg") if attributes.get("class") == "plot"]
    assert len(plots) >= 12
    assert all(attributes["aria-labelledby"].split() for attributes in plots)
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(attributes.get("scope") in ("row", "col", "colgroup") for attributes in page.all("th"))


def test_the_confusion_matrices_state_their_orientation(page: Page) -> None:
    assert "Rows are the actual class, columns the predicted one." in page.text
    assert page.text.count("rows = actual, columns = predicted") == 6


def test_the_rows_of_a_confusion_matrix_are_the_actual_classes(html: str) -> None:
    assert re.search(r"of \d+ predictions for actual akiec said bcc", html)


def test_every_arm_has_its_numbers(page: Page) -> None:
    for arm in ("real", "classical", "oversampled", "hybrid", "placebo", "oracle"):
        assert re.search(rf"{arm} (control |treatment )?\d+\.\d \d+\.\d–\d+\.\d", page.text)


def test_fidelity_stands_beside_its_floor_and_is_not_called_fid(page: Page) -> None:
    assert "This is not FID" in page.text
    assert "Floor: real to real" in page.text


def test_the_page_says_that_it_is_no_medical_device(page: Page) -> None:
    assert "not a medical device" in page.text


def test_drawn_lesions_are_not_called_patients(page: Page) -> None:
    assert "They show no patient." in page.text
    assert "contains images of patients" not in page.text


def test_images_of_patients_are_announced_with_their_licence(tmp_path: Path) -> None:
    arms = ("oversampled", "hybrid")
    trial = fabricate(tmp_path / "t", seeds=(0,), arms=arms, size_px=16, source="ISIC 2018", licence="CC-BY-NC-4.0")
    text = Page(write_report(trial).read_text(encoding="utf-8")).text
    assert "contains images of patients" in text
    assert "licence CC-BY-NC-4.0" in text


def test_images_of_patients_without_a_licence_are_not_to_be_passed_on(least_page: Page) -> None:
    assert "states no licence" in least_page.text


def test_names_are_escaped(least_page: Page) -> None:
    assert not least_page.all("b")
    assert not least_page.all("i")
    assert "Trial <b>x</b> & co" in least_page.text
    assert "<i>a clinic</i>" in least_page.text


def test_sections_without_their_file_are_absent(least_page: Page) -> None:
    assert {"fidelity", "audit", "elsewhere", "doses", "costs"}.isdisjoint(
        attributes.get("id") for attributes in least_page.all("section")
    )


def test_with_one_seed_the_interval_is_said_to_leave_training_out(least_page: Page) -> None:
    assert "with one seed it does not cover the chance in training" in least_page.text


def test_with_two_arms_there_are_no_others(least_page: Page) -> None:
    assert "Confusion matrices of the other arms" not in least_page.text


def test_jobs_without_samples_and_history_are_handled(least: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(least, tmp_path / "trial"))
    for job in [*trial.glob("jobs/run-*"), *trial.glob("jobs/fit-*")]:
        card = artefacts.read_card(job, "run" if job.name.startswith("run") else "fit")
        gone = [name for name in card["files"] if not name.endswith("predictions.parquet")]
        for name in gone:
            (job / name).unlink()
            del card["files"][name]
        artefacts.write_json(job / "card.json", card)
    assert "kept no samples and no history" in Page(write_report(trial).read_text(encoding="utf-8")).text


def figures_of(html: str) -> list[str]:
    """Return what every figure says to those who do not see it."""
    found = re.findall(r'<title id="[^"]*-title">(.*?)</title>(?:<desc[^>]*>(.*?)</desc>)?', html)
    return [f"{title}: {description}" for title, description in found]


def test_the_generator_is_shown_beside_real_images(html: str, page: Page) -> None:
    labels = figures_of(html)
    assert "kernel distance over images seen: From 40.00 to 0.14; real images: -0.01." in labels
    assert [label for label in labels if label.startswith(("diversity over", "coverage over"))]
    assert "The ring marks the snapshot that was kept" in page.text


def test_monitors_that_noticed_nothing_say_so(page: Page) -> None:
    assert "The monitors of the training noticed nothing" in page.text


def test_what_the_monitors_noticed_is_told(least: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(least, tmp_path / "trial"))
    add_findings(trial, "mode collapse: <all> alike", "getting worse: stop earlier")
    text = Page(write_report(trial).read_text(encoding="utf-8")).text
    assert "at 12,000 images mode collapse: <all> alike at 12,000 images getting worse: stop earlier" in text
    assert "noticed nothing" not in text


def test_every_loss_of_an_algorithm_is_drawn(least: Path, tmp_path: Path) -> None:
    # One without a discriminator: no scores, and losses with names of its own.
    trial = Path(shutil.copytree(least, tmp_path / "trial"))
    (run,) = trial.glob("jobs/run-*")
    history = [{"images_seen": 100 * i, "loss_flow": 1 / i, "loss_own_term": 0.5, "rate": 3.0} for i in range(1, 5)]
    (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    card = json.loads((run / "card.json").read_text())
    del card["files"]["history.jsonl"]
    artefacts.write_json(run / "card.json", card)
    labels = figures_of(write_report(trial).read_text(encoding="utf-8"))
    assert "loss over images seen: flow from 1.00 to 0.25; own term from 0.50 to 0.50." in labels
    assert not [label for label in labels if label.startswith("mean score")]


def test_a_trial_without_a_generator_is_handled(least: Path, tmp_path: Path) -> None:
    trial = Path(shutil.copytree(least, tmp_path / "trial"))
    index = json.loads((trial / "index.json").read_text())
    artefacts.write_json(trial / "index.json", {**index, "runs": [], "pools": {}})
    text = Page(write_report(trial).read_text(encoding="utf-8")).text
    assert "none: this class was not enlarged" in text


def test_what_ran_lists_seeds_versions_and_hashes(page: Page) -> None:
    assert re.search(r"fit of hybrid 2 22\Ws [0-9a-f]{12}", page.text)
    assert re.search(r"torch \d+\.\d+", page.text)
    assert "dermsynth trial run protocol.yaml" in page.text
