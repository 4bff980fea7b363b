"""Every flag of MT-DNN's trainer has a key or a reason, and a command line becomes a recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from biomtl.errors import InputError
from biomtl.heads.san import SanOptions
from biomtl.mtdnn.flags import FLAGS, apply_flags, insert
from biomtl.training.options import SmartOptions
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import make_recipe

PAGE = Path(__file__).parents[2] / "docs" / "from-mt-dnn.md"
# As `train.py` of MT-DNN (March 2024) and `blue_train.py` of MT-BlueBERT list them.
TRAINERS = """
adam_eps adv_alpha adv_epsilon adv_k adv_noise_var adv_norm_level adv_opt adv_p_norm adv_step_size adv_train
answer_att_hidden_size answer_att_type answer_dropout_p answer_mem_drop_p answer_mem_type answer_merge_opt
answer_num_turn answer_opt answer_rnn_type answer_sum_att_type answer_weight_norm_on backend batch_size batch_size_eval
bert_dropout_p bert_l2norm bert_model_type bin_grow_ratio bin_on bin_size cuda data_dir data_sort_on
dataloader_num_workers debug do_lower_case do_padding dropout_p dropout_w dump_state_on ema_gamma ema_opt embedding_opt
encode_mode encoder_type epochs fp16 fp16_opt_level freeze_layers global_grad_clipping glue_format_on
grad_accumulation_step grad_clipping have_lr_scheduler init_checkpoint init_ratio label_size learning_rate local_rank
log_file log_per_updates lr_gamma masked_lm_prob master_addr master_port max_answer_len max_predictions_per_seq
max_seq_len mem_cum_type mix_opt mkd_opt model_ckpt momentum mtl_opt multi_gpu_on multi_step_lr name not_save
num_hidden_layers optimizer output_dir pooler_actf ratio resume save_per_updates save_per_updates_on scheduler_type seed
short_seq_prob task_def tensorboard tensorboard_logdir test_datasets tokenizer train_datasets transformer_cache
update_bert_opt vb_dropout warmup warmup_schedule weight_decay world_size
"""


def test_every_flag_has_a_key_or_a_note() -> None:
    assert {f"--{name}" for name in TRAINERS.split()} == set(FLAGS)
    for flag, entry in FLAGS.items():
        assert entry.get("key") or entry.get("note"), flag
        assert entry.keys() <= {"key", "values", "set", "over", "split", "with", "note"}, flag
        assert entry.get("with", flag) in FLAGS


def test_every_key_exists() -> None:
    for entry in FLAGS.values():
        first, _, rest = str(entry.get("key", "")).partition(".")
        fields = {"san": SanOptions, "smart": SmartOptions}.get(first)
        if rest:
            assert fields is not None
            assert rest in fields.model_fields
        elif first:
            assert first in Recipe.model_fields


def test_the_page_holds_this_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == insert(page), "run `python -m biomtl.mtdnn.flags < docs/from-mt-dnn.md` and put what it prints there"


def converted(flags: str) -> tuple[dict[str, Any], list[str]]:
    recipe: dict[str, Any] = {"batch_size": 8, "tasks": {"nli": {"head": "san"}, "sts": {}, "mnli": {}}}
    remarks = apply_flags(flags, recipe)
    make_recipe({**recipe, "tasks": {name: dict(options) for name, options in recipe["tasks"].items()}})
    return recipe, remarks


def test_a_command_line() -> None:
    recipe, remarks = converted(
        "--train_datasets nli,sts --optimizer adam --learning_rate 5e-5 --epochs=3 --batch_size 16 --warmup 0.2 "
        "--max_seq_len 64 --answer_num_turn 3 --answer_rnn_type lstm --global_grad_clipping 1 --dropout_p 0.2 "
        "--scheduler_type 1 --num_hidden_layers -1 --seed 7 --multi_gpu_on --fp16"
    )
    assert list(recipe["tasks"]) == ["nli", "sts"]
    assert recipe["tasks"]["nli"]["head_options"] == {"turns": 3, "cell": "lstm"}
    assert (recipe["optim"], recipe["num_train_epochs"], recipe["batch_size"]) == ("adamw", 3, 16)
    assert (recipe["lr_scheduler_type"], recipe["head_dropout"]) == ("cosine", 0.2)
    assert converted("--adv_train --adv_alpha 2")[0]["smart"] == {"weight": 2}
    assert "num_hidden_layers" not in recipe
    assert recipe["fp16"] is True
    assert any(remark.startswith("--multi_gpu_on: use torchrun") for remark in remarks)


def test_flags_of_mt_bluebert() -> None:
    recipe, _ = converted(
        "--ema_opt 1 --ema_gamma 0.99 --scheduler_type ms --multi_step_lr 1,2 --lr_gamma 0.5 --epochs 3"
    )
    assert (recipe["ema_decay"], recipe["lr_milestones"], recipe["lr_gamma"]) == (0.99, [1, 2], 0.5)
    recipe, remarks = converted("--ema_gamma 0.99 --adv_k 2 --update_bert_opt 0")
    assert not recipe.keys() & {"ema_decay", "smart", "freeze_encoder"}
    assert "--ema_gamma: without effect, --ema_opt is not given" in remarks


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--learning_rates 1", "unknown '--learning_rates', did you mean '--learning_rate'"),
        ("--epochs", "--epochs without a value"),
        ("--optimizer lion", "--optimizer lion, expected adam, adamax"),
        ("--train_datasets nil", "no task 'nil', did you mean 'nli'"),
        ("--momentum much", "--momentum 'much', expected a number"),
        ("'--epochs", "No closing quotation"),
        ("epochs 3", "unknown 'epochs'"),
    ],
)
def test_invalid_flags(flags: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        converted(flags)


def test_the_option_of_the_command(tmp_path: Path, command: Any) -> None:
    (tmp_path / "kind_train.tsv").write_text("1\tno\tMilo.\n2\tyes\tRimu.\n")
    definition = {"data_format": "PremiseOnly", "task_type": "Classification", "labels": ["no", "yes"], "n_class": 2}
    (tmp_path / "task_def.yml").write_text(yaml.safe_dump({"kind": definition}))
    call = ["convert", tmp_path / "task_def.yml", tmp_path / "mine.yaml"]
    ended = command(*call, "--flags", "--epochs 7 --name x")
    assert ended.code == 0, ended.err
    assert "--name: MT-DNN doesn't read it" in ended.out
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text())["num_train_epochs"] == 7
    ended = command("convert", tmp_path / "x.pt", tmp_path / "out", "--flags", "--epochs 7")
    assert "--flags for a checkpoint" in ended.err


def test_the_page_s_tests_exist() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "from-mt-dnn.md").read_text()
    named = set(re.findall(r"`(?:tests/)?([a-z_/]+/test_[a-z_]+\.py)`", page))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (root / "tests" / name).is_file()] == []
