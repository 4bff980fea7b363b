"""Are the installed versions the lowest that biomtl allows? Otherwise a lower bound is one that nothing tests.

Run with the environment's Python; packages named as arguments may be newer.
"""

from __future__ import annotations

import sys
from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.version import Version


def main(excepted: list[str]) -> int:
    """Print the packages whose installed version isn't their lower bound; 1 if there is one, otherwise 0."""
    wrong = []
    for requirement in map(Requirement, requires("biomtl") or []):
        bounds = [Version(part.version) for part in requirement.specifier if part.operator in (">=", "==")]
        if not bounds or requirement.name in excepted:
            continue
        installed = Version(version(requirement.name))
        if installed != bounds[0]:
            wrong.append(f"{requirement.name}: {installed} is installed, the lower bound is {bounds[0]}")
    print("\n".join(wrong) or "every dependency is at its lower bound")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
