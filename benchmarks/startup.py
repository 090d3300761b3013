"""What starting `mml` costs beyond starting Python, with 400 distributions installed.

Run: `python benchmarks/startup.py [--pairs 9] [--distributions 400]`. Each command is timed in pairs with
`python -c pass`, interleaved, after one warm-up of both; the median, least and most of the differences of the
wall time are printed, and the median of the processor time, which tells a slow start from a busy machine.
Modules are compiled to bytecode by the warm-up, as where mml is installed, in a folder of the benchmark.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AIMS = {
    ("--version",): 100,
    ("--help",): 100,
    ("plugins", "list"): 300,
    ("run", "--mode=info"): 600,
}
"""Arguments of `mml` → milliseconds beyond bare Python that it may cost."""

BARE = [sys.executable, "-c", "pass"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs per command")
    parser.add_argument("--distributions", type=int, default=400, help="how many are to be installed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(Path(folder), args.distributions)
        print(f"{args.distributions} distributions on the path, {args.pairs} interleaved pairs, milliseconds")
        print(f"{'command':22}{'median':>8}{'least':>8}{'most':>8}{'aim':>6}{'processor':>11}")
        met = True
        for arguments, aim in AIMS.items():
            differences, busy = zip(*measure(arguments, args.pairs, environment), strict=True)
            median = statistics.median(differences)
            met &= median <= aim
            figures = f"{median:8.0f}{min(differences):8.0f}{max(differences):8.0f}{aim:6d}"
            figures += f"{statistics.median(busy):11.0f}"
            print(f"{'mml ' + ' '.join(arguments):22}{figures}{'' if median <= aim else '  missed'}")
    return 0 if met else 1


def prepare(folder: Path, distributions: int) -> dict[str, str]:
    """Write fake distributions until there are enough, and return the environment that sees them."""
    from importlib.metadata import distributions as installed

    site = folder / "site"
    for number in range(max(0, distributions - sum(1 for _ in installed()))):
        info = site / f"filler_{number:03d}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: filler-{number:03d}\nVersion: 1.0\n")
        (info / "RECORD").write_text("")
        (info / "entry_points.txt").write_text(f"[console_scripts]\nfiller-{number:03d} = filler:main\n")
    dropped = ("MML_", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(dropped)},
        "PYTHONPATH": str(site),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "MML_DATA_PATH": str(folder / "data"),
        "MML_RESULTS_PATH": str(folder / "results"),
    }


def measure(arguments: tuple[str, ...], pairs: int, environment: dict[str, str]) -> list[tuple[float, float]]:
    """Return, per pair, by how many milliseconds of wall and of processor time `mml` is slower."""
    mml = [str(Path(sys.executable).with_name("mml")), *arguments]
    seconds(mml, environment)
    seconds(BARE, environment)
    found = []
    for _ in range(pairs):
        ours, bare = seconds(mml, environment), seconds(BARE, environment)
        found.append((1000 * (ours[0] - bare[0]), 1000 * (ours[1] - bare[1])))
    return found


def seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command and return its wall and processor time."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    elapsed, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()}")
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return elapsed, used


if __name__ == "__main__":
    sys.exit(main())
