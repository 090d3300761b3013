#!/usr/bin/env bash
# Do photographs help with digits? Few batches of digits, and a net that has seen photographs before: as a linear probe,
# with its last layers trained as well, and beside the same net trained from nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MML_DATA_PATH=$folder/data MML_RESULTS_PATH=$folder/results

run() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

short="preprocessing=size32 mode.folds=1"
few="$short trainer.max_epochs=3 trainer.limit_train_batches=8"
run mml run --mode=create --tasks photo_patches,digits mode.num_folds=3
run mml run --mode=train --proj photos --tasks photo_patches $short trainer.max_epochs=4 mode.subroutines='[train]'
# Digits are grey and photographs are not: the first convolution is made to fit. What is frozen stays to the last bit.
source="mode.pretrain_task=photo_patches reuse.models=photos mode.input_channels=adapt"
run mml run --mode=transfer --proj probe --tasks digits $few $source mode.freeze=backbone
run mml run --mode=transfer --proj partial --tasks digits $few $source mode.freeze=partial mode.unfreeze_last=2 \
    optimizer.layer_decay=0.8 optimizer.decay_norms_and_biases=false
run mml run --mode=train --proj nothing --tasks digits $few
run mml compare partial nothing --metric accuracy --metric auroc
