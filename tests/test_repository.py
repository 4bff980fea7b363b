"""What the repository promises: true commands, small files, pinned and explained dependencies."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from itertools import groupby
from pathlib import Path

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

import biomtl
from biomtl.cli.main import app
from biomtl.suite import load_suite
from biomtl.training.recipe_io import load_recipe

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
_spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
assert _spec is not None
assert _spec.loader is not None
hooks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hooks)
REFERENCE = hooks.PAGES
COMMANDS = typer.main.get_command(app)


def requirements() -> list[Requirement]:
    """Every direct dependency: run time, extras, groups."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    lists = [project["dependencies"], *project["optional-dependencies"].values(), *groups.values()]
    found = [Requirement(line) for lines in lists for line in lines]
    return [requirement for requirement in found if requirement.name != project["name"]]


def code(path: Path, *languages: str) -> str:
    """The fenced code of a page in these languages."""
    blocks = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return "\n".join(block for language, block in blocks if language in languages)


def shown_commands(name: str) -> list[tuple[str, list[str]]]:
    """(page, words) of every ``name …`` in code, fenced or inline, of README, CONTRIBUTING and docs."""
    found = []
    for page in PAGES:
        lines = code(page, "bash", "sh", "console").replace("\\\n", " ").splitlines()
        lines += re.findall(rf"(?<!`)`({name} [^`\n]+)`", page.read_text(encoding="utf-8"))
        for line in lines:
            for words in commands_of(line.partition(" #")[0].removeprefix("$ ").replace("…", "")):
                if words[0] == name:
                    found.append((str(page.relative_to(ROOT)), words))
    return found


def commands_of(line: str) -> list[list[str]]:
    """The words of each command of a shell's line; a pipe between quotes ends none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split, lexer.commenters = True, ""
    groups = groupby(lexer, key=lambda word: not word or not set(word) <= set("|;&"))
    return [list(words) for are_words, words in groups if are_words]


def test_pages_show_commands() -> None:
    assert {words[1] for page, words in shown_commands("biomtl") if page == "README.md"} >= {
        "train",
        "predict",
        "prepare",
    }
    assert {words[1] for page, words in shown_commands("make") if page == "README.md"} >= {"quickstart"}


@pytest.mark.parametrize(
    ("page", "words"), shown_commands("biomtl"), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_shown_commands_exist_with_their_options(page: str, words: list[str]) -> None:
    command, known, used = COMMANDS, {"--help"}, set()
    for word in words[1:]:
        known |= {option for parameter in command.params for option in parameter.opts}
        if word.startswith("--"):
            used.add(word.partition("=")[0])
        elif (known_commands := getattr(command, "commands", None)) and not word.isupper():  # COMMAND stands for any
            assert word in known_commands, f"{page}: there is no command {word!r}"
            command = known_commands[word]
    known |= {option for parameter in command.params for option in parameter.opts}
    assert used <= known, f"{page}: {' '.join(words)}"


def test_shown_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets >= {"help", "install", "quickstart", "test", "lint", "format", "typecheck", "docs", "bench", "clean"}
    for page, words in shown_commands("make"):
        assert {word for word in words[1:] if "=" not in word} <= targets, page


def test_help_is_the_default_target_and_lists_all() -> None:
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("install", "quickstart", "test", "docs", "clean"):
        assert re.search(rf"make {target} +\S", shown)


def test_every_command_is_in_the_table_of_the_start_page() -> None:
    page = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+)`", page, re.MULTILINE)) == set(COMMANDS.commands)


def test_shown_recipe_keys_exist() -> None:
    seen = 0
    for _, words in shown_commands("biomtl"):
        if words[1] in ("train", "finetune"):
            keys = [word for word in words[2:] if re.match(r"[a-z_][\w.-]*=", word)]
            load_recipe("sample", keys)
            seen += len(keys)
    assert seen


def test_the_readmes_own_task_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recipe, on files of the columns that it names; then its line of ``check``."""
    monkeypatch.chdir(tmp_path)
    recipe = code(ROOT / "README.md", "yaml")
    (task,) = yaml.safe_load(recipe)["tasks"]
    Path("own.yaml").write_text(recipe, encoding="utf-8")
    for file in task["files"].values():
        columns = "\t".join(task["columns"].values())
        rows = f"No rash was seen.\t{task['negative']}\nA rash after the first dose.\tsuspected\n"
        Path(file).write_text(f"{columns}\n{rows}", encoding="utf-8")
    assert load_suite("own.yaml").tasks[task["name"]].labels == ("none", "suspected")
    (check,) = [words for page, words in shown_commands("biomtl") if page == "README.md" and words[1] == "check"]
    done = CliRunner().invoke(app, check[1:])
    assert (done.exit_code, "2 good rows, 0 bad ones" in done.output) == (0, True), done.output


