"""JSON and YAML beyond the limits or of the wrong type give a one-line error."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from biomtl.errors import InputError
from biomtl.storage import structured
from biomtl.storage.structured import MAX_YAML, NotYamlError, parse_yaml, read_json, read_yaml, validated

BOMB = "\n".join(f"x{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'lol'] * 9)}]" for i in range(12))
MERGES = "a0: &a0 {k: 1}\n" + "\n".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON (Expecting property name"),
        (b"[1]", "a JSON list, expected a thing, correct it"),
        (b"1", "a JSON int"),
        (b"\xff", "not JSON ('utf-8' codec can't decode byte 0xff"),
        (b'{"a": NaN}', "not JSON (NaN is not a JSON number)"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON (Exceeds the limit"),
        (b'{"a": "\\ud800"}', "not JSON ("),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "not JSON (nested more than 64 levels)"),
        (b"[" * 100_000, "not JSON (nested too deep)"),
        (None, "no such file, expected a thing"),
    ],
)
def test_invalid_json(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "input.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(path, "a thing", "correct it")
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_json_object_is_read_with_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [{}, []], "b": "\xce\xb8 \\ud83d\\ude00"}')
    assert read_json(tmp_path / "a.json", "a thing") == {"a": [{}, []], "b": "θ 😀"}


def test_a_device_is_not_read_for_ever(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/dev/zero: a device, expected a file"):
        read_json("/dev/zero", "a thing")
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(InputError, match=r"large\.json: over 64 MiB, expected a thing"):
        read_json(tmp_path / "large.json", "a thing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases that expand to over 200,000 values"),
        (MERGES, "aliases that expand to over 200,000 values"),
        ("a: &a [*a]", "an alias that contains itself"),
        ("[" * 5000 + "]" * 5000, "nested more than 64 levels"),
        ("[" * 70 + "]" * 70, "nested more than 64 levels"),
        ("a: \x07", "special characters are not allowed"),
        ("a: !!int x", "invalid literal"),
        ("a: !!bool x", "a value that doesn't match its tag"),
        ("a: !!binary x", "a value of type tag:yaml.org,2002:binary"),
        ("a: !!set {b}", "a value of type tag:yaml.org,2002:set"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("? [a]\n: 1", "found unhashable key"),
        ("a: " + "1" * 5000, "Exceeds the limit"),
        ("a: [1", "expected ',' or ']'"),
        ("x" * (MAX_YAML + 1), "over 1 MiB"),
    ],
    ids=lambda value: value[:20],
)
def test_yaml_beyond_the_limits(tmp_path: Path, text: str, message: str) -> None:
    started = time.process_time()  # of this process: other load makes no difference
    with pytest.raises(NotYamlError, match=message.replace("]", r"\]").replace("[", r"\[")):
        parse_yaml(text)
    assert time.process_time() - started < 5
    (tmp_path / "input.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"input\.yaml(:\d+)?: not YAML \("):
        read_yaml(tmp_path / "input.yaml")


def test_dates_are_text_and_aliases_are_read() -> None:
    value, node = parse_yaml("a: 2020-01-01\nb: !!timestamp 1\nc: &x {d: [1, 2.5, true, null]}\ne: {<<: *x, f: g}\n")
    inner = {"d": [1, 2.5, True, None]}
    assert value == {"a": "2020-01-01", "b": "1", "c": inner, "e": {**inner, "f": "g"}}
    assert node is not None
    assert parse_yaml("") == (None, None)


def test_fields_of_another_type_name_the_file() -> None:
    class Thing(BaseModel):
        size: int

    assert validated(Thing, {"size": 3}, "a.json", "a thing").size == 3
    with pytest.raises(InputError, match=r"a\.json: size: Input should be .*, expected a thing, correct it"):
        validated(Thing, {"size": "x"}, "a.json", "a thing", "correct it")


@pytest.mark.parametrize("text", ["a: !!int ''", "a: !!float ''", "a: !!bool ''", "a: !!null x\n? [b]\n: 1"])
def test_a_yaml_tag_that_contradicts_its_value(text: str) -> None:
    with pytest.raises(NotYamlError):
        parse_yaml(text)


def test_numbers_in_base_60_are_text() -> None:
    """Nobody intends them, and PyYAML takes quadratic time for a long one."""
    long = ":".join(["1"] * 100_000)
    started = time.process_time()
    assert parse_yaml(f"a: 1:30\nb: {long}\nc: 1:30.5\nd: 0o17\ne: -2.5e+3")[0] == {
        "a": "1:30",
        "b": long,
        "c": "1:30.5",
        "d": "0o17",
        "e": -2500.0,
    }
    assert time.process_time() - started < 3


def test_a_document_of_too_many_values_ends_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "MAX_VALUES", 1000)
    with pytest.raises(NotYamlError, match="over 1,000 values"):
        parse_yaml("[" + "a," * 2000 + "{")  # what follows is no YAML, and is never come to
