"""The page in a real browser, on a phone, on a desk and on paper; skipped by name where there is no browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dermsynth.reports.report import write_report

PAPER_PX = 688
"""What margins leave of A4."""
PROBE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement, paper = PAPER;
  document.querySelectorAll("details").forEach((e) => { e.open = true; });
  const within = paper ? "details:not(.printed), nav, .skip, svg" : ".scroll, nav, pre, .skip, svg";
  const wide = [...document.querySelectorAll("body *")].filter(
    (e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(within));
  const unnamed = [...document.querySelectorAll("svg[role=img]")].filter((e) => !e.getAttribute("aria-labelledby")
    .split(" ").every((id) => document.getElementById(id)?.textContent.trim()));
  parent.postMessage({
    page: location.pathname.split("/").pop(),
    overflow: paper ? 0 : root.scrollWidth - innerWidth,
    wide: wide.slice(0, 3).map((e) => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 40)),
    unnamed: unnamed.length,
    requests: performance.getEntriesByType("resource").filter((e) => !e.name.startsWith("data:")).map((e) => e.name),
    broken: [...document.images].filter((e) => !e.naturalWidth).length,
  }, "*");
});
</script>
"""
SIZES = {"phone": 360, "desk": 1280, "paper": PAPER_PX}
WRAPPER = """<!doctype html>{frames}<script>const found = [];
addEventListener("message", (e) => {{ found.push(e.data);
  if (found.length == {count}) document.body.textContent = JSON.stringify(found); }});</script>"""


@pytest.fixture(scope="module", params=["finished_trial", "rich_trial"])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a browser measures of a trial's page at every size, and what it said while it did."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser: no chromium on PATH")
    folder = tmp_path_factory.mktemp("browser")
    trial = Path(shutil.copytree(request.getfixturevalue(request.param), folder / "trial"))
    # The page forbids itself scripts; the copy that is measured has to allow the probe.
    page = write_report(trial).read_text(encoding="utf-8")
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    printed = re.sub(r"@media screen[^{]*", "@media not all ", page).replace("@media print", "@media screen")
    for size in SIZES:
        text = printed if size == "paper" else page
        probe = PROBE.replace("PAPER", str(size == "paper").lower())
        (folder / f"{size}.html").write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    frames = "".join(
        f'<iframe src="{size}.html" style="width:{width}px;height:800px;border:0"></iframe>'
        for size, width in SIZES.items()
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(WRAPPER.format(frames=frames, count=len(SIZES)), encoding="utf-8")
    done = subprocess.run(
        [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            "--dump-dom",
            wrapper.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"\[\{.*\}\]", re.sub(r"<script>.*?</script>", "", done.stdout, flags=re.DOTALL))
    assert found, done.stdout
    pages = json.loads(found[0].replace("&gt;", ">").replace("&amp;", "&"))
    return {"said": done.stderr, **{one["page"].removesuffix(".html"): one for one in pages}}


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_page(measured: dict[str, Any], size: str) -> None:
    assert measured[size]["overflow"] <= 0
    assert measured[size]["wide"] == []


@pytest.mark.parametrize("size", SIZES)
def test_the_page_asks_the_network_for_nothing(measured: dict[str, Any], size: str) -> None:
    assert measured[size]["requests"] == []
    assert measured[size]["broken"] == 0


def test_every_figure_has_a_name(measured: dict[str, Any]) -> None:
    assert measured["desk"]["unnamed"] == 0


def test_the_browser_has_nothing_to_complain_about(measured: dict[str, Any]) -> None:
    assert "CONSOLE" not in measured["said"]
