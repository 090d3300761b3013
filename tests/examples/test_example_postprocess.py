"""The example of calibration and ensembles does what it says."""


def test_the_models_are_better_together(run_example) -> None:
    done = run_example("postprocess.sh")
    (row,) = (
        line.split()
        for line in done.stdout.splitlines()
        if line.startswith("digits ") and "ensemble: greedy" in line and " accuracy " in line
    )
    before, after = (float(each) for each in row[row.index("accuracy") + 1 :][:2])
    assert after > before
    assert "PREDICTIONS/digits/ensemble-greedy_" in done.stdout
    assert "difference with 95 % interval" in done.stdout
    assert "digits, mean of 2 models, calibrated by both/" in done.stdout