def test_python_on_the_pages_names_what_exists() -> None:
    for page in PAGES:
        for node in ast.walk(ast.parse(code(page, "python"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("biomtl"):
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}"), page
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "biomtl":
                assert node.attr in biomtl.__all__, f"{page}: biomtl.{node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    # docs/hooks.py writes them into the site
    generated = {"tasks.md", "reference/cli.md", "reference/python.md", *(f"reference/{name}.md" for name in REFERENCE)}
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target and target not in generated:
            assert (page.parent / target).exists(), target


def test_the_site_keeps_names_whole_and_blocks_as_they_are() -> None:
    whole = '<span class="whole">'
    inline = "<p>bc5-chem <code>biomtl score --task blurb-hoc</code></p>"
    expected = f"<p>bc5-chem <code>biomtl score {whole}--task</span> {whole}blurb-hoc</span></code></p>"
    assert hooks.on_page_content(inline) == expected
    assert hooks.on_page_content("<code>&lt;a-b&gt;</code>") == f"<code>{whole}&lt;a-b&gt;</span></code>"
    cell = f"<td>0.852 {whole}(0.834-0.868)</span></td>"
    assert hooks.on_page_content("<td>0.852 (0.834-0.868)</td>") == cell
    for same in ("<code>a_b</code>", "<pre><code>a-b</code></pre>", "<pre><span></span><code>a-b</code></pre>"):
        assert hooks.on_page_content(same) == same


def test_the_catalogue_links_to_sources() -> None:
    page = hooks._tasks()
    assert "Get it: <https://github.com/gizemsogancioglu/biosses> (authors' repository)" in page
    assert "Score: 0 to 4" in page
    assert not re.search(r"(?<!<)https?://", page)


def test_every_public_name_has_its_place_in_the_reference() -> None:
    named = [name for names in REFERENCE.values() for name in names]
    assert set(biomtl.__all__) - {"__version__"} == {name for name in named if "." not in name}
    for name in named:
        module, _, inner = name.rpartition(".")
        assert not module or hasattr(importlib.import_module(module), inner) or importlib.import_module(name)
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in REFERENCE if f"reference/{page}.md" not in nav] == []


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing tells the project's files from others")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_large_files() -> None:
    assert [path for path in tracked() if path.stat().st_size > 1_000_000] == []


def test_no_machine_paths() -> None:
    home = re.compile(rb"(?<![\w.])/(?:root|home|work|Users)/[a-z.]")
    assert [path for path in tracked() if path != Path(__file__) and home.search(path.read_bytes())] == []


def test_source_files_stay_short() -> None:
    long = {str(path.relative_to(ROOT)) for path in tracked() if path.suffix == ".py" and _lines(path) > 400}
    assert not long


def _lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_each_dependency_is_bounded_and_explained() -> None:
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = {
        row[0]: row for row in (re.split(r" *\| *", line.strip("| \n")) for line in page.splitlines() if "|" in line)
    }
    for requirement in requirements():
        assert any(bound.operator in (">=", "==") for bound in requirement.specifier), f"{requirement}: no lower bound"
        assert requirement.name in rows, f"{requirement.name}: no line in docs/dependencies.md"
        lowest = next(bound.version for bound in requirement.specifier if bound.operator in (">=", "=="))
        assert any(cell.startswith(lowest) for cell in rows[requirement.name]), f"{requirement}: docs say another bound"


def test_the_extra_all_is_all_extras() -> None:
    extras = dict(PROJECT["project"]["optional-dependencies"])
    (everything,) = map(Requirement, extras.pop("all"))
    assert everything.extras == set(extras)


def test_constraints_pin_every_installed_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") and not pin.url for pin in pins)
    assert not any("+" in line for line in lines), "a local build is no version that others can install"
    pinned = {canonicalize_name(pin.name) for pin in pins}
    # torch's builds for GPUs say themselves which versions of their libraries they need.
    assert {name for name in needed() if not name.startswith(("nvidia-", "cuda-", "triton"))} <= pinned


def needed() -> set[str]:
    """Names of all installed packages that the direct dependencies bring along, themselves included."""
    names: set[str] = set()
    queue = [(requirement.name, requirement.extras) for requirement in requirements()]
    while queue:
        name, extras = queue.pop()
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:  # an optional tool that is not installed here
            continue
        if canonicalize_name(name) in names and not extras:
            continue
        names.add(canonicalize_name(name))
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                queue.append((requirement.name, requirement.extras))
    return names


def test_the_citation_file_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == biomtl.__version__ == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["authors"] == PROJECT["project"]["authors"]


def test_the_readme_has_no_dead_links_on_an_index_page() -> None:
    specification = importlib.util.spec_from_file_location("setup_of_biomtl", ROOT / "setup.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for site in (None, "https://example.org/biomtl/"):
        page = module.index_page(readme, site)
        assert re.findall(r"\]\((?!https?://)[^)]*\)", page) == []
        assert page.count("](https://arxiv.org") == readme.count("](https://arxiv.org") > 0
    assert "[predictions](https://example.org/biomtl/predict/)" in page
    assert "[ELMo's speed](https://example.org/biomtl/elmo/#speed)" in page


def test_the_wheel_is_given_every_file_of_the_package() -> None:
    """Data files by the patterns of ``package-data``: a wrong name there once left all of them out."""
    ((package, patterns),) = PROJECT["tool"]["setuptools"]["package-data"].items()
    root = Path(biomtl.__file__).parent
    assert package == root.name
    given = {path for pattern in patterns for path in root.glob(pattern)}
    files = {path for path in root.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files - given == set()
