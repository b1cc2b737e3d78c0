"""Memory of this process, and what the machine or its control group has left."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from dermsynth.core import memory

MIB = 1 << 20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is forgotten in /proc")
def test_the_peak_counts_from_where_it_was_forgotten() -> None:
    # Mapped by hand: an allocator that was told to keep what is freed would keep the process as large as it was.
    with mmap.mmap(-1, 256 * MIB) as mapped:
        for _ in range(256):
            mapped.write(b"1" * MIB)
        high = memory.peak_bytes()
    memory.forget_peak()
    low = memory.peak_bytes()
    assert high is not None
    assert low is not None
    assert low < high - 128 * MIB


def machine(root: Path, groups: dict[str, tuple[str, int, int]], line: str, files: tuple[str, str]) -> None:
    """Lay out /proc and the control groups of a machine with 1000 MiB free."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {1000 * 1024} kB\n")
    (root / "proc" / "self" / "cgroup").write_text(line)
    for name, (limit, used, cached) in groups.items():
        folder = root / "groups" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / files[0]).write_text(f"{limit}\n")
        (folder / files[1]).write_text(f"{used * MIB}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached * MIB}\n")


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"": ("max", 0, 0), "job": ("max", 100, 0)}, 1000),  # no limit but the machine's
        ({"": ("max", 0, 0), "job": (str(600 * MIB), 100, 0)}, 500),
        ({"": ("max", 0, 0), "job": (str(600 * MIB), 500, 300)}, 400),  # files in memory are given up
        ({"": (str(300 * MIB), 100, 0), "job": (str(600 * MIB), 100, 0)}, 200),  # that of the group above it
        ({"": (str(300 * MIB), 200, 0)}, 100),  # in a container: the group has another name inside
        ({"": ("max", 0, 0), "job": (str(600 * MIB), 700, 0)}, 0),
    ],
)
def test_a_control_groups_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: dict[str, tuple[str, int, int]], expected: int
) -> None:
    machine(tmp_path, groups, "0::/job\n", ("memory.max", "memory.current"))
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    assert memory.available_bytes() == expected * MIB


def test_the_older_control_groups_count_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"memory/job": (str(600 * MIB), 100, 0)}
    line = "5:cpu,memory:/job\n4:devices:/\n"
    machine(tmp_path, groups, line, ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    assert memory.available_bytes() == 500 * MIB


def test_nothing_is_known_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert (memory.available_bytes(), memory.peak_bytes(), memory.resident_bytes(1)) == (None, None, None)
