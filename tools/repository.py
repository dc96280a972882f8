"""Give the project another home: every use of the repository's address is rewritten.

    repository.py https://github.com/you/course

The address that holds so far is `repository: url` of _config.yml. It is replaced in every file of
the project, with the addresses of the published pages and of the notebooks on Colab, which follow
from it. Outputs of the chapters stay as they are: none depends on the address.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import notebooks
import yaml
from plain import site_address

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")


def current(root: Path = ROOT) -> str:
    """The repository's address so far."""
    return yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"]


def forms(url: str) -> list[str]:
    """How the address is written: itself, in a regular expression, published, on Colab."""
    path = "/".join(url.split("/")[-2:])
    colab = f"colab.research.google.com/github/{path}"
    return [url, re.escape(url).replace(r"\-", "-"), site_address(url), colab]


def replaced(text: str, old: str, new: str) -> str:
    """A text with every form of one address turned into that of the other.

    >>> replaced("see https://github.com/a/b/issues", "https://github.com/a/b", "https://x.org/c/d")
    'see https://x.org/c/d/issues'
    """
    for before, after in zip(forms(old), forms(new), strict=True):
        # The address of another repository may begin with this one's.
        text = re.sub(rf"{re.escape(before)}(?![\w-])", lambda _, after=after: after, text)
    return text


def project_files(root: Path) -> list[Path]:
    """What belongs to the project: every file that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = (root / name for name in sorted(listed.split("\0")) if name)
    return [path for path in found if path.is_file()]


def files(root: Path) -> list[Path]:
    """Those that may name the project's address: text."""
    return [path for path in project_files(root) if b"\0" not in path.read_bytes()[:8192]]


def rewrite(path: Path, old: str, new: str) -> bool:
    """Rewrite one file; whether anything changed."""
    text = path.read_bytes().decode("utf-8")
    changed = replaced(text, old, new)
    if changed == text:
        return False
    if path.suffix == ".ipynb":
        before = notebooks.read(path)
        fresh = notebooks.stored_hash(before) == notebooks.code_hash(before)
        path.write_bytes(changed.encode("utf-8"))
        notebook = notebooks.read(path)
        if fresh:  # what was as executed still is
            notebook.metadata["rslib"]["code_sha256"] = notebooks.code_hash(notebook)
        notebooks.write(path, notebooks.normalise(notebook))
    else:
        path.write_bytes(changed.encode("utf-8"))
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="for example https://github.com/you/course")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the project (default: this)")
    options = parser.parse_args(arguments)
    new = options.url.rstrip("/").removesuffix(".git")
    if not ADDRESS.fullmatch(new):
        parser.error(f"{options.url!r} is not of the form https://github.com/OWNER/NAME")
    old = current(options.root)
    changed = [path for path in files(options.root) if rewrite(path, old, new)]
    for path in changed:
        print(path.relative_to(options.root))
    print(f"{len(changed)} files now name {new}" if changed else f"all files name {new} already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
