"""The run folder: locked while a run is active, and replaced only by a finished run.

A new run is written to its own folder. A run that will replace an older one is written beside it, to
``.NAME.next/NAME``, and takes its place at the end: until then the older run stays as it is, and ``--resume`` finds the
newer one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from biomtl.errors import InputError
from biomtl.results import FILE
from biomtl.storage.files import atomic_file, atomic_folder, made_folder, refuse_existing
from biomtl.storage.litter import recover
from biomtl.storage.ownership import refuse_foreign
from biomtl.training.assemble import same_place
from biomtl.training.checkpoint import latest_checkpoint
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, load_recipe

RECIPE = "recipe.yaml"
CHECKPOINTS = "checkpoints"
INCIDENTAL = ("output", "num_threads", "report_to", "save_strategy", "save_steps", "save_minutes", "save_total_limit")
"""Keys that don't decide what a run learns, and may change when it is resumed."""
RESULTS = (FILE, "model/README.md", "report.html")
"""The last files that a run writes, in this order: once all exist, the run is finished."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Attributes:
        output: the folder in the recipe.
        place: where the files are until the run is finished: in ``output``, or beside it.
        resume: whether an interrupted run is continued.
    """

    output: Path
    place: Path
    resume: bool

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.place / CHECKPOINTS

    @property
    def note(self) -> str | None:
        """Where to find a run that will replace an older one."""
        if self.place == self.output:
            return None
        return f"written to {self.place} until it is finished; the older run stays until then"

    @property
    def scored(self) -> bool:
        """Whether the scores are written, so that only later files may be missing."""
        return (self.place / FILE).is_file()

    @property
    def continuation(self) -> str:
        """What to do once a signal has ended the run."""
        if latest_checkpoint(self.checkpoints) is not None or self.scored:
            return "go on with --resume"
        again = "nothing is trained yet, start it again"
        return f"{again} with --overwrite" if _is_run(self.place) or self.place != self.output else again

    def begin(self, recipe: Recipe) -> None:
        """Create the folder with its recipe; or, when resuming, delete what a killed process left behind.

        Raises:
            InputError: the run to resume has another recipe, or the folder was created meanwhile.
        """
        if self.resume:
            self._take_up(recipe)
            return
        _discard(_next(self.output).parent)
        with contextlib.suppress(OSError):
            self.place.rmdir()  # an empty folder counts as none
        try:
            with atomic_folder(self.place, "run") as work:
                (work / RECIPE).write_text(dump_recipe(recipe), encoding="utf-8")
        except BaseException:
            if self.place != self.output:
                with contextlib.suppress(OSError):
                    self.place.parent.rmdir()
            raise

    def _take_up(self, recipe: Recipe) -> None:
        path = self.place / RECIPE
        before = load_recipe(path)
        for key in Recipe.model_fields:
            old, new = getattr(before, key), getattr(recipe, key)
            unknown = key not in before.model_fields_set and old is not None  # to the biomtl that started the run
            if key not in INCIDENTAL and not unknown and not same_place(old, new):
                raise InputError(f"{key} is {old!r}, now {new!r}", path=path, fix="resume with the recipe as it was")
        if before != recipe:  # the same under other names, such as those of a moved folder
            with atomic_file(path) as stream:
                stream.write(dump_recipe(recipe))
        _tidy(self.place)

    def settle(self) -> None:
        """Put the finished run in the place of the older one, if there is one."""
        if self.place != self.output:
            _replace(self.output)


@contextlib.contextmanager
def claim(
    output: Path, *, resume: bool, overwrite: bool, inputs: Iterable[str | Path | None] = ()
) -> Iterator[RunFolder]:
    """The folder of a run that may start; no other process can claim it within the block.

    Nothing is written or deleted yet, except that an interrupted replacement is completed.

    Args:
        output: the folder.
        resume: whether an interrupted run is continued.
        overwrite: whether an older run may be replaced.
        inputs: the run's inputs, which are never replaced.

    Raises:
        InputError: another process holds it, it exists, it isn't a run folder, or there is nothing to resume.
    """
    with locked(output):
        _recover(output, resume=resume)
        yield RunFolder(output, _resumable(output) if resume else _free(output, overwrite, inputs), resume)


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the run folder's lock, which the system releases even if the process is killed.

    Raises:
        InputError: another process holds it.
    """
    if output.resolve() == output.resolve().parent:
        raise InputError("the root of the file system", path=output, fix="choose another output")
    path = _lock(output)
    with made_folder(path.parent):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            fix = "wait until it ends, or choose another output"
            raise InputError("another process is training in this folder", path=output, fix=fix) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # before the release: the next process creates and locks a new file
            lock.release()


def _lock(output: Path) -> Path:
    path = output.resolve()
    return path.parent / f".{path.name}.lock"


def _next(output: Path) -> Path:
    """Where a run that will replace the one in ``output`` is written; its report shows the folder's name."""
    target = output.resolve()
    return target.parent / f".{target.name}.next" / target.name


