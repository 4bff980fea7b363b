#!/usr/bin/env bash
# The three arms of docs/results.md: every arm shows each task the same number of training examples, with the same
# seed. Usage: benchmarks/blue_public.sh PREPARED OUT [joint|alone|half|refined ...]
# A run that is complete is left alone, one that was interrupted is resumed.
set -euo pipefail
prepared=$1 out=$2
shift 2
arms=("${@:-joint alone half refined}")
tasks=(bc5cdr-chem bc5cdr-disease ddi2013 chemprot hoc biosses)
declare -A options=([chemprot]="tasks={chemprot: {max_rows: 10000}}" [biosses]="tasks={biosses: {pairs: apart}}")
declare -A passes=([bc5cdr-chem]=4 [bc5cdr-disease]=4 [ddi2013]=1 [chemprot]=1 [hoc]=2 [biosses]=10)

run() { # run FOLDER COMMAND…: start, resume or skip
    local folder=$1
    shift
    if [ -f "$folder/metrics.json" ]; then return; fi
    if compgen -G "$folder/checkpoints/step-*" >/dev/null; then "$@" --resume; else "$@" --overwrite; fi
}

joint() {
    run "$out/joint" biomtl train recipes/blue-public-minilm.yaml suite="$prepared" output="$out/joint"
}
alone() {
    for task in "${tasks[@]}"; do
        run "$out/alone/$task" biomtl train recipes/single-task-minilm.yaml suite="$prepared" \
            output="$out/alone/$task" "${options[$task]:-tasks=$task}" num_train_epochs="${passes[$task]}"
    done
}
half() { # half of the joint arm's examples, the start of the refined arm
    run "$out/half" biomtl train recipes/blue-public-minilm.yaml suite="$prepared" output="$out/half" \
        max_steps=1070 predict_test=false
}
refined() { # the other half, task by task
    for task in "${tasks[@]}"; do
        local setting=("num_train_epochs=$((passes[$task] / 2))")
        # Half a pass has no whole number of epochs: the steps of half an epoch, as the plan of the alone arm counts.
        [ "$task" = ddi2013 ] && setting=(max_steps=352 eval_steps=352)
        [ "$task" = chemprot ] && setting=(max_steps=167 eval_steps=167 tasks.chemprot.max_rows=10000)
        run "$out/refined/$task" biomtl finetune "$out/half" --task "$task" --data "$prepared" \
            --out "$out/refined/$task" --recipe recipes/single-task-minilm.yaml num_train_epochs=null "${setting[@]}"
    done
}

for arm in ${arms[*]}; do "$arm"; done
