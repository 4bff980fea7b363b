from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Passage, Relation, bioc

XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>S</source><date/><key/><infon key="note">x</infon>
<document><id>7</id>
  <passage><infon key="type">title</infon><offset>0</offset><text>Aspirin &amp; rest.</text>
    <annotation id="1"><infon key="type">Chemical</infon><infon key="identifier">D1|D2</infon>
      <infon key="MESH">D1</infon>
      <location offset="0" length="7"/><text>Aspirin</text></annotation>
  </passage>
  <passage><infon key="type">abstract</infon><offset>20</offset>
    <sentence><offset>20</offset><text>Left ache.</text></sentence>
    <sentence><offset>31</offset><text>Right too.</text>
      <annotation id="2"><infon key="type">Disease</infon>
        <location offset="31" length="5"/><location offset="25" length="4"/><text>Right ... ache</text></annotation>
    </sentence>
  </passage>
  <relation id="R1"><infon key="type">treats</infon><infon key="sure">no</infon>
    <node refid="1" role="drug"/><node refid="2" role="ill"/></relation>
</document>
<document><id>8</id><passage><offset>0</offset><text></text></passage></document>
</collection>
"""


def read(tmp_path: Path, content: str | bytes, name: str = "x.xml") -> list[Document]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(bioc.read(path))


def test_sample(tmp_path: Path) -> None:
    first, second = read(tmp_path, XML)
    assert first == Document(
        "7",
        "Aspirin & rest.     Left ache. Right too.",
        (Passage("title", 0, 15), Passage("abstract", 20, 41)),
        (
            Mention("1", "Chemical", ((0, 7),), "Aspirin", ("D1", "D2"), (("MESH", "D1"),)),
            Mention("2", "Disease", ((31, 36), (25, 29)), "Right ache"),
        ),
        (Relation("R1", "treats", (("drug", "1"), ("ill", "2")), (("sure", "no"),)),),
    )
    assert second == Document("8", "")


def test_json_and_xml_say_the_same(tmp_path: Path) -> None:
    documents = read(tmp_path, XML)
    bioc.write(documents, tmp_path / "y.json")
    collection = json.loads((tmp_path / "y.json").read_text())
    assert collection["documents"][0]["passages"][0]["annotations"][0]["locations"] == [{"offset": 0, "length": 7}]
    assert list(bioc.read(tmp_path / "y.json")) == documents
    (tmp_path / "z.json").write_text(json.dumps([collection, collection]))
    assert list(bioc.read(tmp_path / "z.json")) == documents * 2


@pytest.mark.parametrize("name", ["y.xml", "y.json"])
def test_pubtator_concepts_are_written_as_infons(tmp_path: Path, name: str) -> None:
    relation = Relation("R0", "CID", (("Chemical", "D1"), ("Disease", "D2")), (("note", "Novel"),))
    document = Document("7", "a", (), (), (relation,))
    bioc.write([document], tmp_path / name)
    assert list(bioc.read(tmp_path / name)) == [document]


CONCEPTS = """<collection><document><id>7</id><passage><offset>0</offset><text>ab cd</text>
<annotation id="1"><infon key="MESH">D1</infon><location offset="0" length="2"/><text>ab</text></annotation>
<annotation id="2"><infon key="identifier">D2|D3</infon><location offset="3" length="2"/><text>cd</text></annotation>
</passage><relation id="R0"><infon key="relation">CID</infon><infon key="Chemical">D1</infon>
<infon key="sure">no</infon><infon key="Disease">D2</infon></relation>
<relation id="R1"><infon key="a">x</infon><infon key="b">y</infon><infon key="c">D1</infon></relation>
</document></collection>"""


def test_a_relation_between_concepts_joins_the_concepts_of_its_mentions(tmp_path: Path) -> None:
    (document,) = read(tmp_path, CONCEPTS)
    assert document.relations == (
        Relation("R0", "CID", (("Chemical", "D1"), ("Disease", "D2")), (("sure", "no"),)),
        Relation("R1", "", (), (("a", "x"), ("b", "y"), ("c", "D1"))),
    )
    # BC5CDR's own files have the concepts in this infon.
    assert [mention.identifiers for mention in document.mentions] == [("D1",), ("D2", "D3")]


BOMB = """<?xml version="1.0"?><!DOCTYPE collection [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<collection><document><id>&b;</id></document></collection>"""
EXTERNAL = """<?xml version="1.0"?><!DOCTYPE collection [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<collection><document><id>&a;</id></document></collection>"""


def collection(in_passage: str = "", in_document: str = "") -> str:
    passage = f"<passage><offset>0</offset><text>abc</text>{in_passage}</passage>"
    return f"<collection>\n<document><id>7</id>{passage}{in_document}</document></collection>"


def annotation(inside: str) -> str:
    return collection(f'<annotation id="1">{inside}</annotation>')


def passage(inside: str) -> str:
    return collection("", f"<passage>{inside}<text>x</text></passage>")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, r"x.xml:1: a declaration of the entity 'a', don't trust the file"),
        (EXTERNAL, r"x.xml:1: a declaration of the entity 'a'"),
        (XML[:600], r"x.xml:\d+: broken XML"),
        ("", r"x.xml:1: broken XML \(no element found\)"),
        ("<html></html>", r"x.xml:1: outermost element <html>"),
        ("<collection>" + "<a>" * 200, r"x.xml:1: elements nested over 100 deep"),
        (b'<?xml version="1.0" encoding="no-such"?><collection/>', r"x.xml:1: (broken XML|unreadable encoding)"),
        (b"<collection>\xff</collection>", r"x.xml:1: broken XML \(not well-formed"),
        (annotation('<location offset="0" length="9"/>'), r"x.xml:2: mention 1 at 0-9 of a text of 3"),
        (annotation('<location offset="0" length="2"/><text>ax</text>'), r":2: mention 1 'ax', expected 'ab'"),
        (annotation("<text>ax</text>"), r":2: document 7: annotation '1' without a location"),
        (annotation('<location offset="x" length="2"/>'), r":2: 'x' for an offset"),
        (collection("", '<relation id="R"><node refid="9"/></relation>'), r":2: document 7: relation R refers to '9'"),
        (passage("<offset>1</offset>"), r":2: document 7: offset 1 inside the preceding text"),
        (passage("<offset>999999999</offset>"), r"a gap of 999,999,996 characters"),
        (passage(""), r":2: document 7: no 'offset'"),
        ("<collection><document/></collection>", r"x.xml:1: no 'id'"),
    ],
    ids=range(17),
)
def test_bad_xml_names_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"x.json:1: not JSON"),
        ("[" * 100_000, r"x.json: not JSON"),
        ("[]x", r"not JSON"),
        ("{}", r"x.json: no 'documents'"),
        ('{"documents": 3}', r"no 'documents'"),
        ('{"documents": [3]}', r"'document' is int"),
        ('{"documents": [{}]}', r"no 'id'"),
        ('{"documents": [{"id": 3, "passages": 4}]}', r"document 3: 'passages' is int"),
        ('{"documents": [{"id": "3", "passages": [{"offset": 0, "text": 4.5}]}]}', r"document 3: 'text' is float"),
        ('{"documents": [{"id": "3", "passages": [{"offset": 0.5, "text": "x"}]}]}', r"'offset' is float"),
        ('{"documents": [{"id": "3", "passages": [{"offset": 0, "text": "\\ud800"}]}]}', r"character U\+D800"),
        ('{"documents": [{"id": 3, "passages": [{"offset": 0, "text": "a", "infons": [1]}]}]}', r"'infons' is list"),
        (b"\xff\xfe\xfd", r"x.json: not JSON"),
    ],
    ids=range(13),
)  # fmt: skip
def test_bad_json_names_file(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content, "x.json")


def test_what_xml_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"character U\+0001, expected text that XML can hold, write BioC JSON"):
        bioc.write([Document("7", "a\x01")], tmp_path / "y.xml")
    bioc.write([Document("7", "a\x01")], tmp_path / "y.json")
    assert next(bioc.read(tmp_path / "y.json")).text == "a\x01"


def test_carriage_returns_survive(tmp_path: Path) -> None:
    bioc.write([Document("7", "a\r\nb\rc\td")], tmp_path / "y.xml")
    assert next(bioc.read(tmp_path / "y.xml")).text == "a\r\nb\rc\td"


def test_memory_is_flat_in_the_number_of_documents(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.xml"
        bioc.write((Document(str(i), "word " * 200) for i in range(count)), path)
        tracemalloc.start()
        assert sum(1 for _ in bioc.read(path)) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(800) < 1.5 * peak(100)


def test_an_element_of_absurd_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomtl.formats.xml.MAX_LINE", 10_000)
    with pytest.raises(InputError, match=r"a <document> of over 10,000 characters"):
        read(tmp_path, collection("<x>" + "y" * 20_000 + "</x>"))


def test_the_json_of_pubtator_3(tmp_path: Path) -> None:
    """Another name for the documents, objects as arguments, and nodes that name no annotation."""
    annotations = [
        {"id": "3", "infons": {"identifier": "MESH:D1", "type": "Chemical"}, "text": "ab"},
        {"id": "4", "infons": {"identifier": "tmVar:p|SUB|R|12|Q;RS#:7", "type": "Variant"}, "text": "cd"},
    ]
    for at, annotation in zip((0, 3), annotations, strict=True):
        annotation["locations"] = [{"offset": at, "length": 2}]
    roles = [{"identifier": "MESH:D1", "type": "Chemical"}, {"identifier": "RS#:7", "type": "Variant"}]
    infons = {"score": "0.9", "role1": roles[0], "role2": roles[1], "type": "Association"}
    relation = {"id": "R1", "infons": infons, "nodes": [{"refid": "0", "role": "0,1"}, {"refid": "1", "role": "1,0"}]}
    passage = {"infons": {"type": "title"}, "offset": 0, "text": "ab cd", "annotations": annotations}
    content = {"PubTator3": [{"id": "7", "pmid": 7, "passages": [passage], "relations": [relation]}]}
    (document,) = read(tmp_path, json.dumps(content), "x.json")
    assert [mention.identifiers for mention in document.mentions] == [("MESH:D1",), ("tmVar:p|SUB|R|12|Q;RS#:7",)]
    arguments = (("role1", "MESH:D1"), ("role2", "RS#:7"))
    assert document.relations == (Relation("R1", "Association", arguments, (("score", "0.9"),)),)


def test_an_annotation_s_id_is_never_taken_for_a_concept(tmp_path: Path) -> None:
    """Genes have numbers, and so may annotations: those get other ids, as only nodes mean them."""
    genes = [{"id": str(i), "infons": {"type": "Gene", "identifier": concept}} for i, concept in enumerate(("1", "D2"))]
    for at, annotation in zip((0, 3), genes, strict=True):
        annotation |= {"text": "ab cd"[at : at + 2], "locations": [{"offset": at, "length": 2}]}
    between = {"id": "0", "infons": {"type": "x", "entity1": "1", "entity2": "D2"}, "nodes": []}
    nodes = [{"refid": name, "role": ""} for name in "10"]
    passage = {"offset": 0, "text": "ab cd", "annotations": genes}
    for relations, ids in (([between, {"id": "1", "nodes": nodes}], ("T0", "T1")), ([{"nodes": nodes}], ("0", "1"))):
        content = {"documents": [{"id": "7", "passages": [passage], "relations": relations}]}
        (document,) = read(tmp_path, json.dumps(content), "x.json")
        assert tuple(mention.id for mention in document.mentions) == ids
        assert document.relations[-1].arguments == (("", ids[1]), ("", ids[0]))
        if len(relations) > 1:
            assert document.relations[0].arguments == (("entity1", "1"), ("entity2", "D2"))
        bioc.write([document], tmp_path / "y.xml", overwrite=True)
        assert list(bioc.read(tmp_path / "y.xml")) == [document]


@pytest.mark.parametrize("roles", [("a", "b"), ("", ""), ("a", "a")])
def test_a_relation_of_a_concept_and_a_mention_keeps_both(tmp_path: Path, roles: tuple[str, str]) -> None:
    mentions = (Mention("T0", "Gene", ((0, 2),), "ab"), Mention("T1", "Drug", ((3, 5),), "cd", ("D1",)))
    for values in (("T0", "D1"), ("D1", "T0"), ("D1", "D1")):
        for attributes in ((), (("task", "x"), ("probability", "0.9"))):
            relation = Relation("R0", "x", tuple(zip(roles, values, strict=True)), attributes)
            document = Document("7", "ab cd", (), mentions, (relation,))
            bioc.write([document], tmp_path / "y.xml", overwrite=True)
            (found,) = next(iter(bioc.read(tmp_path / "y.xml"))).relations
            assert tuple(value for _, value in found.arguments) == values
            assert found.attributes == attributes


@pytest.mark.parametrize("name", ["type", "identifier"])
def test_an_attribute_may_not_have_the_name_of_an_infon_of_bioc(tmp_path: Path, name: str) -> None:
    """It was joined to the type, or took the place of the concepts."""
    document = Document("7", "ab", (), (Mention("T0", "Gene", ((0, 2),), "ab", ("D1",), ((name, "x"),)),))
    with pytest.raises(InputError, match=f"document 7: mention T0 has an attribute '{name}', expected another name"):
        bioc.write([document], tmp_path / "y.xml")
    assert not (tmp_path / "y.xml").exists()
