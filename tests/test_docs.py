"""The documentation against the code: links, commands, options, keys of the protocol, and the example of a plug-in."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@cache
def commands() -> dict[str, Any]:
    """Return every command and group of the command line by its words, such as `trial run`."""
    from dermsynth.cli.app import register

    found: dict[str, Any] = {}

    def visit(command: Any, words: tuple[str, ...]) -> None:
        found[" ".join(words)] = command
        for name, inner in getattr(command, "commands", {}).items():
            visit(inner, (*words, name))

    visit(typer.main.get_command(register()), ())
    return found


VERBS = sorted(name for name, command in commands().items() if not hasattr(command, "commands"))


def options_of(name: str) -> set[str]:
    return {text for parameter in commands()[name].params for text in parameter.opts if text.startswith("--")}


def sections(page: str) -> dict[str, str]:
    """Return the text under each heading of a page, by the heading."""
    parts = re.split(r"^#+ (.*)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def saved_files(page: Path) -> dict[str, str]:
    """Return the protocols that a page tells to save, by name, with what it later adds at their end."""
    text = page.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for name, body in re.findall(
        r'^```yaml title="(?:end of )?(.+?)"\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL
    ):
        found[name] = found.get(name, "") + body
    return found


def command_lines() -> list[tuple[str, str]]:
    """Return (page, line) of the code, fenced or indented, that starts with `dermsynth`, of docs and README."""
    found = []
    for page in (*PAGES, REPOSITORY / "README.md"):
        lines = page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        fenced = [line for block in code_blocks(page, "") for line in block.splitlines()]
        indented = [line.strip() for line in lines if re.match(r" {4}\S", line)]
        code = [line.removeprefix("$ ") for line in dict.fromkeys(fenced + indented)]
        found += [(page.name, line) for line in code if line.startswith("dermsynth ")]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), f"{target}: no such file"
        if heading:
            lines = linked.read_text(encoding="utf-8").splitlines()
            assert heading in {anchor(line) for line in lines if line.startswith("#")}, f"{target}: no such heading"


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_a_command_line_parses(page: str, line: str) -> None:
    words, name = shlex.split(line, comments=True)[1:], ""
    while hasattr(commands()[name], "commands"):
        if not words:
            return
        word = words.pop(0)
        if word.startswith("--"):
            assert word in options_of("") | {"--help"}
        else:
            name = f"{name} {word}".strip()
            assert name in commands(), f"no command '{name}'"
    commands()[name].make_context(name, words)  # raises for an unknown option or a missing argument


@pytest.mark.parametrize("name", VERBS)
def test_the_reference_lists_exactly_the_options_of_a_command(name: str) -> None:
    found = {
        title: text
        for title, text in sections("commands.md").items()
        if f"{title[:-1]} ".startswith(f"`dermsynth {name} ")
    }
    assert len(found) == 1, f"commands.md should have one section `dermsynth {name} …`"
    listed = re.findall(r"^\| `(--[a-z-]+)`", next(iter(found.values())), flags=re.MULTILINE)
    assert set(listed) == options_of(name)


def test_the_reference_knows_the_same_commands() -> None:
    titles = [title.strip("`").split()[1:] for title in sections("commands.md") if title.startswith("`dermsynth ")]
    assert sorted(" ".join(word for word in words if word.islower()) for words in titles) == VERBS
    whole = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert all(option in whole for option in options_of(""))


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield name and field of a model and of the models in it."""
    for name, field in model.model_fields.items():
        yield name, field
        for inner in models_in(field.annotation):
            yield from fields_of(inner)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def known_keys() -> list[tuple[str, FieldInfo]]:
    """Return the keys of a protocol; `kind` and `step` choose a source and a step and have no row."""
    from dermsynth.trials.protocol import Protocol

    return [(name, field) for name, field in fields_of(Protocol) if name not in ("kind", "step")]


