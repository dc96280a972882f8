"""The parts of the project that are not code hold together."""

import ast
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import project_files

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.11", "3.12", "3.13")
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
# Chapters 0 to 8 and 11 prove and compute; they must run where torch is not installed.
THEORY = [path for path in CHAPTERS if int(path.name[:2]) <= 8 or path.name.startswith("11_")]
# `datasets` loads torchvision for CIFAR-10 and image folders only.
TORCH_SIDE = {"attacks", "engine", "models", "noise", "plans", "smoothing", "training"}
TORCH_NAMES = {"torch", "torchvision", "SmoothedClassifier"}


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml asks for, without the project's own extras."""
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(text) for group in groups for text in group]
    return [requirement for requirement in found if requirement.name != project["name"]]


def pins(python: str) -> dict[str, str]:
    """The pinned version of every package, as constraints.txt gives it on Linux."""
    environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
    }
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{line} is not a pin"
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            found[name] = specifier.version
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_to_a_version_it_allows(python):
    pinned = pins(python)
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} but {pinned[name]}"


def test_what_is_installed_is_what_is_pinned():
    pinned = pins(f"{sys.version_info.major}.{sys.version_info.minor}")
    peers = PYPROJECT["project"]["optional-dependencies"]["bench"]  # for `make bench` only
    for requirement in requirements():
        if str(requirement) in {str(Requirement(peer)) for peer in peers}:
            continue
        installed = importlib.metadata.version(requirement.name).partition("+")[0]
        assert installed == pinned[canonicalize_name(requirement.name)], requirement.name


def test_torch_and_torchvision_are_of_one_build():
    needs = [Requirement(text) for text in importlib.metadata.requires("torchvision")]
    (torch,) = (requirement for requirement in needs if requirement.name == "torch")
    assert torch.specifier.contains(pins("3.11")["torch"])
    versions = [importlib.metadata.version(name) for name in ("torch", "torchvision")]
    builds = {version.partition("+")[2] for version in versions}
    assert len(builds) == 1, versions


def test_conda_users_get_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    # conda itself pins nothing but Python, so there is no second list that could disagree.
    assert {re.split("[=<>]", entry)[0] for entry in conda} == {"python", "pip"}
    assert pip == ["--constraint constraints.txt", "--editable .[test]"]
    (python,) = (entry.split("=")[1] for entry in conda if entry.startswith("python="))
    assert python in PYTHONS


def test_the_supported_pythons_are_named_alike_everywhere():
    project = PYPROJECT["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    prefix = "Programming Language :: Python :: 3."
    classified = [c.split(" :: ")[-1] for c in project["classifiers"] if c.startswith(prefix)]
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    assert tuple(classified) == tuple(matrix) == PYTHONS


def modules() -> dict[str, list[Path]]:
    """The files of every module of the library."""
    found = {}
    for path in sorted((ROOT / "rslib").rglob("*.py")):
        name = path.relative_to(ROOT / "rslib").parts[0].removesuffix(".py")
        if name not in ("__init__", "__main__"):
            found.setdefault(name, []).append(path)
    return found


def test_the_package_finds_its_modules():
    """None is named by hand, private ones are left out, and finding them loads none."""
    import rslib

    public = {name for name in modules() if not name.startswith("_")}
    names = {"ABSTAIN", "Certificate", "Decision", "SmoothedClassifier"}
    names |= {"DISTRIBUTION", "find_data"}
    assert set(rslib.__all__) == public | names and public < set(dir(rslib))
    for name in public - {"interactive"}:
        assert getattr(rslib, name) is sys.modules[f"rslib.{name}"]
    with pytest.raises(AttributeError, match="module 'rslib' has no attribute 'nothing'"):
        rslib.nothing  # noqa: B018


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "rslib/py.typed").is_file()
    assert "py.typed" in PYPROJECT["tool"]["setuptools"]["package-data"]["rslib"]


