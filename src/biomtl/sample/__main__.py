"""``python -m biomtl.sample DIR``: write the sample suite to a folder."""

from __future__ import annotations

import sys

from biomtl.errors import BiomtlError
from biomtl.sample import make_sample

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m biomtl.sample DIR")
    try:
        print(make_sample(sys.argv[1]))
    except BiomtlError as error:
        sys.stderr.write(f"biomtl: error: {error}\n")
        sys.exit(2)
