"""Inert stand-ins for the classes that MT-DNN's trainer pickles into ``config``: names and values, no code.

Users don't have MT-DNN's package, and importing its classes would run code from whoever provides them. A stand-in takes
the class's place while a file is read, keeps the values and refuses everything else. No module is imported for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pickle import UnpicklingError
from typing import Any, ClassVar, NoReturn
from unicodedata import category

_PACKAGES = ("", "mt_bluebert.")
_ENUMERATIONS = {
    "data_utils.task_def": ("TaskType", "DataFormat", "EncoderModelType"),
    "data_utils.metrics": ("Metric",),
    "mt_dnn.loss": ("LossCriterion",),
}
_HIGHEST = 99  # the largest value of any of these enumerations is 13


class Member:
    """A member of an enumeration: its number."""

    __slots__ = ("number",)
    enumeration: ClassVar[str] = ""
    number: int

    def __new__(cls, *values: Any) -> Member:
        """Takes one small number."""
        if len(values) != 1 or type(values[0]) is not int or not 0 <= values[0] <= _HIGHEST:
            raise UnpicklingError(f"{cls.enumeration} of {values!r:.60}, not a member of it")
        member = super().__new__(cls)
        object.__setattr__(member, "number", values[0])
        return member

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """A member doesn't change."""
        raise UnpicklingError(f"{self.enumeration} with an attribute {name!r:.40}")

    def __setstate__(self, state: Any) -> NoReturn:
        """A member has no state."""
        raise UnpicklingError(f"{self.enumeration} with a state")


class Labels:
    """A task's labels in order, from a ``Vocabulary``."""

    __slots__ = ("names",)
    names: tuple[str, ...]

    def __new__(cls, *values: Any) -> Labels:
        """Takes nothing: the labels are its state."""
        if values:
            raise UnpicklingError("a Vocabulary that is called")
        labels = super().__new__(cls)
        labels.names = ()
        return labels

    def __setstate__(self, state: Any) -> None:
        """Takes ``tok2ind``, a mapping of every label to its number from 0."""
        numbers = state.get("tok2ind") if type(state) is dict else None
        if type(numbers) is not dict or not all(type(name) is str and type(n) is int for name, n in numbers.items()):
            raise UnpicklingError("a Vocabulary without labels and their numbers")
        if not all(name.strip() and all(category(c)[0] != "C" for c in name) for name in numbers):
            raise UnpicklingError("a label that is empty or holds control characters")
        if sorted(numbers.values()) != list(range(len(numbers))):
            raise UnpicklingError("a Vocabulary whose numbers are not 0, 1, 2 …")
        self.names = tuple(sorted(numbers, key=numbers.__getitem__))


class Definition:
    """A ``TaskDef``, which is a dict with attributes: read as an ``OrderedDict``, which is a dict with attributes."""

    def __new__(cls, *values: Any) -> Any:
        """Takes nothing: items and attributes follow."""
        if values:
            raise UnpicklingError("a TaskDef that is called")
        return OrderedDict()


def stand_ins() -> list[Any]:
    """A class for each name that may stand in a file, for ``torch.serialization.safe_globals``."""
    made: list[Any] = []
    for package in _PACKAGES:
        for module, names in _ENUMERATIONS.items():
            for name in names:
                values = {"__module__": package + module, "__slots__": (), "enumeration": name}
                made.append(type(name, (Member,), values))
        made.append((type("Vocabulary", (Labels,), {"__slots__": ()}), f"{package}data_utils.vocab.Vocabulary"))
        made.append((type("TaskDef", (Definition,), {}), f"{package}experiments.exp_def.TaskDef"))
    return made


def attributes(definition: Any) -> Mapping[str, Any]:
    """The attributes of a task's definition; empty for anything else."""
    return vars(definition) if type(definition) is OrderedDict else {}
