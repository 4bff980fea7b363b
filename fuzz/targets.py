"""What is fuzzed: every reader, by name, as a function of bytes that may raise nothing but our own error."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from biomtl.corpora.bc5cdr import BC5CDR
from biomtl.corpora.blue.reader import BlueFiles
from biomtl.corpora.chemprot import ChemProt
from biomtl.corpora.ddi2013 import DDI2013
from biomtl.corpora.hoc import HoC
from biomtl.corpora.i2b2_2010 import I2b22010
from biomtl.corpora.mednli import MedNLI
from biomtl.corpora.medsts import MedSTS
from biomtl.corpora.reader import Reader, ReadOptions
from biomtl.corpora.shareclefe import ShareClefe
from biomtl.corpora.source import Source
from biomtl.corpora.unpack import unpack
from biomtl.errors import BiomtlError
from biomtl.formats import bioc, brat, conll, delimited, pubtator, squad
from biomtl.storage.files import decode_line
from fuzz import samples as stored_samples
from fuzz import stored
from fuzz.stored import WHERE


def lines(content: bytes) -> Iterable[tuple[int, str]]:
    """Numbered lines as ``files.read_lines`` gives them."""
    return ((i, decode_line(raw, WHERE, i)) for i, raw in enumerate(content.splitlines(keepends=True), 1))


def _brat(content: bytes) -> None:
    text, _, annotations = content.partition(b"\n====\n")
    brat.parse("x", brat.decode(text, WHERE), lines(annotations), WHERE)


def _squad(content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix=WHERE) as folder:
        path = Path(folder) / "x.json"
        path.write_bytes(content)
        squad.read_answers(path)
        if squad.is_squad(path):
            list(squad.read_squad(path))


def _zip(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive, target = Path(folder) / "input.zip", Path(folder) / "deep" / "target"
        archive.write_bytes(content)
        target.mkdir(parents=True)
        unpack(archive, target, WHERE)
        assert sorted(Path(folder).iterdir()) == [target.parent, archive], "something landed outside"


def _corpus(reader: Reader, files: dict[str, bytes]) -> Callable[[bytes], None]:
    """The first byte chooses which file of a good corpus is replaced by the rest."""

    def target(content: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix=WHERE) as folder:
            for i, (name, good) in enumerate(files.items()):
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content[1:] if content and content[0] % len(files) == i else good)
            source = Source(folder)
            for mentions in ("keep", "flatten"):
                for task in reader.detect(source):
                    for _ in reader.read(source, [task], ReadOptions(mentions=mentions)):
                        pass

    return target


NOTE = b"Dr. [**Name**] saw\n\nleft and right ache. ___ Fever.\n"
GOLD = b"n.txt||Disease_Disorder||C1||20||24||35||39\nn.txt||Disease_Disorder||CUI-less||45||50\n"
KNOWTATOR = b"""<annotations textSource="n.txt"><annotation><mention id="M"/><span start="45" end="50"/></annotation>
<classMention id="M"><mentionClass id="Disease_Disorder"/></classMention></annotations>"""
NLI = b'{"pairID": "a", "gold_label": "neutral", "sentence1": "He sat.", "sentence2": "He rose."}\n'
TEXT = b" Aspirin for a headache .\n"
CONCEPTS = b'c="aspirin" 1:1 1:1||t="treatment"\nc="a headache" 1:3 1:4||t="problem"\n'
RELATIONS = b'c="aspirin" 1:1 1:1||r="TrAP"||c="a headache" 1:3 1:4\n'

_DOCUMENT = {"txt": TEXT, "con": CONCEPTS, "rel": RELATIONS}
_I2B2 = {f"{part}/{part}.{kind}": content for part in ("beth", "test") for kind, content in _DOCUMENT.items()}
_CLEFE = {
    "Task1TrainSetCorpus199/n.txt": NOTE,
    "Task1TrainSetGOLD199/n.xml": KNOWTATOR,
    "Task1TestSetCorpus100/n.txt": NOTE,
    "Task1Gold/n.pipe": GOLD,
}
_MEDSTS = {
    "clinicalSTS.train.txt": b"a\tb\t1\nc\td\t2\n",
    "clinicalSTS.test.txt": b"a\tb\n",
    "clinicalSTS.test.gs.txt": b"3\n",
}

_PUBTATOR = b"7|t|Aspirin\n7|a|for pain\n7\t0\t7\tAspirin\tChemical\tD1\n7\t12\t16\tpain\tDisease\tD2\n"
_BC5CDR = {f"CDR_{part}Set.PubTator.txt": _PUBTATOR for part in ("Training", "Development", "Test")}
_DDI = {
    f"{part}/MedLine/a.xml": f"""<document id="DDI-MedLine.{part}"><sentence id="s0" text="Ab and cd.">
