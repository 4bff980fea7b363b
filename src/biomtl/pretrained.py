"""The one place where transformers opens a folder or hub name: data only, no code from there is ever run.

transformers can run code that a folder refers to: Python files (``auto_map``), kernels by hub name, adapters that refer
to another model. By default it asks on the terminal. Here the answer is always no, and models that need such code are
refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biomtl.errors import InputError

_IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_EXPERTS = ("experts_implementation", "_experts_implementation", "_experts_implementation_internal")
ENCODER_HALVES = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
}
"""Families with a decoder, and the class of transformers that is their encoder alone."""
_KERNELS = ("use_kernels", "kernel_config")


def load_network(name: str | Path, class_name: str = "AutoModel", *, pickled: bool = False, **given: Any) -> Any:
    """A network in float32, and its parameters that were missing from the file.

    Args:
        name: a folder in ``save_pretrained`` form, or a hub name.
        class_name: a class of transformers; of ``AutoModel`` the encoder half, where a family has a class for it.
        pickled: read ``pytorch_model.bin`` where there is nothing else; torch takes nothing but tensors from it.
        given: further arguments of ``from_pretrained``.

    Returns:
        ``(network, names of missing parameters)``.

    Raises:
        InputError: the model can't be loaded without running its code.
        Exception: whatever transformers raises for an incomplete folder.
    """
    import torch
    import transformers

    from biomtl.storage.tensors import refuse_nonfinite

    refuse_code(name)
    config = _config(name)
    for key in ("hidden_act", "hidden_activation", "activation"):  # in transformers 4 a number is an error in use only
        if not isinstance(config.get(key), str | None):
            raise InputError(f"{key} {config[key]!r} in config.json is no activation's name", path=name)
    if class_name == "AutoModel":
        class_name = ENCODER_HALVES.get(str(config.get("model_type")), "AutoModel")
    with quiet(), _no_code(name):
        network, report = getattr(transformers, class_name).from_pretrained(
            str(name),
            dtype=torch.float32,
            use_safetensors=None if pickled else True,
            weights_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **given,
        )
    refuse_nonfinite(network.named_parameters(), name)
    return network, sorted(report["missing_keys"])


def _config(name: str | Path) -> dict[str, Any]:
    from transformers import PretrainedConfig

    config, _ = PretrainedConfig.get_config_dict(str(name))
    return dict(config)


def layers_of(name: str | Path) -> int:
    """The number of an encoder's layers, by its configuration; errors as for ``load_network``."""
    import transformers

    with quiet(), _no_code(name):
        config = transformers.AutoConfig.from_pretrained(str(name), trust_remote_code=False)
    return int(config.num_hidden_layers)


def load_tokenizer(name: str | Path, class_name: str = "AutoTokenizer", **given: Any) -> Any:
    """A tokenizer; ``given`` are further arguments of ``from_pretrained``, errors as for ``load_network``."""
    import transformers

    with quiet(), _no_code(name):
        return getattr(transformers, class_name).from_pretrained(str(name), trust_remote_code=False, **given)


def refuse_code(name: str | Path) -> None:
    """Refuse adapters and kernels, which transformers would fetch or run on its own.

    Raises:
        InputError: what the folder or hub name asks for.
    """
    from transformers import PretrainedConfig
    from transformers.utils import find_adapter_config_file

    if find_adapter_config_file(str(name), local_files_only=True) is not None:
        fix = "merge it into its model and save that"
        raise InputError("an adapter (adapter_config.json)", path=name, expected="a whole model", fix=fix)
    config, _ = PretrainedConfig.get_config_dict(str(name))
    for section in (config, *(value for value in config.values() if isinstance(value, dict))):
        asked = [key for key in _KERNELS if section.get(key)]
        asked += [key for key in (*_IMPLEMENTATIONS, *_EXPERTS) if _is_kernel(section.get(key))]
        if asked:
            problem = f"{asked[0]} {str(section[asked[0]])[:60]!r}: a kernel is code, which is never loaded"
            raise InputError(problem, path=Path(name) / "config.json", fix=f"delete {asked[0]} from it")


def _is_kernel(value: object) -> bool:
    """Whether this names a kernel of the hub, or what transformers takes from there where no package has it."""
    return "/" in str(value) or "flash_attention" in str(value)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars and reports of unused weights, which are expected here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _no_code(name: str | Path) -> Iterator[None]:
    """Report in our own words that a model needs to run its own code."""
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        problem = "a model with Python code of its own (auto_map), which is never run"
        raise InputError(problem, path=name, expected="a model that transformers knows") from error
