"""Write the entries of python.md from the docstrings of the public names: `python docs/public.py`.

Entries stand between `<!-- entries: NAME, NAME -->` and `<!-- end -->`; what is there is replaced.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import dermsynth

PAGE = Path(__file__).parent / "python.md"
_ENTRIES = re.compile(r"<!-- entries: (.+?) -->\n.*?<!-- end -->", flags=re.DOTALL)
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):\n((?: {4}.*\n?|\n)+)", flags=re.MULTILINE)
_ITEM = re.compile(r"^([\w*]+(?:, \w+)*): ")
_WIDTH = 100


def written(page: str) -> str:
    """Return the page with every entry as the code has it."""
    return _ENTRIES.sub(lambda found: f"<!-- entries: {found[1]} -->\n\n{_entries(found[1])}\n\n<!-- end -->", page)


def named(page: str) -> list[str]:
    """Return the names that have an entry, in order."""
    return [name for found in _ENTRIES.finditer(page) for name in found[1].split(", ")]


def _entries(names: str) -> str:
    return "\n\n".join(entry(name, getattr(dermsynth, name)) for name in names.split(", "))


def entry(name: str, thing: Any) -> str:
    """Return the entry of a function or a class: signature, docstring, methods."""
    parts = [f"### `{name}`", f"```py\n{_call(name, thing)}\n```", _prose(inspect.getdoc(thing) or "")]
    if inspect.isclass(thing) and not issubclass(thing, BaseModel):
        parts += ["Methods and properties:", "\n".join(_methods(thing))]
    return "\n\n".join(part for part in parts if part)


def _call(name: str, thing: Any) -> str:
    if inspect.isclass(thing) and issubclass(thing, BaseModel):
        texts = [f"{key}{_default(field.default)}" for key, field in thing.model_fields.items()]
        return _broken(name, ["*", *texts], "")
    signature = inspect.signature(thing)
    returned = "" if inspect.isclass(thing) else f" -> {_type(signature.return_annotation)}"
    return _broken(name, list(_parameters(signature)), returned)


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield f"{parameter.name}: {_type(parameter.annotation)}{_default(parameter.default, ' = ')}"


def _broken(name: str, parameters: list[str], returned: str) -> str:
    whole = f"{name}({', '.join(parameters)}){returned}"
    if len(whole) <= _WIDTH:
        return whole
    lines = textwrap.wrap(", ".join(text.replace(" ", "\0") for text in parameters), _WIDTH - 4)
    inside = "\n".join(f"    {line}" for line in lines).replace("\0", " ")
    return f"{name}(\n{inside},\n){returned}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return re.sub(r"\bpl\.", "polars.", text.replace("NDArray[np.int64]", "int64 array"))


def _default(value: Any, sign: str = "=") -> str:
    if value is inspect.Parameter.empty or value is PydanticUndefined:
        return ""
    plain = value is None or isinstance(value, bool | int | float | str) or value in ((), {})
    return f"{sign}{value!r}" if plain else f"{sign}…"


def _prose(doc: str) -> str:
    """Return a docstring in Markdown: paragraphs, then its sections as lists."""
    text = _SECTION.sub("", doc + "\n").strip()
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    titles = {"Args": "Takes:", "Attributes": "Has:", "Returns": "Returns:", "Raises": "Raises:"}
    for found in _SECTION.finditer(doc + "\n"):
        body = textwrap.dedent(found[2])
        if found[1] == "Returns":
            paragraphs.append(f"{titles[found[1]]} {' '.join(body.split())}")
        else:
            paragraphs += [titles[found[1]], "\n".join(_items(body))]
    return "\n\n".join(paragraphs)


def _items(body: str) -> Iterator[str]:
    collected: list[str] = []
    for line in body.strip().splitlines():
        if _ITEM.match(line) and collected:
            yield _item(" ".join(collected))
            collected = []
        collected.append(line.strip())
    yield _item(" ".join(collected))


def _item(text: str) -> str:
    return "- " + _ITEM.sub(lambda found: f"`{found[1]}`: ", text)


def _methods(thing: type) -> Iterator[str]:
    for name, member in vars(thing).items():
        inner = getattr(member, "__func__", member)  # of a class method
        if name.startswith("_") or not inspect.getdoc(inner) or not isinstance(inner, property | Callable):
            continue
        called = name
        if not isinstance(inner, property):
            signature = inspect.signature(inner)
            called = f"{name}({', '.join(key for key in signature.parameters if key not in ('self', 'cls'))})"
        summary = " ".join((inspect.getdoc(inner) or "").split("\n\n")[0].split())
        yield f"- `{called}`: {summary}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
