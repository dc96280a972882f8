"""A classifier out of Python code that the caller names, and the hashes of that code."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

from torch import nn

from rslib import _files

__all__ = ["from_python"]


def from_python(spec: str, shape: tuple[int, ...], num_classes: int | None):
    where, _, name = spec.rpartition(":")
    with _user_code(spec):
        if where.endswith(".py"):
            path, folder = Path(where), Path(where).parent
            with _first_on_path(folder):
                module, files = _execute(spec, path)
                base = _made(spec, module, name, shape, num_classes)
        else:
            module = importlib.import_module(where)
            files = _sources_of(module)
            base = _made(spec, module, name, shape, num_classes)
    return base, files, ("no weights given: they are those that the code makes",)


@contextmanager
def _user_code(spec: str) -> Iterator[None]:
    """Errors of the code that was named say which code it was."""
    try:
        yield
    except _Misnamed as error:
        raise ValueError(f"model {spec}: {error}") from None
    except Exception as error:
        raise ValueError(f"model {spec}: {type(error).__name__}: {error}") from error


class _Misnamed(Exception):
    """What is wrong is the name, not the code."""


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    """Modules beside the file are found, as when it is run as a script."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


def _execute(spec: str, path: Path) -> tuple[types.ModuleType, dict[str, str]]:
    """The module that a file makes, and the hashes of what it is made of."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise _Misnamed(error.strerror or str(error)) from None
    digest = hashlib.sha256(source).hexdigest()
    imported = _imported(path, path.parent)
    for beside in imported:
        # Python would hand out the one that it has: another network, without a word.
        name = ".".join(beside.relative_to(path.parent).with_suffix("").parts)
        loaded = sys.modules.get(name.removesuffix(".__init__"))
        found = getattr(loaded, "__file__", None)
        if loaded is not None and (found is None or Path(found).resolve() != beside.resolve()):
            raise _Misnamed(
                f"it imports {beside}, and another module of this name is loaded already "
                f"({found}): rename one, or open them in processes of their own"
            )
    module = types.ModuleType(f"rslib_model_{digest[:16]}")
    module.__file__ = str(path.resolve())
    # The bytes that were hashed, not whatever a cache holds. Classes look for their module there.
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    files = {path.name: digest}
    for beside in imported:
        files[beside.relative_to(path.parent).as_posix()] = _files.sha256(beside)
    return module, files


def _sources_of(module: types.ModuleType) -> dict[str, str]:
    """Hashes of an imported module's file and, unless it is installed, of what it imports."""
    origin = getattr(module, "__file__", None)
    if origin is None or not origin.endswith(".py"):
        return {}
    path = Path(origin)
    files = {path.name: _files.sha256(path)}
    if {"site-packages", "dist-packages"} & set(path.parts):
        return files
    depth = module.__name__.count(".") + (path.name == "__init__.py")
    root = path.parents[depth]
    for beside in _imported(path, root):
        files[beside.relative_to(root).as_posix()] = _files.sha256(beside)
    return files


def _imported(path: Path, root: Path) -> list[Path]:
    """The files under root that a file imports, itself aside, as far as import statements say."""
    found, waiting = {}, [path]
    while waiting:
        current = waiting.pop()
        try:
            tree = ast.parse(current.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # said where it is executed
        for name in _names_imported(tree, current, root):
            parts = name.split(".")
            if parts[0] == "rslib":  # the manifest says its version
                continue
            for length in range(1, len(parts) + 1):
                for tail in ((*parts[:length], "__init__.py"), (*parts[: length - 1],
                             parts[length - 1] + ".py")):  # fmt: skip
                    beside = root.joinpath(*tail)
                    if beside not in found and beside != path and beside.is_file():
                        found[beside] = True
                        waiting.append(beside)
    return sorted(found)


def _names_imported(tree: ast.Module, path: Path, root: Path) -> Iterator[str]:
    """Dotted names in import statements, from root on; ``from a import b`` may mean a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = []
            if node.level:
                package = path.relative_to(root).parts[:-1]
                above = list(package[: len(package) - node.level + 1])
            stem = [*above, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*stem, alias.name]) for alias in node.names)


def _made(spec, module, name, shape, num_classes) -> Callable:
    """The classifier that a name of a module stands for, or that it makes."""
    try:
        named = reduce(getattr, name.split("."), module)
    except AttributeError:
        offered = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise _Misnamed(
            f"has no {name}; it has {', '.join(sorted(offered)) or 'nothing'}"
        ) from None
    if isinstance(named, nn.Module):
        return named
    if not callable(named):
        raise _Misnamed(f"{name} must be a torch module, or a function that makes one")
    made = named(**_arguments(named, name, shape, num_classes))
    if not callable(made):
        raise _Misnamed(f"{name} must return a classifier, it returned {made!r}")
    return made


def _arguments(make: Callable, name: str, shape, num_classes) -> dict:
    given = {"shape": shape, "num_classes": num_classes}
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        raise _Misnamed(f"{name} does not say what it takes: write a function around it") from None
    taken, missing = {}, []
    for one in parameters:
        by_name = one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        needed = one.default is one.empty
        if by_name and one.name in given:
            if given[one.name] is not None:
                taken[one.name] = given[one.name]
            elif needed:
                raise ValueError(f"num_classes must be given: {name} needs it")
        elif one.kind is one.VAR_KEYWORD:
            if num_classes is not None:
                taken["num_classes"] = num_classes
        elif one.kind is not one.VAR_POSITIONAL and needed:
            missing.append(one.name)
    if missing:
        raise _Misnamed(
            f"{name} needs {', '.join(missing)}, and is given shape and num_classes at most: name "
            "a function that takes no more and returns the classifier"
        )
    return taken
