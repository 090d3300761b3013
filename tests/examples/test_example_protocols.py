"""The example of the protocols of mode train does what it says."""


def test_every_protocol_reports_what_it_is_for(run_example) -> None:
    done = run_example("protocols.sh")
    assert "outer fold" in done.stdout
    assert "* by which the training chose" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    (mae,) = (float(row[2]) for row in rows if row[:2] == ["digits@digits_value", "mae"])
    assert mae < 2.0
    parities = [float(row[2]) for row in rows if row[:2] == ["digits@digits_parity", "accuracy"]]
    assert len(parities) == 2  # by a head of its own, and by the names of classes
    assert min(parities) > 0.75
    assert "leaves out" in done.stdout + done.stderr
