"""Bundles: every layout that TensorFlow writes, read bit for bit, and every kind of damage reported."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomtl.checkpoints.tensorflow import Bundle, protos, slices, write_bundle
from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import Entry, Header, encode_entry, encode_header, varint
from biomtl.checkpoints.tensorflow.table import read_table, write_table
from biomtl.errors import InputError
from old_checkpoints import write_sharded

FIXTURES = {
    "plain": ("bert_model.ckpt", "variables.json"),
    "multishard": ("bert_model.ckpt", "variables.json"),
    "partitioned": ("bert_model.ckpt", "variables.json"),
    "classifier": ("model.ckpt-123", "variables.json"),
    "classifier-50": ("model.ckpt-50", "variables-50.json"),
}
VALUES = {
    "a/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array(7, dtype=np.int64),
    "c/empty": np.zeros((0, 3), dtype=np.float64),
    "d": np.array([True, False]),
    "e/\u00e9": np.array([1.5, -2], dtype=np.float16),
    "f": np.arange(2000, dtype=np.int32).reshape(20, 100),
}


def assert_equal(bundle: Bundle, expected: dict[str, np.ndarray]) -> None:
    assert set(bundle.variables) == set(expected)
    for name, value in expected.items():
        read = bundle.read(name)
        assert (read.dtype, read.shape) == (value.dtype, value.shape)
        assert bundle.variables[name].shape == value.shape
        assert read.tobytes() == value.tobytes()


def read_all(prefix: Path) -> None:
    bundle = Bundle(prefix)
    for name in bundle.variables:
        bundle.read(name)


def test_written_and_read(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", VALUES)
    assert_equal(Bundle(tmp_path / "x"), VALUES)


def test_big_endian_arrays_are_byte_swapped(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", {"a": np.array([1, 2], dtype=">f4")})
    assert Bundle(tmp_path / "x").read("a").tolist() == [1, 2]


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("axis", "count"), [(0, 3), (1, 2), (1, 7)])
def test_shards_and_slices(tmp_path: Path, shards: int, axis: int, count: int) -> None:
    write_sharded(tmp_path / "x", VALUES, shards, {"f": (axis, count)})
    assert_equal(Bundle(tmp_path / "x"), VALUES)


def test_missing_and_overlapping_slices(tmp_path: Path) -> None:
    write_sharded(tmp_path / "x", VALUES, 1, {"f": (0, 2)})
    table = read_table(tmp_path / "x.index")
    first = next(key for key in table if key.startswith(b"\0"))
    without = {key: value for key, value in table.items() if key != first}
    (tmp_path / "x.index").write_bytes(write_table(sorted(without.items())))
    with pytest.raises(InputError, match="variable f: the slice at"):
        Bundle(tmp_path / "x").read("f")
    whole = protos.decode_entry(table[b"f"])
    whole.slices = [whole.slices[0]] * 2
    (tmp_path / "x.index").write_bytes(write_table(sorted({**table, b"f": encode_entry(whole)}.items())))
    with pytest.raises(InputError, match="variable f: its slices overlap"):
        Bundle(tmp_path / "x").read("f")


def test_full_dimensions_of_a_slice_may_be_omitted() -> None:
    part = np.ones((2, 3), dtype=np.float32)
    joined = slices.join((4, 3), [(((0, 2), (0, -1)), part), (((2, 2), (0, -1)), 2 * part)])
    assert joined[:, 0].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("value", "code"),
    [(0, "80"), (63, "bf"), (-1, "7f"), (-64, "40"), (64, "c040"), (8191, "dfff"), (-65, "3fbf"), (8192, "e02000")],
)
def test_ordered_code(value: int, code: str) -> None:
    assert slices.encode_key("", ((value, 0),)).hex() == f"0000010101{code}80"


@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40))
def test_ordered_code_keeps_the_order(a: int, b: int) -> None:
    keys = [slices.encode_key("v", ((value, 0),)) for value in (a, b)]
    assert (keys[0] < keys[1]) == (a < b)


def test_names_in_slice_keys_are_escaped() -> None:
    key = slices.encode_key("a\0b", ((0, 1),))
    assert b"a\0\xffb\0\1" in key
    assert slices.decode_name(key) == "a\0b"


def test_strings(tmp_path: Path) -> None:
    texts = [b"graph", b"", b"\0\xff"]
    lengths = np.array([len(text) for text in texts], dtype="<u4").tobytes()
    check = masked(lengths).to_bytes(4, "little")
    raw = b"".join(varint(len(text)) for text in texts) + check + b"".join(texts)
    entry = Entry(7, (3,), 0, 0, len(raw), masked(lengths + check + b"".join(texts)))

    def write(data: bytes) -> Bundle:
        entries = [(b"", encode_header(Header())), (b"s", encode_entry(entry))]
        (tmp_path / "x.index").write_bytes(write_table(entries))
        (tmp_path / "x.data-00000-of-00001").write_bytes(data)
        return Bundle(tmp_path / "x")

    assert write(raw).read("s").tolist() == texts
    for at in range(len(raw)):
        with pytest.raises(InputError, match="variable s"):
            write(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]).read("s")


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    value = np.array([1.5, -0.25], dtype="<f4")
    raw = (value.view("<u4") >> 16).astype("<u2").tobytes()
    entry = Entry(14, (2,), 0, 0, len(raw), masked(raw))
    (tmp_path / "x.index").write_bytes(write_table([(b"", encode_header(Header())), (b"v", encode_entry(entry))]))
    (tmp_path / "x.data-00000-of-00001").write_bytes(raw)
    assert Bundle(tmp_path / "x").read("v").tolist() == value.tolist()


@pytest.mark.parametrize(
    ("header", "entry", "message"),
    [
        (Header(endianness=1), Entry(1, (1,), 0, 0, 4), "big-endian"),
        (Header(min_consumer=2), Entry(1, (1,), 0, 0, 4), "bundle format 2"),
        (Header(), Entry(77, (1,), 0, 0, 4), "variable v: unknown data type 77"),
        (Header(), Entry(1, (3,), 0, 0, 4), "variable v: 4 bytes for shape"),
        (Header(), Entry(1, (1,), 0, 2, 4), "variable v ends at byte 6"),
        (Header(), Entry(1, (1,), 1, 0, 4), "variable v is in no data file"),
        (Header(), Entry(1, (1,), 0, -4, 4), "variable v is in no data file"),
        (Header(), Entry(1, (-1,), 0, 0, 4), "an impossible shape"),
        (Header(), Entry(1, (1 << 40, 1 << 40), 0, 0, 4), "an impossible shape"),
        (Header(num_shards=2), Entry(1, (1,), 1, 0, 4), "no such file, but variable v"),
        (Header(), Entry(1, (1,), 0, 0, 4, crc=5), "variable v: the checksum"),
    ],
)
def test_refusals(tmp_path: Path, header: Header, entry: Entry, message: str) -> None:
    (tmp_path / "x.index").write_bytes(write_table([(b"", encode_header(header)), (b"v", encode_entry(entry))]))
    (tmp_path / "x.data-00000-of-00001").write_bytes(b"\0\0\0\0")
    with pytest.raises(InputError, match=message):
        Bundle(tmp_path / "x").read("v")


def test_a_table_that_is_not_an_index(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(write_table([(b"key", b"value")]))
    with pytest.raises(InputError, match="no header entry"):
        Bundle(tmp_path / "x")


@given(st.binary(max_size=60))
def test_any_bytes_as_message(data: bytes) -> None:
    for decode in (protos.decode_entry, protos.decode_header):
        with contextlib.suppress(ValueError):
            decode(data)


@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures_bit_by_bit(shared: Path, name: str) -> None:
    prefix, listing = FIXTURES[name]
    folder = shared / "fixtures" / "tf_bert" / name.partition("-")[0]
    expected = json.loads((folder / listing).read_text())
    expected = expected.get("variables", expected)
    bundle = Bundle(folder / prefix)
    assert set(bundle.variables) == set(expected)
    for variable, facts in expected.items():
        value = bundle.read(variable)
        assert [str(value.dtype), list(value.shape)] == [facts["dtype"], facts["shape"]]
        assert hashlib.sha256(value.tobytes()).hexdigest() == facts["sha256"], variable


@pytest.mark.parametrize("name", ["plain", "classifier", "classifier-50"])
def test_the_writer_repeats_tensorflow_byte_by_byte(shared: Path, tmp_path: Path, name: str) -> None:
    prefix = shared / "fixtures" / "tf_bert" / name.partition("-")[0] / FIXTURES[name][0]
    bundle = Bundle(prefix)
    write_bundle(tmp_path / "x", {variable: bundle.read(variable) for variable in bundle.variables})
    for part in (".index", ".data-00000-of-00001"):
        assert Path(f"{tmp_path}/x{part}").read_bytes() == Path(f"{prefix}{part}").read_bytes()


def test_object_based_fixture(shared: Path) -> None:
    folder = shared / "fixtures" / "tf_bert" / "object_based"
    bundle = Bundle(folder / "bert_model.ckpt")
    expected = json.loads((folder / "expected.json").read_text())
    assert list(bundle.variables) == expected["keys"]
    plain = Bundle(folder.parent / "plain" / "bert_model.ckpt")
    for key in expected["keys"][1:]:
        name = key.removeprefix("model/").removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
        assert bundle.read(key).tobytes() == plain.read(name).tobytes()


def test_bytes_after_the_last_variable(shared: Path, tmp_path: Path) -> None:
    for path in (shared / "fixtures" / "tf_bert" / "plain").glob("bert_model.ckpt*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = tmp_path / "bert_model.ckpt.data-00000-of-00001"
    size = data.stat().st_size
    with data.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputError, match=f"{size + 4} bytes, but its last variable ends at byte {size}"):
        Bundle(tmp_path / "bert_model.ckpt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated_data", "variable bert/encoder/layer_0/output/dense/kernel ends"),
        ("truncated_data_one_byte", "variable global_step ends"),
        ("flipped_index", r"index: a damaged index \(checksum"),
        ("flipped_data", "variable bert/encoder/layer_0/intermediate/dense/kernel: the checksum"),
        ("bad_footer", "index: no table magic"),
        ("bad_magic", "index: no table magic"),
        ("empty_index", "index: a file of 0 bytes"),
        ("missing_index", "index: no such file"),
        ("missing_shard", "data-00001-of-00002: no such file"),
        ("missing_data", "data-00000-of-00001: no such file"),
    ],
)
def test_damaged_fixtures(shared: Path, name: str, message: str) -> None:
    folder = shared / "fixtures" / "tf_bert" / "corrupted" / name
    with pytest.raises(InputError, match=message) as caught:
        read_all(folder / "bert_model.ckpt")
    assert "\n" not in str(caught.value)


def test_every_damaged_fixture_is_tested(shared: Path) -> None:
    listed = json.loads((shared / "fixtures" / "tf_bert" / "corrupted" / "expected_errors.json").read_text())
    tested = {mark.args[1][i][0] for mark in test_damaged_fixtures.pytestmark for i in range(len(mark.args[1]))}
    assert set(listed) == tested


def test_slices_that_share_their_data(tmp_path: Path) -> None:
    """Four thousand slices of the same megabyte are not four gigabytes."""
    write_bundle(tmp_path / "x", {"a": np.zeros((1, 1 << 18), dtype=np.float32)})
    table = read_table(tmp_path / "x.index")
    data = protos.decode_entry(table[b"a"])
    extents = [((number, 1), (0, 1 << 18)) for number in range(4096)]
    table[b"a"] = encode_entry(Entry(data.dtype, (4096, 1 << 18), slices=extents))
    for extent in extents:
        table[slices.encode_key("a", extent)] = encode_entry(data)
    (tmp_path / "x.index").write_bytes(write_table(sorted(table.items())))
    with pytest.raises(InputError, match="variable a shares its data with others"):
        Bundle(tmp_path / "x")


@pytest.mark.parametrize("shape", [(10**18,), (-1, 3), (2**59,), (2**30, 2**30), (1,) * 33])
@pytest.mark.parametrize("sliced", [False, True])
def test_impossible_sizes(tmp_path: Path, shape: tuple[int, ...], sliced: bool) -> None:
    write_bundle(tmp_path / "x", {"a": np.zeros(3, dtype=np.float32)})
    table = read_table(tmp_path / "x.index")
    entry = protos.decode_entry(table[b"a"])
    entry.shape = shape
    if sliced:
        entry.slices = [tuple((0, size) for size in shape)]
    table[b"a"] = encode_entry(entry)
    (tmp_path / "x.index").write_bytes(write_table(sorted(table.items())))
    with pytest.raises(InputError, match=r"^\S+x\.(index|data-00000-of-00001): "):
        read_all(tmp_path / "x")
