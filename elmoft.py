"""``python elmoft.py …``, as the old program was called; the same as the installed command ``elmoft``."""

from biomtl.cli.main import elmoft

if __name__ == "__main__":
    elmoft()
