"""How long does `dermsynth demo` take, in how much memory, and does it say the same twice?

    python benchmarks/demo.py [--threads N] [--protocol FILE]

Runs the demo twice, each time as a new process into a new folder, and prints for each run

    wall s     from the start of the command to its end, the loading of Python and torch included
    peak MiB   the largest sum of the memory of the command and its workers, looked at a few times a second: PSS, which
               counts a page that processes share once, from /proc/PID/smaps_rollup; or RSS, which counts it in each of
               them, where the kernel has no PSS

and whether the two `verdict.json` have the same bytes; if not, it exits with 1. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROC = Path("/proc")
EVERY_S = 0.25


def main() -> None:
    """Run twice and print a line for each run and one for the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--protocol", type=Path, help="run this trial instead of the demo")
    arguments = parser.parse_args()
    command = ["demo"] if arguments.protocol is None else ["trial", "run", str(arguments.protocol.resolve())]
    unit = "PSS" if (PROC / "self" / "smaps_rollup").exists() else "RSS"
    with tempfile.TemporaryDirectory(prefix="dermsynth-demo-") as scratch:
        print(f"dermsynth {' '.join(command)} --threads {arguments.threads}")
        print(f"run  wall s  peak MiB ({unit}, main process and workers)")
        verdicts = []
        for number in (1, 2):
            out = Path(scratch) / f"run{number}"
            wall, peak = measure([*command, "--threads", str(arguments.threads), "--out", str(out)], unit)
            print(f"{number:3d} {wall:7.1f} {peak / 2**20:9,.0f}", flush=True)
            verdicts.append((out / "verdict.json").read_bytes())
    same = verdicts[0] == verdicts[1]
    print(f"verdict.json: {'the same bytes' if same else 'NOT the same bytes'} ({len(verdicts[0]):,})")
    sys.exit(not same)


def measure(arguments: list[str], unit: str) -> tuple[float, int]:
    """Run `dermsynth` with these arguments and return its seconds and the peak bytes of its processes together."""
    start = time.perf_counter()
    program = [sys.executable, "-c", "from dermsynth.cli import main; main()", *arguments]
    with tempfile.TemporaryFile() as printed:
        # A session of its own: its workers stay in it, and can be told from everything else by its number.
        process = subprocess.Popen(program, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
        ended = threading.Event()
        peaks = [0]
        watcher = threading.Thread(target=watch, args=(process.pid, unit, ended, peaks))
        watcher.start()
        try:
            code = process.wait()
            wall = time.perf_counter() - start
        finally:
            process.kill()  # on Ctrl-C here; its workers end with it
            ended.set()
            watcher.join()
        if code:
            printed.seek(0)
            sys.exit(f"dermsynth {' '.join(arguments)} ended with {code}:\n{printed.read().decode()}")
    return wall, peaks[0]


def watch(session: int, unit: str, ended: threading.Event, peaks: list[int]) -> None:
    """Keep the largest sum seen in `peaks[0]` until the process has ended."""
    while not ended.wait(EVERY_S):
        peaks[0] = max(peaks[0], sum(memory(process, unit) for process in processes(session)))


def processes(session: int) -> list[Path]:
    """Return the folders in /proc of the processes of a session."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # After the name, which is in brackets and may hold anything: state, parent, group, session.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                found.append(folder)
    return found


def memory(process: Path, unit: str) -> int:
    """Return the resident bytes of a process; 0 if it has ended."""
    name, key = ("smaps_rollup", "Pss:") if unit == "PSS" else ("status", "VmRSS:")
    with contextlib.suppress(OSError):
        for line in (process / name).read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
