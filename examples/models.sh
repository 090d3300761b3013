#!/usr/bin/env bash
# Networks of timm on real digits: weights of one training as the first ones of the next, adapters, and models in numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MML_DATA_PATH=$folder/data MML_RESULTS_PATH=$folder/results

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

network="arch=timm arch.kwargs.model=test_resnet"
common="preprocessing=size32 mode.folds=1"
run mml run --mode=create --tasks digits,digits_parity,digits_ink
run mml models show timm arch.kwargs.model=test_resnet --size 32 --channels 1 --classes 10
# Odd or even: a network learns to see digits.
run mml run --mode=train --proj first --tasks digits_parity $network $common trainer.max_epochs=4
# Which digit: that network stays as it is, and low-rank adapters beside its convolutions are trained.
run mml run --mode=train --proj second --tasks digits $network $common trainer.max_epochs=4 \
    arch.weights='first#1' adapter=lora
# Where there is ink: the same kind of network under a decoder.
run mml run --mode=train --proj third --tasks digits_ink $network $common trainer.max_epochs=1 arch.kwargs.decoder=fpn
run mml models --proj second
run mml models show 'second#1'
