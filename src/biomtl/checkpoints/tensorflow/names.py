"""Google's TF1 names of BERT variables and Hugging Face's names, as one reversible list of rewrites."""

from __future__ import annotations

import re
from typing import NamedTuple


class Rewrite(NamedTuple):
    """One step of the translation. Forward, ``tf`` becomes ``hf``; backward, ``hf`` becomes ``tf``.

    Both sides are literal text in which ``{n}`` is a number and ``^`` and ``$`` are the ends of the name.
    """

    tf: str
    hf: str

    def forwards(self, name: str) -> str:
        """Apply the step to a TensorFlow name."""
        return _replace(self.tf, self.hf, name)

    def backwards(self, name: str) -> str:
        """Apply the step to a Hugging Face name."""
        return _replace(self.hf, self.tf, name)


#: Applied from top to bottom to get Hugging Face's names and from bottom to top on the way back, where the specific
#: names ("LayerNorm.weight") must come before the general one ("weight").
REWRITES = (
    Rewrite("/kernel$", "/weight$"),
    Rewrite("/LayerNorm/gamma$", "/LayerNorm/weight$"),
    Rewrite("/LayerNorm/beta$", "/LayerNorm/bias$"),
    Rewrite("_embeddings$", "_embeddings/weight$"),
    Rewrite("/layer_{n}/", "/layer/{n}/"),
    Rewrite("^cls/predictions/output_bias$", "^cls/predictions/bias$"),
    Rewrite("^cls/seq_relationship/output_weights$", "^cls/seq_relationship/weight$"),
    Rewrite("^cls/seq_relationship/output_bias$", "^cls/seq_relationship/bias$"),
    Rewrite("^cls/squad/output_weights$", "^qa_outputs/weight$"),
    Rewrite("^cls/squad/output_bias$", "^qa_outputs/bias$"),
    Rewrite("^output_weights$", "^classifier/weight$"),
    Rewrite("^output_bias$", "^classifier/bias$"),
    Rewrite("/", "."),
)

_OBJECT_KEY = re.compile(r"^(?:model/)?(.*)/\.ATTRIBUTES/VARIABLE_VALUE$")
_TRAINING_ONLY = re.compile(
    r"(^|/)(global_step|good_steps|bad_steps|(current_)?loss_scale|beta[12]_power|save_counter)$"
    r"|/(adam_m|adam_v|lamb_m|lamb_v|Adam|Adam_1|Momentum)$"
    r"|/\.OPTIMIZER_SLOT/|^_CHECKPOINTABLE_OBJECT_GRAPH$"
)


def to_hf(name: str) -> str:
    """The Hugging Face name (with the prefix ``bert.``) of a TF1 variable."""
    for rewrite in REWRITES:
        name = rewrite.forwards(name)
    return name


def to_tf(name: str) -> str:
    """The TF1 variable for Hugging Face's parameter ``name`` (with the prefix ``bert.``)."""
    for rewrite in reversed(REWRITES):
        name = rewrite.backwards(name)
    return name


def is_transposed(tf_name: str) -> bool:
    """Whether the two are transposes of each other: TensorFlow's kernels are [in, out], torch's weights [out, in]."""
    return tf_name.endswith("/kernel")


def tf1_name(key: str) -> str:
    """The TF1 name in a key of an object-based (TF2) checkpoint that kept it; other keys are unchanged."""
    match = _OBJECT_KEY.match(key)
    return match[1].replace(".S", "/").replace("..", ".") if match else key


def is_training_only(key: str) -> bool:
    """Whether a variable is used only in training: counters, loss scales, optimiser slots."""
    return bool(_TRAINING_ONLY.search(key) or _TRAINING_ONLY.search(tf1_name(key)))


def _replace(old: str, new: str, name: str) -> str:
    anchored = re.escape(old.strip("^$")).replace(re.escape("{n}"), r"(\d+)")
    pattern = ("^" if old.startswith("^") else "") + anchored + ("$" if old.endswith("$") else "")
    return re.sub(pattern, new.strip("^$").replace("{n}", r"\1"), name)
