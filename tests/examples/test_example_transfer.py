"""The example of a transfer does what it says."""


def test_the_last_layers_fit_better_than_a_probe(run_example) -> None:
    done = run_example("transfer.sh")
    assert "made to fit the channels: net.conv1.weight; new classes: 0, 1, 2" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("digits  accuracy")]
    probe, partial, _nothing = (float(row[2]) for row in rows[:3])
    assert probe < partial