def linted(folder: Path) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("engine", "from rslib import smoothing", "Nothing imports upwards"),
        ("certificates", "def f():\n    import torch", "no network is needed"),
        ("verifier", "from rslib import confidence", "Nothing imports upwards"),
        ("plans", "from rslib.models import build", "Any base classifier is smoothed"),
        ("noise", "import rslib.confidence", "no statistics are needed"),
    ],
)
def test_an_import_against_the_arrows_is_seen(tmp_path, module, line, broken):
    shutil.copytree(ROOT / "rslib", tmp_path / "rslib")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in ("book", "tests", "tools", "benchmarks"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "rslib" / f"{module}.py"
    path = path if path.exists() else tmp_path / "rslib" / module / "__init__.py"
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    answer = linted(tmp_path)
    assert answer.returncode == 1
    assert re.search(rf"^.*{broken}.* BROKEN", answer.stdout, re.MULTILINE), answer.stdout


def test_a_module_without_a_place_is_seen(tmp_path):
    shutil.copytree(ROOT / "rslib", tmp_path / "rslib")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "rslib/elsewhere.py").write_text("")
    answer = linted(tmp_path)
    assert answer.returncode == 1 and "elsewhere" in answer.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import rslib",
        "from rslib import backends, certificates, confidence, records, verifier, evaluation, "
        "exercises; "
        "from rslib import datasets; datasets.load('digits', 'test')",
    ],
)
def test_the_light_side_loads_no_torch(statement):
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def code_cells(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def plain_python(source: str) -> str:
    """A cell as Python sees it: the magics turned into calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


@pytest.mark.parametrize("path", THEORY, ids=lambda path: path.stem)
def test_theory_chapters_import_no_torch(path):
    for source in code_cells(path):
        for node in ast.walk(ast.parse(plain_python(source))):
            if isinstance(node, ast.Import):
                names = {part for alias in node.names for part in alias.name.split(".")}
            elif isinstance(node, ast.ImportFrom):
                names = {*node.module.split("."), *(alias.name for alias in node.names)}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = {node.attr} if node.value.id == "rslib" else set()
            else:
                continue
            assert not names & (TORCH_SIDE | TORCH_NAMES), ast.unparse(node)


def test_there_are_chapters_and_all_begin_alike():
    assert CHAPTERS
    assert len({code_cells(path)[0] for path in CHAPTERS}) == 1


def test_a_chapter_notices_the_wrong_rslib(monkeypatch):
    """PyPI's package of that name belongs to somebody else and lacks our mark."""
    bootstrap = compile(plain_python(code_cells(CHAPTERS[0])[0]), "bootstrap", "exec")
    exec(bootstrap, {})
    monkeypatch.setitem(sys.modules, "rslib", types.ModuleType("rslib"))
    with pytest.raises(ImportError, match="randomized-smoothing-course"):
        exec(bootstrap, {})


def test_the_distribution_is_the_one_that_the_chapters_look_for():
    import rslib

    assert PYPROJECT["project"]["name"] == rslib.DISTRIBUTION
    assert PYPROJECT["project"]["version"] == rslib.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rslib.__version__


def test_a_notebook_finds_the_courses_data_wherever_it_is(tmp_path, monkeypatch):
    import rslib
    from rslib import _files

    clone, elsewhere = tmp_path / "course", tmp_path / "notebooks" / "deep"
    for folder in (clone / "data/certify", clone / "data/models", elsewhere, clone / "book"):
        folder.mkdir(parents=True)
    for start in (clone, clone / "book", tmp_path, elsewhere):
        monkeypatch.chdir(start)
        assert rslib.find_data() == clone / "data"
    (clone / "data/models").rmdir()
    assert rslib.find_data(elsewhere) == ROOT / "data"  # beside the library
    monkeypatch.setattr(_files, "__file__", str(tmp_path / "site-packages/rslib/_files.py"))
    with pytest.raises(FileNotFoundError, match="run inside a clone"):
        rslib.find_data(elsewhere)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


PAGES_WITH_COMMANDS = ("README.md", "CONTRIBUTING.md", "book/reproduce.md")


@pytest.mark.parametrize("page", [*PAGES_WITH_COMMANDS, "book/intro.md", ".ci/run"])
def test_the_make_commands_in_the_text_exist(page):
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert named <= make_targets()
    assert named or page in ("book/intro.md", ".ci/run")


def test_the_workflows_run_make_targets_that_exist():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        named = set(re.findall(r"run: make ([a-z-]+)", path.read_text()))
        assert named <= make_targets()


def test_make_help_lists_every_command():
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make (\S+)", shown, re.MULTILINE)) == make_targets()


@pytest.mark.parametrize("page", ["README.md", "book/reproduce.md"])
def test_the_rslib_commands_in_the_text_parse(page, monkeypatch):
    """Every `rslib ...` line is one that the command line accepts, up to running it."""
    from rslib import cli

    text = (ROOT / page).read_text().replace("\\\n", " ")
    commands = re.findall(r"^rslib (.*)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        arguments = shlex.split(command, comments=True)
        assert cli._parser().parse_args(arguments).name == arguments[0]


def test_the_ten_lines_of_the_readme_run(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    exec(compile(code, "README.md", "exec"), {})
    assert re.search(r"^\d \d+\.\d+$", capsys.readouterr().out, re.MULTILINE)


def test_no_file_names_a_place_on_somebodys_machine():
    places = re.compile(rb"(?<![\w.])/(?:home|root|Users|work|tmp)/\w")
    for path in project_files(ROOT):
        if path.suffix not in (".safetensors", ".png", ".npz", ".gz"):
            found = places.search(path.read_bytes())
            assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_the_table_of_contents_names_every_page():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [contents["root"]]
    listed += [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert len(listed) == len(set(listed))
    pages = [p for p in (ROOT / "book").iterdir() if p.suffix in (".md", ".ipynb")]
    assert set(listed) == {f"book/{page.stem}" for page in pages}


def test_the_reference_names_every_module():
    pages = [page.read_text() for page in sorted((ROOT / "book").glob("api*.md"))]
    documented = [name for p in pages for name in re.findall(r"automodule:: rslib\.(\w+)", p)]
    assert len(set(documented)) == len(documented)
    assert set(documented) == {name for name in modules() if not name.startswith("_")}


def test_every_work_that_is_cited_is_in_the_bibliography():
    known = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text(), re.M))
    assert known
    for paths in modules().values():
        for path in paths:
            cited = set(re.findall(r"\b[a-z]{3,}(?:19|20)\d\d\b", path.read_text()))
            assert cited <= known, f"{path.name}: {sorted(cited - known)}"


def test_the_workflows_follow_their_schema():
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert workflows
    checker = [str(Path(sys.executable).parent / "check-jsonschema"), "-o", "json"]
    schema = ["--builtin-schema", "vendor.github-workflows"]
    answer = subprocess.run(
        [*checker, *schema, *workflows], capture_output=True, text=True, check=False
    )
    assert json.loads(answer.stdout)["status"] == "ok", answer.stdout
    assert answer.returncode == 0
