#!/usr/bin/env bash
# The arms of docs/results.md. Each shows every task the same number of training examples, with the same seed, and a
# number of steps that is fixed here beforehand: nothing is selected, so dev is not scored and test is scored once.
#   benchmarks/blue_public.sh PREPARED OUT [joint] [alone] [half] [refined]
# A run that is complete is left alone, one that was interrupted is resumed.
set -euo pipefail
prepared=$1 out=$2
shift 2
arms=("${@:-joint}")
tasks=(bc5cdr-chem bc5cdr-disease ddi2013 chemprot hoc biosses)
declare -A steps=([bc5cdr-chem]=168 [bc5cdr-disease]=168 [ddi2013]=325 [chemprot]=191 [hoc]=121 [biosses]=40)
declare -A rows=([ddi2013]=7000 [chemprot]=4000 [hoc]=6000) # of the training split, drawn by seed
fixed=(eval_strategy=no save_strategy=steps save_steps=139)

run() { # run FOLDER COMMAND…: start, resume or skip
    local folder=$1
    shift
    if [ -f "$folder/metrics.json" ]; then return; fi
    if compgen -G "$folder/checkpoints/step-*" >/dev/null; then "$@" --resume; else "$@" --overwrite; fi
}

joint() {
    run "$out/joint" biomtl train recipes/blue-public-minilm.yaml suite="$prepared" output="$out/joint" \
        eval_steps=null "${fixed[@]}"
}
alone() {
    for task in "${tasks[@]}"; do
        local option="tasks=$task"
        if [ -n "${rows[$task]:-}" ]; then option="tasks={$task: {max_rows: ${rows[$task]}}}"; fi
        if [ "$task" = biosses ]; then option="tasks={biosses: {pairs: apart}}"; fi
        run "$out/alone/$task" biomtl train recipes/single-task-minilm.yaml suite="$prepared" "${fixed[@]}" \
            output="$out/alone/$task" "$option" num_train_epochs=null max_steps="${steps[$task]}"
    done
}
half() { # half of the joint arm's examples: the start of the refined arm
    run "$out/half" biomtl train recipes/blue-public-minilm.yaml suite="$prepared" output="$out/half" \
        eval_steps=null "${fixed[@]}" max_steps=417 predict_test=false
}
refined() { # the other half, task by task
    for task in "${tasks[@]}"; do
        local option=()
        if [ -n "${rows[$task]:-}" ]; then option=("tasks.$task.max_rows=${rows[$task]}"); fi
        run "$out/refined/$task" biomtl finetune "$out/half" --task "$task" --data "$prepared" --out \
            "$out/refined/$task" --recipe recipes/single-task-minilm.yaml num_train_epochs=null "${fixed[@]}" \
            max_steps=$((steps[$task] / 2)) ${option[@]+"${option[@]}"}
    done
}

for arm in "${arms[@]}"; do "$arm"; done
