#!/usr/bin/env bash
# The arms of docs/results.md. In each, every task sees the same number of training examples, with the same seed, and
# the number of steps is fixed here in advance: nothing is selected, so dev is not scored and test is scored once.
#   benchmarks/blue_public.sh PREPARED OUT [RUN…]        RUN: joint, half, alone/TASK, refined/TASK; default all
# A complete run is skipped, an interrupted one is resumed. Two parallel runs with one thread each are faster than
# consecutive runs with two threads (half comes first, because the refined runs start from it):
#   benchmarks/blue_public.sh --list | OMP_NUM_THREADS=1 xargs -n 1 -P 2 benchmarks/blue_public.sh PREPARED OUT
set -euo pipefail

# Steps for three passes over BC5CDR and HoC, two over DDI and ChemProt, ten over BIOSSES; JOINT steps hold all of them.
declare -A STEPS=([bc5cdr-chem]=512 [bc5cdr-disease]=512 [ddi2013]=3581 [chemprot]=3807 [hoc]=1344 [biosses]=60)
JOINT=9411
TASKS=(chemprot ddi2013 hoc bc5cdr-chem bc5cdr-disease biosses)
RUNS=(half joint "${TASKS[@]/#/alone/}" "${TASKS[@]/#/refined/}")
if [ "${1:-}" = --list ]; then printf '%s\n' "${RUNS[@]}" && exit; fi

prepared=$1 out=$2
shift 2
# bfloat16 is three times as fast on a CPU with instructions for it and far slower on others: use bf16=false there.
fixed=(bf16=true eval_strategy=no eval_steps=null save_strategy=steps save_steps=400)

run() { # run NAME COMMAND…: start, resume or skip
    local folder=$out/$1
    shift
    if [ -f "$folder/metrics.json" ]; then return; fi
    if compgen -G "$folder/checkpoints/step-*" >/dev/null; then "$@" --resume; else "$@" --overwrite; fi
}
joint() { # joint NAME KEY=VALUE…
    run "$1" biomtl train blue-public-minilm suite="$prepared" output="$out/$1" "${fixed[@]}" "${@:2}"
}
alone() { # alone TASK
    local pairs=()
    if [ "$1" = biosses ]; then pairs=(tasks.biosses.pairs=apart); fi
    run "alone/$1" biomtl train single-task-minilm suite="$prepared" tasks="$1" "${pairs[@]}" \
        output="$out/alone/$1" "${fixed[@]}" num_train_epochs=null max_steps="${STEPS[$1]}"
}
refined() { # refined TASK: the other half of its steps, from the model of half of the joint steps
    run "refined/$1" biomtl finetune "$out/half" --task "$1" --data "$prepared" --out "$out/refined/$1" \
        --recipe single-task-minilm "${fixed[@]}" num_train_epochs=null max_steps=$((STEPS[$1] / 2))
}

for name in "${@:-${RUNS[@]}}"; do
    case $name in
        joint) joint joint max_steps=$JOINT ;;
        half) joint half max_steps=$((JOINT / 2)) predict_test=false ;;
        alone/*) alone "${name#*/}" ;;
        refined/*) refined "${name#*/}" ;;
        *) echo "$name is none of: ${RUNS[*]}" >&2 && exit 2 ;;
    esac
done
