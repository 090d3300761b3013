"""What starting `mml` costs beyond starting Python, with 400 distributions installed.

Run: `python benchmarks/startup.py [--pairs 9] [--distributions 400]`. Each command is timed in pairs with
`python -c pass`, interleaved, after one warm-up of both; the median of the differences is the figure, and
their range stands beside it, which tells a slow start from a busy machine. Modules are compiled to bytecode
by the warm-up, as where mml is installed, in a folder of the benchmark.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from _common import Figure, environment_in, interleaved, report, run, spread

AIMS: dict[tuple[str, ...], float | None] = {
    ("--version",): 100,
    ("--help",): 100,
    ("plugins", "list"): 300,
    ("run", "--mode=info"): 600,
    ("tasks",): None,
    ("runs",): None,
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
        print(f"beyond `python -c pass`, {args.distributions} distributions installed:")
        return report(measure(args.pairs, environment))


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
    return environment_in(
        folder,
        "PYTHONDONTWRITEBYTECODE",
        PYTHONPATH=str(site),
        PYTHONPYCACHEPREFIX=str(folder / "bytecode"),
    )


def measure(pairs: int, environment: dict[str, str]) -> Iterator[Figure]:
    """Yield, per command, by how many milliseconds `mml` is slower."""
    for arguments, aim in AIMS.items():
        mml = [str(Path(sys.executable).with_name("mml")), *arguments]
        timed = interleaved(partial(run, BARE, environment), partial(run, mml, environment), pairs)
        differences = [1000 * difference for difference in timed.differences]
        yield Figure(
            name=f"mml {' '.join(arguments)}",
            value=statistics.median(differences),
            unit="ms",
            at_most=aim,
            note=f"{spread(differences, 0)} pairs",
        )


if __name__ == "__main__":
    sys.exit(main())
