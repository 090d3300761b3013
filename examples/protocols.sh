#!/usr/bin/env bash
# Protocols of mode=train on real digits: nested validation, tasks learnt together, a model on another task, blueprints.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MML_DATA_PATH=$folder/data MML_RESULTS_PATH=$folder/results

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

tasks=digits,digits_parity,digits_value
quick="preprocessing=none trainer.max_epochs=2"
run mml run --mode=create --tasks "$tasks" mode.num_folds=3
# One fold chooses the epoch whose weights are kept, another one that nothing has looked at is reported.
run mml run --mode=train --proj nested --tasks digits $quick mode.nested=true mode.folds=1 \
    mode.weights=best mode.monitor=val/accuracy callbacks.early_stopping.patience=2
# One network, three heads: a class, another class, and a number; the training is written down as a blueprint.
run mml run --mode=train --proj joint --tasks digits $quick mode.folds=1 \
    mode.co_tasks.tasks='[digits_parity,digits_value]' +mode.task_weights.digits_value=0.5 mode.write_blueprint=true
# What the joint training was made with, but for its length.
run mml run --mode=train --proj again --tasks digits preprocessing=none mode.folds=1 trainer.max_epochs=4 \
    reuse.blueprint=joint mode.use_blueprint='[arch,optimizer,lr_scheduler]'
# That model tells even digits from odd ones, too: the probabilities of its classes add up. Its images are known to it,
# but for the test split.
run mml run --mode=train --proj other --tasks digits preprocessing=none mode.folds=1 mode.subroutines='[predict,test]' \
    reuse.models=again mode.eval_on='[digits_parity]' leakage=ignore \
    '+mode.class_maps.digits_parity={even: ["0","2","4","6","8"], odd: ["1","3","5","7","9"]}'
