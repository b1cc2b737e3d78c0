"""The commands, how they report errors, and the options they share."""

from __future__ import annotations

import functools
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
from typer.core import TyperGroup

from dermsynth import __version__
from dermsynth.core.cores import cores
from dermsynth.core.errors import DermsynthError, InterruptedRunError

USAGE_ERROR, STOPPED = 2, 130


class _InOrderOfUse(TyperGroup):
    """The commands in the order in which a newcomer meets them."""

    _order: tuple[str, ...] = (
        "demo",
        "doctor",
        "ingest",
        "join",
        "split",
        "audit",
        "preview",
        "export",
        "train",
        "sample",
        "translate",
        "screen",
        "measure",
        "pool",
        "find-rate",
        "fit",
        "score",
        "predict",
        "explain",
        "export-onnx",
        "trial",
        "tune",
    )

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=self._order.index)


class _TrialInOrderOfUse(_InOrderOfUse):
    _order = ("new", "schema", "power", "plan", "run", "status", "report", "compare", "tables")


app = typer.Typer(
    cls=_InOrderOfUse,
    help="Do synthetic dermoscopy images help my classifier? From images to a verdict with error bars.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
trial_app = typer.Typer(
    cls=_TrialInOrderOfUse, help="Run a whole trial from one YAML file, or judge it again.", no_args_is_help=True
)
app.add_typer(trial_app, name="trial")

Out = Annotated[Path, typer.Option("--out", help="The folder to make.", show_default=False)]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Every draw follows from it.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is in --out.")]
ForceTrial = Annotated[bool, typer.Option("--force", help="Delete the trial in --out and start from nothing.")]
Threads = Annotated[int, typer.Option("--threads", min=1, metavar="N", help="CPU threads.", show_default="all cores")]
Workers = Annotated[
    int,
    typer.Option(
        "--threads", min=1, metavar="N", help="Worker processes of one thread each.", show_default="all cores"
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable. Keys: see docs/protocol.md."),
]

CORES = cores()
P = ParamSpec("P")


def command(group: typer.Typer, name: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a command whose expected errors are one line on stderr."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except InterruptedRunError as error:
                _stop(str(error), STOPPED)
            except DermsynthError as error:
                _stop(f"error: {error}", USAGE_ERROR)
            except KeyboardInterrupt:
                _stop("stopped; nothing half-written was kept: run the same command again", STOPPED)

        group.command(name)(guarded)
        return guarded

    return register


def parse_settings(pairs: list[str] | None, instead: Mapping[str, str]) -> dict[str, Any]:
    """Return {'key': value} of 'key=value' texts; values are read as YAML (numbers, true, lists, words).

    Raises:
        ConfigError: a text that is no KEY=VALUE, a key that is given twice, or one of `instead`: keys that have an
            option or argument of their own, which the message names.
    """
    from dermsynth.core.config import read_yaml
    from dermsynth.core.errors import ConfigError

    found: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair}: expected KEY=VALUE, for example --set width=32")
        if key in instead:
            raise ConfigError(f"--set {pair}: use {instead[key]}")
        if key in found:
            raise ConfigError(f"--set {pair}: '{key}' is set twice; keep one")
        found[key] = read_yaml(text, f"--set {pair}")
    return found


def parse_counts(text: str, option: str) -> dict[str, int]:
    """Return {'mel': 500} of 'mel=500,df=500'."""
    found = _by_class(text, option, "[0-9]{1,9}", "mel=500,df=500")
    return {name: int(number) for name, number in found.items()}


def parse_shares(text: str, option: str) -> dict[str, float]:
    """Return {'mel': 0.3} of 'mel=0.3,df=0.1'."""
    return {
        name: float(number) for name, number in _by_class(text, option, r"0?\.[0-9]{1,9}", "mel=0.3,df=0.1").items()
    }


def _by_class(text: str, option: str, pattern: str, example: str) -> dict[str, str]:
    from dermsynth.core.errors import ConfigError

    found: dict[str, str] = {}
    for pair in text.split(","):
        name, number = (part.strip() for part in pair.partition("=")[::2])
        if not re.fullmatch(pattern, number):
            raise ConfigError(f"{option} {text}: '{pair}' should be CLASS=NUMBER, for example {example}")
        if name in found:
            raise ConfigError(f"{option} {text}: class '{name}' stands twice; keep one")
        found[name] = number
    return found


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
) -> None:
    if version:
        typer.echo(f"dermsynth {__version__}")
        raise typer.Exit
    _Debug.on = debug


class _Debug:
    on = False


def _stop(message: str, code: int) -> NoReturn:
    if _Debug.on:
        traceback.print_exc()
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(code)


def register() -> typer.Typer:
    """Import every module with commands, which registers them, and return the command line."""
    from dermsynth.cli import (  # noqa: F401 - importing them registers the commands
        audit,
        data,
        doctor,
        fit,
        generate,
        paper_tables,
        pool,
        predict,
        preview,
        score,
        screen,
        trial_files,
        trials,
        tune,
    )

    return app


def main() -> None:
    """Run the command line."""
    sys.exit(register()())
