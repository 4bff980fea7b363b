"""Damage: fast changes of bytes for fuzzing, and the kinds of fault that files have in real life."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

TOKENS = [
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n\n", b"\t", b"\t\t", b" ", b"\xe2\x80\xa8"),
    *(b"|", b"||", b'"', b'""', b"'", b"<", b">", b"&", b"&#0;", b"&amp;", b"]]>", b"<!--", b"<![CDATA[", b";"),
    *(b"-1", b"0", b"1e999", b"99999999999", b"1000000000000000000", b"0.5", b"nan", b"inf", "٣".encode(), b"1_0"),
    *(b"{", b"}", b"[", b"]", b"[[", b"null", b"true", b"{}", b"[]", b"\\u0000", b"\\ud800", b"\\", b"#", b"%", b"~"),
    *(b"O", b"B-", b"I-", b"[/bold]", b"[red]", b"\x1b[31m", b"\x07", b"..", b"/", b"../x", b"*a", b"&a ["),
    *(b"2020-01-01", b"- ", b"? ", b"<<: ", b"---\n", b"|\n ", b"!!binary x", b"!!set {a}", b"=", b"T1\t"),
    *(b"!!timestamp 1", b"-DOCSTART-", b",", b":", b"0x10"),
]  # fmt: skip


def mutated(rng: random.Random, sample: bytes, other: bytes) -> bytes:
    """``sample`` with one to four pieces cut out, doubled, replaced, moved or taken from ``other``."""
    draw = rng.random
    for _ in range(1 + int(draw() * draw() * 4)):
        size = len(sample)
        start = int(draw() * (size + 1))
        end = start + int(draw() * draw() * 16)
        what = int(draw() * 8)
        if what == 0:
            piece = TOKENS[int(draw() * len(TOKENS))]
        elif what == 1:
            piece = b""
        elif what == 2:
            piece = sample[start:end] * (2 + int(draw() * 3))
        elif what == 3 and start < size:
            piece, end = bytes([sample[start] ^ 1 << int(draw() * 8)]), start + 1
        elif what == 4:
            piece, end = bytes([int(draw() * 256)]), start + 1
        elif what == 5:
            at = int(draw() * (len(other) + 1))
            piece = other[at : at + 1 + int(draw() * 40)]
        elif what == 6:
            piece, end = TOKENS[int(draw() * len(TOKENS))], start
        else:
            at = int(draw() * (size + 1))
            piece = sample[at : at + 1 + int(draw() * 24)]
        sample = sample[:start] + piece + sample[end:]
    return sample


def flipped(rng: random.Random, content: bytes) -> bytes:
    """One to eight bits flipped, each in another byte."""
    changed = bytearray(content)
    for at in rng.sample(range(len(changed)), min(len(changed), rng.randint(1, 8))):
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def damaged_json(rng: random.Random, content: bytes) -> bytes:
    """One value of a JSON document (or of a line of JSON lines) replaced by one of another kind, or a key left out."""
    lines = content.splitlines(keepends=True)
    whole = lines[:1] == [b"{\n"] or len(lines) < 2
    chosen = 0 if whole else rng.randrange(len(lines))
    try:
        value = json.loads(content if whole else lines[chosen])
    except ValueError:
        return mutated(rng, content, content)
    places = list(_places(value))
    marker = "\x00marker"
    text = _wrong_kind(rng)
    if not places or rng.random() < 0.1:
        new = text
    else:
        holder, key = rng.choice(places)
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = marker
        new = json.dumps(value).replace(json.dumps(marker), text)
    if whole:
        return new.encode("utf-8", "surrogatepass")
    lines[chosen] = new.encode("utf-8", "surrogatepass") + b"\n"
    return b"".join(lines)


def _places(value: Any) -> Any:
    """Every (container, key or index) below a value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield value, key
        yield from _places(child)


def _wrong_kind(rng: random.Random) -> str:
    """JSON of a kind that is hardly expected, as text."""
    depth = rng.choice((3, 500, 100_000))
    return rng.choice(
        (
            *("null", "true", "-1", "0", "0.5", "1e308", "1e999", "NaN", "1" + "0" * 18, "1" * 5000),
            *('""', '"x"', '"\\u0000"', '"\\ud800"', '"[/bold]"'),
            *('"\\u001b[31m"', '"2020-01-01"', '"../../x"', '"/dev/zero"', '"' + "x" * 100_000 + '"'),
            *("[]", "{}", "[1]", '["x"]', '{"x": 1}', '[["x"]]', "[null]", '{"x": {"y": []}}'),
            *("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth),
        )
    )  # fmt: skip


def damaged_yaml(rng: random.Random, content: bytes) -> bytes:
    """One value of a YAML file replaced, or a line doubled, left out or added."""
    lines = content.decode().splitlines()
    at = rng.randrange(len(lines)) if lines else 0
    bomb = "\n".join(f"x{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'lol'] * 9)}]" for i in range(12))
    values = (
        *("null", "true", "-1", "0", "1e308", ".nan", ".inf", "1" + "0" * 18, "1" * 5000, "''"),
        *("x", "[]", "{}", "[x]", "{x: 1}", "*a", "!!int x"),
        *("2020-01-01", "!!timestamp 1", "!!python/object/apply:os.system [ls]", "!!binary x", "!!set {a}"),
        *("&a [*a]", "'[/bold]'", '"\\e[31m"', '"\\0"', "../../x", "/dev/zero", "'" + "x" * 100_000 + "'"),
        *("[" * 3000 + "]" * 3000, "{a: " * 3000 + "}" * 3000, "- x", "|", "12:30:45", "0o17", "1_000", "~", "? x"),
    )  # fmt: skip
    what = rng.random()
    if not lines or what < 0.1:
        return "\n".join([*lines, bomb]).encode()
    if what < 0.2:
        lines.insert(at, lines[at])
    elif what < 0.3:
        del lines[at]
    elif what < 0.35:
        lines.insert(
            at, rng.choice(("<<: {a: 1}", "&a", "- x", "unknown: 1", "\x07: 1", "? [a, b]\n: 1", "\t", "...", "---"))
        )
    else:
        key, colon, _ = lines[at].partition(":")
        lines[at] = f"{key}{colon or ':'} {rng.choice(values)}"
    return "\n".join(lines).encode()


def damaged_tensors(rng: random.Random, content: bytes) -> bytes:
    """The header of a safetensors file changed: lengths, types, shapes and places that can't be."""
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size]
    if rng.random() < 0.2:
        return struct.pack("<Q", rng.choice((0, 1, size - 1, size + 1, 10**9, 2**63))) + content[8:]
    new = damaged_json(rng, header)
    return struct.pack("<Q", len(new)) + new + content[8 + size :]
