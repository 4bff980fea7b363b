"""``biomtl elmo``, also installed as ``elmoft``."""

from __future__ import annotations

import inspect
import os
import shlex
import sys
from typing import Any

import typer
from typer.core import TyperCommand

from biomtl.elmoft.abbreviations import in_full
from biomtl.elmoft.flags import Flags


class Abbreviated(TyperCommand):
    """A command whose long flags may be shortened, as in the old program."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line after writing its flags in full."""
        flags = [name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("--")]
        return super().parse_args(ctx, in_full(args, flags))


def elmo(**values: Any) -> None:
    """Fine-tune on a frozen ELMo with the flags of elmoft.py, all explained in docs/elmoft.md.

    Example: `elmoft --task ddi --seq2vec boe --options_path options.json --weights_path weights.hdf5 --data_dir data`
    """
    flags = Flags(**values)
    # Torch looks for devices once, so this must come before it is imported.
    choose_devices(flags)
    if flags.distrb and "WORLD_SIZE" not in os.environ:
        start_processes(flags)
    from biomtl.cli.say import say
    from biomtl.elmoft.run import run
    from biomtl.report.console import table_console

    command = shlex.join(["biomtl", *sys.argv[1:]])
    run(flags, command, table_console(), lambda note: say(f"biomtl: note: {note}", err=True))


# The flags are listed once, in `Flags`; typer reads them from the signature.
elmo.__signature__ = inspect.signature(Flags, eval_str=True)  # type: ignore[attr-defined]

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
app.command("elmo", cls=Abbreviated)(elmo)


def choose_devices(flags: Flags) -> None:
    """Make only the requested devices visible to torch."""
    from biomtl.elmoft.checks import check, devices

    check(flags)
    chosen = devices(flags)
    if not chosen:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    elif flags.gpuq is not None or flags.gpunum > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, chosen))


def start_processes(flags: Flags) -> None:
    """Continue as several processes of torch's launcher: one per device, or ``--np`` of them on a CPU."""
    from biomtl.elmoft.checks import devices

    count = max(flags.np, len(devices(flags)))
    if count > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
        rest = sys.argv[sys.argv.index("elmo") + 1 :]
        os.execv(sys.executable, [*launcher, "-m", "--", "biomtl.cli.main", "elmo", *rest])
