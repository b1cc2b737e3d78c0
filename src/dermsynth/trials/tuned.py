"""What a search leaves behind: a table of all tries, and for each arm the best values as YAML."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import yaml

from dermsynth import __version__
from dermsynth.core import artefacts
from dermsynth.trials.protocol import Protocol
from dermsynth.trials.space import laid_over, nested
from dermsynth.trials.tries import Try, Tuning

TRIES, BEST = "tries.csv", "best.json"


def write_results(found: Tuning, protocol: Protocol, out: Path) -> None:
    """Write the state of a search into its folder; its card, too, once every arm has had its tries.

    Args:
        found: The tries.
        protocol: What is tuned.
        out: `tries.csv`, `best.json` and, for each arm, `best-<arm>.yaml` (the best values alone, as they stand in a
            protocol) and `tuned-<arm>.yaml` (the whole protocol with them).
    """
    files = {out / TRIES: table(found).write_csv().encode(), out / BEST: artefacts.json_bytes(_best(found))}
    for arm in found.arms:
        best = found.best(arm)
        if best is not None:
            said = f"{found.metric} {best.score:.4f} on val"
            head = f"# The best of {len(found.of(arm))} tries for the arm '{arm}': {said}.\n"
            values = yaml.safe_dump(nested(best.values), sort_keys=False, allow_unicode=True)
            whole = laid_over(protocol, best.values, arm)
            files[out / f"best-{file_name(arm)}.yaml"] = (head + values).encode()
            files[out / f"tuned-{file_name(arm)}.yaml"] = (head + whole.to_yaml()).encode()
    artefacts.write_together(files)
    if found.finished:
        listed = {
            path.name: {"bytes": len(data), "sha256": artefacts.sha256_of(path)} for path, data in sorted(files.items())
        }
        card = {"kind": "tuning", "dermsynth": __version__, "protocol_sha256": protocol.digest()}
        artefacts.write_json(out / artefacts.CARD, {**card, "versions": artefacts.versions(), "files": listed})


def table(found: Tuning) -> pl.DataFrame:
    """Return a row for every try: `arm, number, state, score, seconds, <a column per key>, reason`."""
    keys = [knob.key for knob in found.space]
    rows = [
        {
            "arm": one.arm,
            "number": one.number,
            "state": one.state,
            "score": one.score,
            "seconds": one.wall_s,
            **{key: _cell(one, key) for key in keys},
            "reason": one.reason,
        }
        for one in found.tries
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def file_name(arm: str) -> str:
    """Return an arm's name as part of a file's: 'hybrid fill_to=250' -> 'hybrid-fill_to-250'."""
    return re.sub(r"[^\w.]+", "-", arm)


def _cell(one: Try, key: str) -> str:
    value = one.values.get(key)
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def _best(found: Tuning) -> dict[str, object]:
    """Return, for each arm, how many tries it had, its best score and values, and the score of the protocol's own."""
    arms = {}
    for arm in found.arms:
        tries, best = found.of(arm), found.best(arm)
        arms[arm] = {
            "tries": sum(one.state in ("done", "failed") for one in tries),
            "failed": sum(one.state == "failed" for one in tries),
            "own_score": found.own_score(arm),
            "score": best.score if best else None,
            "values": best.values if best else None,
        }
    return {"metric": found.metric, "part": "val", "wanted": found.wanted, "arms": arms}
