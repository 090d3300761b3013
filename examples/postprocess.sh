#!/usr/bin/env bash
# Can the probabilities be trusted, and are two models better than one? Calibrate, correct for priors, combine, compare.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MML_DATA_PATH=$folder/data MML_RESULTS_PATH=$folder/results

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

quick="--tasks digits mode.folds=2 preprocessing=none trainer.max_epochs=3"
run mml run --mode=create --tasks digits mode.num_folds=3
run mml run --mode=train --proj first $quick
run mml run --mode=train --proj second $quick seed=7
# A temperature for each model, fitted on its validation fold; then models are selected on these folds and combined.
run mml run --mode=postprocess --proj both --tasks digits reuse.predictions='[first,second]' \
    mode.ensemble.method=greedy metrics.classification='[accuracy,auroc]'
# How frequent are the classes where the model is used? Estimated from predictions alone, and corrected for.
run mml run --mode=postprocess --proj shifted --tasks digits reuse.predictions=first mode.subroutines='[calibrate]' \
    mode.calibration.method=affine mode.calibration.priors=estimate metrics.classification='[accuracy]'
run mml compare shifted first --metric nll --metric ece
# New images go through the temperature of each fold's model before their mean.
mkdir "$folder/new"
cp "$MML_DATA_PATH"/datasets/sklearn_digits/images/000[0-4].png "$folder/new"
run mml predict first/digits "$folder/new" --calibration both
