"""The page in a real browser; skipped by name where there is none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dermsynth.reports.report import write_report

PROBE = """
<script>
addEventListener("load", () => {
  const root = document.documentElement;
  document.querySelectorAll("details").forEach((e) => { e.open = true; });
  const wide = [...document.querySelectorAll("body *")].filter(
    (e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, nav, pre, .skip, svg"));
  parent.postMessage({
    overflow: root.scrollWidth - innerWidth,
    wide: wide.slice(0, 3).map((e) => e.tagName + "." + e.className),
    requests: performance.getEntriesByType("resource").filter((e) => !e.name.startsWith("data:")).map((e) => e.name),
    broken: [...document.images].filter((e) => !e.naturalWidth).length,
  }, "*");
});
</script>
"""
WRAPPER = """<!doctype html><iframe src="probed.html" style="width:360px;height:800px;border:0"></iframe>
<script>addEventListener("message", (e) => { document.body.textContent = JSON.stringify(e.data); });</script>"""


def test_the_page_fits_a_phone_and_asks_the_network_for_nothing(finished_trial: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser: no chromium on PATH")
    trial = Path(shutil.copytree(finished_trial, tmp_path / "trial"))
    text = write_report(trial).read_text(encoding="utf-8")
    # The page forbids itself scripts; the copy that is measured has to allow the probe.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", PROBE + "</body>")
    (tmp_path / "probed.html").write_text(text, encoding="utf-8")
    (tmp_path / "wrapper.html").write_text(WRAPPER, encoding="utf-8")
    done = subprocess.run(
        [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            "--dump-dom",
            (tmp_path / "wrapper.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r"\{.*\}", re.sub(r"<script>.*?</script>", "", done.stdout, flags=re.DOTALL))
    assert found, done.stdout
    measured = json.loads(found[0].replace("&gt;", ">"))
    assert measured["overflow"] <= 0
    assert measured["wide"] == []
    assert measured["requests"] == []
    assert measured["broken"] == 0
    assert "CONSOLE" not in done.stderr