def documented_keys() -> list[tuple[str, str]]:
    """Return (key, default) of the tables of protocol.md; in that of sources the key is in the second column."""
    found = []
    for line in (DOCS / "protocol.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) in (4, 5) and re.fullmatch(r"`\w+`", cells[-4]):
            found.append((cells[-4].strip("`"), cells[-2].strip("`")))
    return found


def test_the_protocol_page_has_exactly_the_keys_of_a_protocol() -> None:
    assert {name for name, _ in documented_keys()} == {name for name, _ in known_keys()}


def test_the_protocol_page_has_the_defaults_of_the_code() -> None:
    told = documented_keys()
    for name, field in known_keys():
        defaults = [default for key, default in told if key == name]
        if field.is_required():
            assert "required" in defaults, name
        elif isinstance(field.default, bool | int | float) or (isinstance(field.default, str) and field.default):
            values = [yaml.safe_load(default) for default in defaults if not default.endswith("below")]
            assert field.default in values, f"{name}: {field.default} is not in {defaults}"


def test_the_tables_of_settings_are_those_of_the_code() -> None:
    from dermsynth.algorithms import ALGORITHMS

    found = runpy.run_path(str(DOCS / "settings.py"))
    page = (DOCS / "algorithms.md").read_text(encoding="utf-8")
    assert page == found["written"](page), "run: python docs/settings.py"
    assert set(re.findall(r"<!-- settings of (\S+) -->", page)) == set(ALGORITHMS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_protocol_in_the_documentation_is_valid(page: Path) -> None:
    from dermsynth.core.config import parse
    from dermsynth.trials.protocol import Protocol

    for block in code_blocks(page, "yaml"):
        parse(Protocol, yaml.safe_load(block), page.name)


@pytest.mark.parametrize("page", [page for page in PAGES if saved_files(page)], ids=lambda page: page.name)
def test_a_protocol_that_a_page_tells_to_save_is_valid_in_all_its_variants(page: Path, tmp_path: Path) -> None:
    from dermsynth.trials.loading import load_protocol

    for name, text in saved_files(page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        for variant in ("", *(f":{variant}" for variant in yaml.safe_load(text).get("variants", {}))):
            load_protocol(f"{tmp_path / name}{variant}")


def test_the_python_page_has_every_public_name_as_the_code_has_it() -> None:
    import dermsynth

    found = runpy.run_path(str(DOCS / "public.py"))
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    assert sorted([*found["named"](page), "ARMS", "__version__"]) == sorted(dermsynth.__all__), "docs/python.md"
    assert page == found["written"](page), "run: python docs/public.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the documentation built as a site, where a warning is an error."""
    pytest.importorskip("material", reason="needs mkdocs-material: pip install 'dermsynth[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # of the theme's makers, about a version that is not installed
    done = subprocess.run(command, cwd=REPOSITORY, env=quiet, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return out


def test_the_site_has_every_page_and_no_script_of_ours(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md") if path.name != "README.md"}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}
    assert list(site.rglob("*.py")) == []


def test_no_page_of_the_site_loads_anything_from_another_host(site: Path) -> None:
    loads = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")
    styles = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)")
    found = {
        (path.name, address)
        for pattern, kind in ((loads, "*.html"), (styles, "*.html"), (styles, "*.css"))
        for path in site.rglob(kind)
        for address in pattern.findall(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_the_algorithm_in_the_documentation_trains(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from dermsynth.cohorts.cohort import Cohort
    from dermsynth.training.config import TrainConfig
    from dermsynth.training.loop import train

    class Linear(nn.Module):
        def __init__(self, size_in: int, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.layer, self.shape = nn.Linear(size_in, int(np.prod(shape))), shape

        def forward(self, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return self.layer(values.flatten(1)).float().tanh().view(-1, *self.shape)

    known: dict[str, Any] = {
        "MyGenerator": lambda latent, size, classes: Linear(latent, (3, size, size)),
        "MyCritic": lambda size, classes: Linear(3 * size * size, (1,)),
    }
    (example,) = code_blocks(DOCS / "generators.md", "python")
    exec(compile(example, "generators.md", "exec", dont_inherit=True), known)
    count = 6
    names = [f"image-{number}" for number in range(count)]
    table = pl.DataFrame({"image_id": names, "label": ["mel", "nv"] * 3, "lesion_id": names, "sha256": names})
    table = table.with_columns(
        patient_id=pl.lit(None, dtype=pl.String), source=pl.lit("x"), origin=pl.lit("real"), split=pl.lit("train")
    )
    cohort = Cohort.in_memory(table, np.zeros((count, 16, 16, 3), np.uint8), ("mel", "nv"))
    algorithm = known["Mine"]
    run = train(cohort, algorithm, algorithm.Config(batch_size=2), TrainConfig(budget_kimg=0.02), tmp_path / "run")
    history = (run / "history.jsonl").read_text(encoding="utf-8")
    assert "loss_critic" in history
    assert "loss_generator" in history
