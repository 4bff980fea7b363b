"""``biomtl download``: the free corpora, and whom to ask for the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from biomtl.download import download as corpora_download
from biomtl.download.addresses import Corpus
from biomtl.errors import BiomtlError
from biomtl.report.console import table_console

PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def download(
    tasks: Annotated[
        list[str],
        typer.Argument(
            help="Tasks (bc5cdr-chem, ddi2013 …) or a suite (blue, blurb, blue-public).", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the corpora, one subfolder each.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing corpora.")] = False,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="Keep files that differ from those biomtl was tested on.")
    ] = False,
) -> None:
    """Download the freely distributable corpora; for licensed ones, say whom to ask and where to put the files.

    Run the command again to resume an interrupted download. The exit code is 2 if something failed or only licensed
    corpora were requested. Example:

        biomtl download bc5cdr-chem ddi2013 --out corpora/ && biomtl prepare corpora/ --out prepared/
    """

    chosen = corpora_download.wanted(tasks)
    console, stderr = table_console(), Console(stderr=True)
    free = {name: corpus for name, corpus in chosen.items() if corpus.files}
    for name, corpus in free.items():
        console.print(f"{name}: {corpus.notice}\n  {corpus.homepage}", **PLAIN)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        rows: dict[str, Any] = {}

        def show(name: str, have: int, total: int | None) -> None:
            if name not in rows:
                rows[name] = bar.add_task(name)
            bar.update(rows[name], completed=have, total=total)

        done = corpora_download.download(tasks, out, overwrite=overwrite, any_version=any_version, progress=show)
    for result in done:
        state = "downloaded" if result.fresh else "already there, checksums verified"
        console.print(f"{result.folder}: {state}. {result.corpus.after}", **PLAIN)
        for warning in result.warnings:
            stderr.print(f"{result.name}: {warning} than biomtl was tested on", style="yellow", **PLAIN)
    for name, corpus in chosen.items():
        if not corpus.files:
            _explain(name, corpus, out, console)
    if chosen and not free:
        raise BiomtlError("nothing was downloaded: these corpora have to be requested from their owners")


def _explain(name: str, corpus: Corpus, out: Path, console: Console) -> None:
    state = "free, to be downloaded by hand" if corpus.free else "licensed"
    console.print(f"{name}: {state}. {corpus.ask}\n  {corpus.homepage}\n  Put the files here:", **PLAIN)
    for line in corpus.layout:
        console.print(f"    {out / name}/{line}", **PLAIN)