<entity id="e0" charOffset="0-1" type="drug" text="Ab"/><entity id="e1" charOffset="7-8" type="drug" text="cd"/>
<pair id="DDI-MedLine.{part}.s0.p0" e1="e0" e2="e1" ddi="true" type="int"/></sentence></document>""".encode()
    for part in ("Train", "Test")
}
_CHEMPROT = {}
for _part, _end in (("training", ""), ("development", ""), ("test", "_gs")):
    _CHEMPROT[f"chemprot_{_part}_abstracts{_end}.tsv"] = "7\tθ-zorin and BRKX.\tNone.\n".encode()
    _CHEMPROT[f"chemprot_{_part}_entities{_end}.tsv"] = (
        "7\tT1\tCHEMICAL\t0\t7\tθ-zorin\n7\tT2\tGENE-Y\t12\t16\tBRKX\n".encode()
    )
    _CHEMPROT[f"chemprot_{_part}_gold_standard.tsv"] = b"7\tCPR:4\tArg1:T1\tArg2:T2\n"
_HOC = {f"{split}_docid.txt": f"1{i}\n".encode() for i, split in enumerate(("train", "dev", "test"))}
_HOC |= {f"text/1{i}.txt": b"Cells died .\nNone grew .\n" for i in range(3)}
_HOC |= {f"labels/1{i}.txt": b"< Resisting cell death-- AND Inducing angiogenesis-- < NULL\n" for i in range(3)}
_BLUE = {
    "chemprot/dev.tsv": b'index\tsentence\tlabel\r\n7.T1.T2\t"@CHEMICAL$ ""blocks"" @GENE$."\tCPR:4\r\n',
    "biosses/dev.tsv": b"index\tg\tf\ty\to\ts\ts\tsentence1\tsentence2\tscore\n0\tG\tf\t1\t1\tB\tB\tOne.\tTwo.\t2.4\n",
    "hoc/dev.tsv": b"index\tlabels\tsentence\n12_s0\t0_0,1_1\tCells died.\n",
    "bc5cdr-chem/dev.tsv": b'Zanolin\t11\t0\tB\nhelps\t-\t8\tO\n\n""""\t12\t0\tO\n',
}

READERS: dict[str, Callable[[bytes], object]] = {
    "pubtator": lambda content: list(pubtator.parse(lines(content), WHERE)),
    "squad": _squad,
    "bioc-xml": lambda content: list(bioc.parse(io.BytesIO(content), WHERE)),
    "bioc-json": lambda content: list(bioc.parse(io.BytesIO(content), WHERE, as_json=True)),
    "brat": _brat,
    "conll": lambda content: list(conll.parse(lines(content), WHERE)),
    "tsv": lambda content: list(delimited.parse(lines(content), WHERE, delimiter="\t", quoted=False, header=True)),
    "csv": lambda content: list(delimited.parse(lines(content), WHERE, delimiter=",", quoted=True, header=True)),
    "zip": _zip,
    "i2b2-2010": _corpus(I2b22010(), _I2B2),
    "shareclefe": _corpus(ShareClefe(), _CLEFE),
    "mednli": _corpus(MedNLI(), {f"mli_{split}_v1.jsonl": NLI for split in ("train", "dev", "test")}),
    "medsts": _corpus(MedSTS(), _MEDSTS),
    "bc5cdr": _corpus(BC5CDR(), _BC5CDR),
    "ddi2013": _corpus(DDI2013(), _DDI),
    "chemprot": _corpus(ChemProt(), _CHEMPROT),
    "hoc": _corpus(HoC(), _HOC),
    "blue": _corpus(BlueFiles(), _BLUE),
}
"""Of annotation formats, corpora and archives."""
TARGETS = READERS | stored.TARGETS

