"""The commands and examples of the tutorial and the how-to pages, run in their order in one folder, in a small size.

What a page tells to save (```yaml title="trial.yaml") is saved, what it tells to type is typed, its Python is run.
`SMALLER` says what is reduced, `GIVEN` what a page takes for granted, `NOT_HERE` what needs more than this machine.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml
from tests.journeys.commands import dermsynth

from dermsynth.trials.executors import LocalProcesses
from dermsynth.trials.task import Outcome, Task, execute

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"

SMALLER = (
    (r"--size \d+", "--size 16"),
    (r"size_px: \d+", "size_px: 16"),
    (r"counts[=:] ?\{.*?\}", lambda found: found[0][:7] + "{bkl: 24, mel: 24, nv: 36}"),
    (r"--kimg \d+", "--kimg 0.1"),
    (r"budget_kimg: 20\b", "budget_kimg: 0.2"),
    (r"budget_kimg: \d{2,}|budget_kimg: [1-9]", "budget_kimg: 0.1"),
    (r"width=16,32", "width=2,4"),
    (r"width([=:] ?)(16|32)\b", r"width\g<1>2"),
    (r"batch_size([=:] ?)(16|32)", r"batch_size\g<1>8"),
    (r"learning_rate=\S+", "learning_rate=1e-4,1e-2"),
    (r"repeats: 3", "repeats: 1"),
    (r"fill_to([=:] ?)(\[.*?\]|\d+)", lambda found: _less(found[0])),
    (r"--fill-to \d+", "--fill-to 30"),
    (r"--trials \d+", "--trials 1"),
    (r"--threads \d+", "--threads 1"),
    (r"train stylegan2", "train dcgan"),  # a dry run of it takes seconds
    (r"(train dcgan)(?!.*width)", r"\1 --set width=2 --set batch_size=8"),
    (r"trial plan demo", "trial plan first.yaml"),  # likewise
    # Trials that have the same jobs share them: the second one that a page runs takes no time.
    (r"(trial run \S+ --out \S+)(?!.*--jobs)", r"\1 --jobs trials/jobs"),
    (r"--jobs trials/(first|mine)/jobs", "--jobs trials/jobs"),
)

GIVEN = {
    "compare.md": {"trials/a": "trials/mine", "trials/b": "trials/ratio"},
    "predict.md": {
        "fits/real": "without",
        "fits/hybrid": "with-pool",
        "photos": "images/bkl",
        "one.jpg": "images/mel",
        "two.png": "images/nv",
        "other-cohort": "lesions",
    },
    "cluster.md": {"second.yaml": "first.yaml"},
}
"""Page: what it names and does not make itself, and what stands in for it; a folder for a file is its first file."""

NOT_HERE = {
    "--executor dask": "a Dask scheduler; tests/trials/test_executors.py runs trials on one",
    "--executor slurm": "a Slurm cluster; tests/trials/test_executors.py has processes in its place",
}
"""Part of a command: what it needs."""

FINDS = ("audit cohort", "audit paper")
"""Commands whose exit code 1 is a finding."""


def _less(fill_to: str) -> str:
    """Return a small amount, or small amounts that are as many."""
    key, number = re.fullmatch(r"(\D+?)(\[.*\]|\d+)", fill_to).groups()  # type: ignore[union-attr]
    amounts = {"200": "25", "300": "30", "400": "35"}
    return key + re.sub(r"\d+", lambda found: amounts.get(found[0], "30"), number)


def how_to_pages() -> list[str]:
    """Return the pages of the tutorial and of the how-to part, in the order of the site."""

    class Loader(yaml.SafeLoader):
        """Reads the site's settings; what is said of Python objects does not matter here."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    settings = yaml.load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    parts = {name: pages for entry in settings["nav"] for name, pages in entry.items() if not isinstance(pages, str)}
    return [page for name in ("Tutorial", "How-to") for entry in parts[name] for page in entry.values()]


PAGES = how_to_pages()


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of what a page tells to do: `save NAME`, `python`, `command`, in order."""
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    block = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```|^ {4}(?P<line>\S[^\n]*)", re.MULTILINE | re.DOTALL)
    for found in block.finditer(text):
        info = found["info"] or ""
        if title := re.search(r'title="(.+?)"', info):
            yield f"save {title[1]}", found["body"]
        elif info == "python":
            yield "python", found["body"]
        elif not info:
            lines = (found["line"] or found["body"]).splitlines()
            yield from (
                ("command", line.strip().removeprefix("$ "))
                for line in lines
                if line.strip().removeprefix("$ ").startswith("dermsynth ")
            )


def small(text: str) -> str:
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)  # type: ignore[arg-type]
    return text


def give(page: str, folder: Path) -> None:
    """Put in place what a page takes for granted."""
    for name, stand_in in GIVEN.get(page, {}).items():
        path, source = folder / name, folder / stand_in
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            (shutil.rmtree if path.is_dir() else Path.unlink)(path)
        if source.is_dir() and not path.suffix:
            files = sorted(source.rglob("*"))
            spare = {file.name for file in files[2:]} if name == "photos" else set()
            shutil.copytree(source, path, ignore=shutil.ignore_patterns(*spare))
        else:
            shutil.copyfile(next(iter(sorted(source.glob("*.png")))) if source.is_dir() else source, path)


@pytest.fixture(autouse=True)
def _jobs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process would import torch anew for each trial; tests/journeys/test_trial.py has real ones."""

    def at_once(_: LocalProcesses, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        try:
            future.set_result(execute(task))
        except Exception as error:
            future.set_exception(error)
        return future

    monkeypatch.setattr(LocalProcesses, "submit", at_once)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documented")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_do_can_be_done(page: str, work: Path) -> None:
    """The pages build on each other, so they run in order and in one folder."""
    give(page, work)
    done = 0
    for kind, text in steps(page):
        if kind.startswith("save "):
            name = kind.removeprefix("save ")
            with (work / name.removeprefix("end of ")).open(
                "a" if "end of " in name else "w", encoding="utf-8"
            ) as file:
                file.write(small(text))
        elif kind == "python":
            with contextlib.chdir(work), contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, page, "exec", dont_inherit=True), {"__name__": "__main__"})
        elif not any(part in text for part in NOT_HERE):
            words = shlex.split(small(text), comments=True)[1:]
            finds = 1 if " ".join(words[:2]) in FINDS else 0
            print(shlex.join(words))  # noqa: T201 - shown where the command fails
            dermsynth(*words, cwd=work, code=(0, finds))
        done += 1
    assert done, f"{page} tells to do nothing"


def test_what_is_not_run_is_told_in_some_page() -> None:
    commands = [text for page in PAGES for kind, text in steps(page) if kind == "command"]
    assert [part for part in NOT_HERE if not any(part in command for command in commands)] == []
