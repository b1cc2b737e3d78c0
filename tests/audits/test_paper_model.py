"""A mistake in the file of a paper is one line that names the file, the key, the value and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermsynth.audits.paper import load_paper
from dermsynth.core.errors import ConfigError

GOOD = """
paper: x
sets:
  test: {counts: {mel: 10, nv: 20}, total: 30}
  all: {}
sums: [all = test + test]
tables:
  - {where: Table 1, test: test, positive: mel, columns: [accuracy, mel recall], rows: {real: 0.80 0.70}}
comparisons:
  - {where: text, metrics: [accuracy], baseline: real}
shares:
  - {where: text, what: share, of: test, classes: {mel: "33%"}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "numbers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_good_file_is_good(tmp_path: Path) -> None:
    assert len(load_paper(written(tmp_path, GOOD)).rows) == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("total: 30", "totl: 30", "unknown key 'sets.test.totl'; did you mean 'total'?"),
        ("mel: 10", "mel: -1", "'sets.test.counts.mel' is -1: Input should be greater than or equal to 0"),
        ("test: test, p", "test: tset, p", "test of 'Table 1' is 'tset': did you mean 'test'?"),
        ("positive: mel", "positive: mal", "positive of 'Table 1' is 'mal': did you mean 'mel'?"),
        ("[accuracy, mel", "[acuracy, mel", "column 'acuracy' of 'Table 1' is no metric: did you mean 'accuracy'?"),
        ("mel recall]", "mal recall]", "class of column 'mal recall' of 'Table 1' is 'mal': did you mean 'mel'?"),
        ("mel recall]", "mel accuracy]", "'mel accuracy' of 'Table 1' can mean two things: write 'mel recall' if"),
        ("mel recall]", "accuracy]", "column 'accuracy' of 'Table 1' stands twice; keep one"),
        ("0.80 0.70", "0.80", "'tables.0.rows.real' is 0.8: put it in quotes, as it is printed"),
        ("0.80 0.70", '"0.80"', "row 'real' of 'Table 1' has 1 numbers for 2 columns; use '-' for an empty cell"),
        ("0.80 0.70", "0.80 o.70", "row 'real' of 'Table 1': 'o.70' is no number; use '-' for an empty cell"),
        ("all = test + test", "all test", "sum 'all test' should be like 'all = train + test'"),
        ("all = test + test", "all = tes + test", "is 'tes': did you mean 'test'?"),
        ("baseline: real", "baseline: rael", "arm in 'text' is 'rael': did you mean 'real'?"),
        ("metrics: [accuracy]", "metrics: [auc]", "metric in 'text' is 'auc': known: accuracy, mel recall"),
        ("of: test, c", "of: tset, c", "of in 'text' is 'tset': did you mean 'test'?"),
        ('mel: "33%"', 'mel: "a"', "'shares.0.classes.mel' is 'a': 'a' is no number"),
        ('classes: {mel: "33%"}', "what: x", "key 'what' stands twice; keep one"),
        (', classes: {mel: "33%"}', "", "give either 'classes' or 'added'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_paper(path)
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_two_tables_need_two_names(tmp_path: Path) -> None:
    line = next(line for line in GOOD.splitlines() if "Table 1" in line)
    with pytest.raises(ConfigError, match="two tables are called 'Table 1'; give each its own 'where'"):
        load_paper(written(tmp_path, GOOD.replace(line, f"{line}\n{line}")))


def test_a_matrix_is_square(tmp_path: Path) -> None:
    text = "matrices: [{where: F, arm: real, orientation: rows are actual, classes: [mel, nv], counts: [[1, 2]]}]"
    with pytest.raises(ConfigError, match="counts need 2 rows of 2, one per class"):
        load_paper(written(tmp_path, GOOD + text))