_XML = b"""<?xml version="1.0"?><!DOCTYPE collection SYSTEM "BioC.dtd"><collection><document><id>7</id><passage>
<infon key="type">title</infon><offset>0</offset><text>Aspirin helps.</text><annotation id="1">
<infon key="type">X</infon><location offset="0" length="7"/><text>Aspirin</text></annotation></passage>
<relation id="R"><node refid="1" role="a"/></relation></document></collection>"""
_JSON = b"""{"documents": [{"id": "7", "passages": [{"infons": {"type": "title"}, "offset": 0, "text": "Aspirin helps.",
"annotations": [{"id": "1", "infons": {"type": "X"}, "text": "Aspirin", "locations": [{"offset": 0, "length": 7}]}]}],
"relations": [{"id": "R", "infons": {}, "nodes": [{"refid": "1", "role": "a"}]}]}]}"""
_BRAT = b"""Left atrium
====
T1\tX 0 4;5 8\tLeft atr
R1\tY a:T1 b:T1
E1\tZ:T1 c:T1
*\tEquiv T1 T1
A1\tN T1
N1\tR T1 a:b\tc
#1\tA T1\td
"""


def _packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


# Something good to start from, for fuzzers that change what they are given.
SAMPLES: dict[str, list[bytes]] = {
    "squad": [
        b'{"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "a b", "qas": [{"id": "1", "question":'
        b' "q", "answers": [{"text": "b", "answer_start": 2}], "is_impossible": false}]}]}]}',
        b'{"1": "b", "2": ""}',
    ],
    "pubtator": [b"7|t|Aspirin\n7|a|helps\n7\t0\t7\tAspirin\tChemical\tD1\n7\tCID\tD1\tD2\n\n8|t|a\n"],
    "bioc-xml": [_XML],
    "bioc-json": [_JSON],
    "brat": [_BRAT],
    "conll": [b"-DOCSTART- -X- O\n\na B-x\nb I-x\n\n# newdoc id = 3\nc\tS-y\n"],
    "tsv": [b"a\tb\n1\t2\n"],
    "csv": [b'a,b\n1,"2\n""3"""\n'],
    "zip": [_packed({"a/b.txt": b"x", "c.zip": _packed({"d": b"y"})})],
    "i2b2-2010": [bytes([i]) + content for i, content in enumerate(_I2B2.values())],
    "shareclefe": [bytes([i]) + content for i, content in enumerate(_CLEFE.values())],
    "mednli": [b"\0" + NLI],
    "medsts": [bytes([i]) + content for i, content in enumerate(_MEDSTS.values())],
    "bc5cdr": [bytes([i]) + content for i, content in enumerate(_BC5CDR.values())],
    "ddi2013": [bytes([i]) + content for i, content in enumerate(_DDI.values())],
    "chemprot": [bytes([i]) + content for i, content in enumerate(_CHEMPROT.values())],
    "hoc": [bytes([i]) + content for i, content in enumerate(_HOC.values())],
    "blue": [bytes([i]) + content for i, content in enumerate(_BLUE.values())],
}


def samples(name: str) -> list[bytes]:
    """Good inputs of a target; those of checkpoints are made when they are asked for."""
    return SAMPLES[name] if name in SAMPLES else stored_samples.SAMPLES[name]()


def run(name: str, content: bytes) -> None:
    """Run one target; anything that leaves it is a bug, and so is an error that names no file or takes two lines."""
    try:
        TARGETS[name](content)
    except BiomtlError as error:
        if WHERE not in str(error) or "\n" in str(error):
            raise RuntimeError(f"an error without its file or in two lines: {error}") from error
