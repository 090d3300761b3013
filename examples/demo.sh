#!/usr/bin/env bash
# The main job from nothing: create five real tasks, preprocess them, train three folds each, show the table.
set -euo pipefail
cd "$(dirname "$0")/.."

tasks=digits,digits_parity,digits_value,digits_ink,photo_patches

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

printf '\033[1m$ export MML_DATA_PATH=demo-output/data MML_RESULTS_PATH=demo-output/results\033[0m\n'
export MML_DATA_PATH=demo-output/data MML_RESULTS_PATH=demo-output/results

run mml run --mode=create --tasks "$tasks" --proj demo mode.num_folds=3
run mml run --mode=preprocess --tasks "$tasks" --proj demo preprocessing=size32
run mml run --mode=train --tasks "$tasks" --proj demo preprocessing=size32 loader.batch_size=16