def _is_run(folder: Path) -> bool:
    return (folder / RECIPE).is_file()


def is_finished(folder: Path) -> bool:
    """Whether all files of a finished run exist."""
    return all((folder / name).is_file() for name in RESULTS)


def in_use(output: Path) -> bool:
    """Whether a process is training in a run folder."""
    lock = FileLock(_lock(output))
    if not Path(lock.lock_file).exists():
        return False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def place_of(output: Path) -> Path:
    """Where a run's files are: in its folder, or beside it while it will replace an older one."""
    waiting = _next(output)
    return waiting if _is_run(waiting) else output


def interrupted(output: Path) -> Path | None:
    """The folder of the run that was interrupted last, if it can be continued."""
    waiting = _next(output)
    for place in (waiting, output):
        begun = latest_checkpoint(place / CHECKPOINTS) is not None or (place / FILE).is_file()
        if _is_run(place) and begun and (place == waiting or not is_finished(place)):
            return place
    return None


def discard_progress(output: Path) -> None:
    """Delete what an interrupted run could be continued with; a finished run stays."""
    _discard(_next(output).parent)
    if _is_run(output) and not is_finished(output):
        shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)
        (output / FILE).unlink(missing_ok=True)


def _resumable(output: Path) -> Path:
    """The folder of the run that was interrupted last."""
    place, waiting = interrupted(output), _next(output)
    if place is not None:
        return place
    if _is_run(waiting):
        fix = "start it again with --overwrite"
        raise InputError("nothing to resume: the new run has no checkpoint yet", path=output, fix=fix)
    if is_finished(output):
        on = f"encoder={output} heads=trained and another output"
        fix = f"see {FILE}; train again with --overwrite, or continue from it with {on}"
        raise InputError("the run is finished", path=output, fix=fix)
    expected = "a run folder with checkpoints/step-…"
    raise InputError("nothing to resume", path=output, expected=expected, fix="output=FOLDER says where it is")


def _free(output: Path, overwrite: bool, inputs: Iterable[str | Path | None]) -> Path:
    """Where a new run may be written."""
    waiting = _next(output)
    there = os.path.lexists(output)
    if overwrite and _is_run(output):
        _tidy(output)
    refuse_existing(output, overwrite, output="run", inputs=inputs)
    if _is_run(waiting) and not overwrite:
        fix = "continue it with --resume, or add --overwrite"
        raise InputError("an unfinished run of this name", path=waiting, fix=fix)
    return waiting if there and any(output.iterdir()) else output


def _replace(output: Path) -> None:
    """Put the finished run in the place of the older one; if the process is killed, ``_recover`` completes it.

    Raises:
        InputError: the older run now contains files that biomtl didn't write.
    """
    target, new, old = output.resolve(), _next(output), _replaced(output)
    if target.exists():
        refuse_foreign(target, "run")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
    os.rename(new, target)
    _discard(new.parent)
    shutil.rmtree(old, ignore_errors=True)


def _replaced(output: Path) -> Path:
    """Where an older run is moved before it is deleted."""
    new = _next(output)
    return new.with_name(f"{new.name}.replaced")


def _recover(output: Path, *, resume: bool) -> None:
    """Complete the replacement (unless resuming, which does so itself) or deletion that a killed process began."""
    target, new, old = output.resolve(), _next(output), _replaced(output)
    ours = {new.name, old.name}
    if is_finished(new) and not resume:
        _replace(output)
    elif old.is_dir() and not target.exists():
        os.rename(old, target)
    if not new.exists() and _holds_only(new.parent, ours):
        _discard(new.parent)
    shutil.rmtree(old, ignore_errors=True)
    if _holds_only(_gone(new.parent), ours):
        shutil.rmtree(_gone(new.parent), ignore_errors=True)


def _holds_only(folder: Path, names: set[str]) -> bool:
    """Whether a folder exists and has nothing in it but these names."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= names


def _tidy(folder: Path) -> None:
    """Delete all half-written files that a killed process left in a run folder."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
        recover(place)


def _discard(folder: Path) -> None:
    """Delete a folder of ours; it is renamed first, so that a half-deleted one is never taken for a run."""
    if folder.is_dir():
        shutil.rmtree(_gone(folder), ignore_errors=True)
        os.rename(folder, _gone(folder))
        shutil.rmtree(_gone(folder), ignore_errors=True)


def _gone(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.gone")
