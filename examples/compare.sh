#!/usr/bin/env bash
# Is a longer training better, or was it luck? Two models of the same digits, each with intervals, and both compared.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MML_DATA_PATH=$folder/data MML_RESULTS_PATH=$folder/results

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

tasks=digits,digits_parity
quick="mode.folds=1 preprocessing=none"
run mml run --mode=create --tasks "$tasks" mode.num_folds=3
# Every metric of a test split comes with a bootstrap interval; plots and values of classes are asked for.
run mml run --mode=train --proj short --tasks "$tasks" $quick trainer.max_epochs=1 \
    metrics.classification='[accuracy,auroc,brier,ece]' metrics.per_class=true metrics.plots='[confusion_matrix,calibration]'
run mml run --mode=train --proj long --tasks "$tasks" $quick trainer.max_epochs=3
run mml compare long short --metric accuracy --metric auroc --metric brier
