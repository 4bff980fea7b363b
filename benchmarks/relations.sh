#!/usr/bin/env bash
# The runs of docs/relations.md: two relation tasks in three views, three seeds each, every choice made on dev.
#   benchmarks/relations.sh PREPARED OUT [RUN…]        RUN: TASK/VIEW/SEED; default all, the cheapest first
# A complete run is skipped, an interrupted one is resumed. Two runs with one thread each in parallel:
#   benchmarks/relations.sh --list | OMP_NUM_THREADS=1 xargs -n 1 -P 2 benchmarks/relations.sh PREPARED OUT
set -euo pipefail

# What a view's runs differ in: passes over the training split, the size of batches, and the rates, chosen on dev.
declare -A OPTIONS=(
    [mask]="num_train_epochs=2 batch_tokens=1024 learning_rate=1e-4 head_learning_rate=5e-3"
    [markers]="num_train_epochs=2 batch_tokens=1024 learning_rate=1e-4 head_learning_rate=5e-3"
    [spans]="num_train_epochs=5 batch_tokens=512 learning_rate=1e-4 head_learning_rate=1e-3"
)
TASKS=(ddi2013 chemprot)
SEEDS=(1 2 3)
RUNS=()
for view in spans mask markers; do
    for seed in "${SEEDS[@]}"; do
        for task in "${TASKS[@]}"; do RUNS+=("$task/$view/$seed"); done
    done
done
if [ "${1:-}" = --list ]; then printf '%s\n' "${RUNS[@]}" && exit; fi

prepared=$1 out=$2
shift 2
for name in "${@:-${RUNS[@]}}"; do
    IFS=/ read -r task view seed <<<"$name"
    folder=$out/$name
    if [ -f "$folder/metrics.json" ]; then continue; fi
    # bfloat16 is three times as fast on a CPU with instructions for it and far slower on others: use bf16=false there.
    keys=(suite="$prepared" tasks="{$task: {view: $view}}" output="$folder" seed="$seed" bf16=true num_threads=1
        eval_strategy=epoch save_strategy=steps save_steps=300)
    resume=--overwrite
    if compgen -G "$folder/checkpoints/step-*" >/dev/null; then resume=--resume; fi
    read -ra options <<<"${OPTIONS[$view]}"
    biomtl train recipes/single-task-minilm.yaml "${keys[@]}" "${options[@]}" $resume
done
