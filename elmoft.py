"""``python elmoft.py …``, as the old program was called; the same as the installed command ``elmoft``."""

from biomtl.cli.elmo import main

if __name__ == "__main__":
    main()
