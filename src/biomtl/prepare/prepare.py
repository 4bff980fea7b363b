"""From downloaded corpora to a prepared suite: find the corpora, read every task, write all or nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

from biomtl.corpora import registry
from biomtl.corpora.blue.reader import BlueFiles
from biomtl.corpora.reader import Reader, ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import BiomtlError, InputError
from biomtl.formats.mentions import check_policy
from biomtl.prepare.counts import Line
from biomtl.prepare.write import TaskReport, write_task
from biomtl.storage.files import atomic_folder, refuse_existing, write_json
from biomtl.tasks import SUITES, get_task, known_tasks
from biomtl.tasks.registry import named
from biomtl.tasks.task import Task

COUNTS = "counts.json"  # in the suite's folder; also marks it as a prepared suite

Progress = Callable[[int, int, int], None]
"""Called with tasks done, tasks in all, records written so far."""


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` wrote, and how it compares with the expected counts."""

    out: Path
    tasks: tuple[TaskReport, ...]

    @property
    def lines(self) -> list[Line]:
        """The counts of all tasks."""
        return [line for task in self.tasks for line in task.lines]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values: what ``counts.json`` holds."""
        return {
            "tasks": {
                task.task: {
                    "reader": task.reader,
                    "not_used": list(task.not_used),
                    "counts": [line.as_dict() for line in task.lines],
                }
                for task in self.tasks
            }
        }


@dataclass(frozen=True)
class Job:
    """One task to read, its reader, and the other readers that found it."""

    task: Task
    reader: Reader
    not_used: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """What is the same for every task of a call of `prepare`."""

    source: Path
    folder: Path
    options: ReadOptions
    blue: bool

    def write(self, job: Job, tick: Callable[[], None]) -> TaskReport:
        """Read and write one task."""
        target = self.folder / job.task.name
        read = (job.task, job.reader, job.not_used, self.source)
        return write_task(*read, target, self.options, tick, blue=self.blue)


def prepare(
    source: str | Path,
    out: str | Path,
    tasks: Sequence[str] | None = None,
    options: ReadOptions | None = None,
    overwrite: bool = False,
    *,
    blue: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> PrepareReport:
    """Write a prepared suite: ``<task>/{train,dev,test}.jsonl, task.yaml, provenance.json`` and ``counts.json``.

    The output is the same to the byte for the same input and options, whatever the folder and the number of workers.

    Args:
        source: a folder or archive; it may hold several corpora. Where an original distribution and BLUE-format files
            of a task are both found, the original is read.
        out: the folder to write; it appears only when complete.
        tasks: names or aliases, or suites, of which the tasks found are taken; default every task found, and where two
            benchmarks split a corpus in different ways, as BLUE does.
        options: options of the readers; the defaults give BLUE's records.
        overwrite: replace a prepared suite at ``out``.
        blue: write the files in BLUE's format, too: ``<task>/{train,dev,test}.tsv``.
        workers: processes. With more than one, a script must call this under ``if __name__ == "__main__"``.
        progress: called with the progress, a few times a second.

    Raises:
        InputError: nothing found, an unknown task, bad data (file and row), or an output that exists.
    """
    source, out = Path(source), Path(out)
    options = options or ReadOptions()
    check_policy(options.mentions)
    refuse_existing(out, overwrite, output="prepare", inputs=(source, options.sentence_spans))
    jobs = choose(Source(source), tasks)
    with atomic_folder(out, "prepare", overwrite=overwrite) as folder:
        run = _run_here if workers == 1 or len(jobs) == 1 else _run_pool
        work = Work(source, folder, options, blue)
        report = PrepareReport(out, tuple(run(jobs, work, progress or _silent, workers)))
        write_json(folder / COUNTS, report.as_dict())
    return report


def choose(source: Source, tasks: Sequence[str] | None = None) -> list[Job]:
    """Which reader reads which task, in the suites' order: the first of the registry that finds it.

    Raises:
        InputError: nothing is recognised, or a requested task isn't found.
    """
    wanted = list(known_tasks()) if tasks is None else named(tasks)
    suites = [name for name in tasks or () if name.lower() in SUITES]
    if not wanted:
        raise InputError("no task named", fix="known: " + ", ".join(known_tasks()))
    readers: dict[str, list[Reader]] = {}
    for reader in registry.readers():
        for name in reader.detect(source):
            readers.setdefault(name, []).append(reader)
    if tasks is not None and len(set(wanted)) == 1 and wanted[0] not in readers:
        assumed = BlueFiles(assume=wanted[0])
        readers.update({name: [assumed] for name in assumed.detect(source)})
    if tasks is None and not readers:
        looked_for = "; ".join(reader.name for reader in registry.readers())
        fix = "or name the task of plain train.tsv, dev.tsv, test.tsv with --tasks"
        raise InputError("no corpus recognised", path=source.path, expected=f"one of: {looked_for}", fix=fix)
    there = f"the tasks found are {', '.join(sorted(readers))}" if readers else "no task was recognised"
    for suite in suites:
        if not readers.keys() & set(SUITES[suite.lower()]):
            raise InputError(f"no data of suite {suite}", path=source.path, fix=there)
    for name in named(name for name in tasks or () if name not in suites):
        if name not in readers:
            looked_for = f"its original distribution or {name}/train.tsv, dev.tsv, test.tsv"
            raise InputError(f"no data of {name}", path=source.path, expected=looked_for, fix=there)
    chosen = [name for name in wanted if name in readers and (tasks is not None or not _again(name, readers))]
    return [Job(get_task(name), readers[name][0], tuple(other.name for other in readers[name][1:])) for name in chosen]


def _again(name: str, found: Container[str]) -> bool:
    """Whether a task has the corpus of another task that was found."""
    catalogue = get_task(name).catalogue
    return catalogue is not None and catalogue.split_of in found


def _silent(done: int, tasks: int, records: int) -> None:
    pass


def _run_here(jobs: list[Job], work: Work, progress: Progress, workers: int) -> list[TaskReport]:
    """Read the tasks one after the other in this process."""
    reports: list[TaskReport] = []
    records = 0

    def tick() -> None:
        nonlocal records
        records += 1
        if records % 500 == 0:
            progress(len(reports), len(jobs), records)

    for job in jobs:
        reports.append(work.write(job, tick))
        progress(len(reports), len(jobs), records)
    return reports


class _StopError(Exception):
    """Another task failed, or the user interrupted."""


# A worker's view of the shared numbers: records written by each job, and last whether to stop.
_shared: Any = None


def _start_worker(shared: Any) -> None:
    global _shared
    _shared = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the main process has ended in any way, which closes its end of a pipe."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(index: int, job: Job, work: Work) -> TaskReport:
    def tick() -> None:
        _shared[index] += 1
        if _shared[-1]:
            raise _StopError

    return work.write(job, tick)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Within this block SIGINT and SIGTERM wait, so that no process is left half started.

    Processes started in it never see a SIGINT, not even while they start, and SIGTERM once they have.
    """
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _run_pool(jobs: list[Job], work: Work, progress: Progress, workers: int) -> list[TaskReport]:
    """Read the tasks in several processes; the first error stops them all."""
    context: SpawnContext = multiprocessing.get_context("spawn")
    shared = context.Array("q", len(jobs) + 1, lock=False)
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker, (shared,))
    try:
        with _undisturbed():
            futures = [pool.submit(_work, i, job, work) for i, job in enumerate(jobs)]
        waiting: set[Future[TaskReport]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            progress(len(jobs) - len(waiting), len(jobs), sum(shared[:-1]))
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise BiomtlError("a worker process died, out of memory? Prepare fewer tasks at a time (--tasks)") from error
    finally:
        shared[-1] = 1
        pool.shutdown(cancel_futures=True)
