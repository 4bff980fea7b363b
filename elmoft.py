"""``python elmoft.py …``, as the old program was called; the same as the installed command ``elmoft``."""

from biomtl.__main__ import elmoft

if __name__ == "__main__":
    elmoft()
