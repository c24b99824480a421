"""The dependency direction of docs/architecture.md, read off the import statements."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ipydock

ROOT = Path(ipydock.__file__).parent

# Lower layers first; a module imports from lower layers and from its own group alone.
LAYERS = (
    {"errors", "events", "models", "managed", "process", "files", "hosts", "layout", "credentials"}
    | {"network"}
    | {"notebook", "notebook_v4", "piping", "shown", "wheelmaking"},
    {"capture", "recipe", "engine"},
    {"kernel", "rerun", "session", "compare", "aio", "pipeline", "verifying"}
    | {"render", "folding", "streams"}
    | {"lifecycle", "removal", "pruning", "share", "archive", "manage", "manage_view"}
    | {"multiplatform", "cli_common", "cli_errors", "cli_manage", "cli_share"}
    | {"options", "settings", "doctor", "terminal", "unchanged"},
    {"magics", "cli", "__main__"},
)
FOREIGN = {
    "IPython": {"magics", "capture"},  # capture: the input transformer alone
    "detect_secrets": {"credentials"},
    "docker": {"engine"},
    "tornado": set(),
    "jupyter_server": set(),
    # Its types and errors.
    "subprocess": {"process", "piping", "network", "engine", "recipe", "capture", "kernel"},
}


@functools.cache
def modules() -> list[tuple[str, str, list[tuple[str, bool]]]]:
    """Group, name and imports (see `imported`) of every module."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            imports = list(imported(tree, len(parts) - 1))
            found.append((parts[0], "/".join(parts), imports))
    return found


def imported(tree: ast.Module, depth: int) -> Iterator[tuple[str, bool]]:
    """Names imported: of ours with True (its group), of others with False."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], False
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield (node.module or "").split(".")[0], False
            elif node.level > depth:
                for name in [node.module] if node.module else [a.name for a in node.names]:
                    yield name.split(".")[0], True


def layer(group: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if group in names)


def test_every_module_has_a_layer() -> None:
    known = set().union(*LAYERS)
    assert {group for group, _, _ in modules()} <= known


def test_imports_point_downwards() -> None:
    wrong = []
    for group, name, imports in modules():
        for target, ours in imports:
            if not ours or target in (group, "__version__"):
                continue
            own, other = layer(group), layer(target)
            peers = own == other and own in (1, 3) and group != "__main__"
            if other > own or peers:
                wrong.append(f"{name} imports {target}")
    assert not wrong


@pytest.mark.parametrize("library", sorted(FOREIGN))
def test_only_some_import(library: str) -> None:
    users = {
        name
        for group, name, imports in modules()
        for target, ours in imports
        if not ours and target == library and group not in FOREIGN[library]
    }
    assert not users


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys; before = set(sys.modules); import ipydock; "
        "names = {n.split('.')[0] for n in set(sys.modules) - before}; "
        "print(sorted(names - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['ipydock']"


def test_public_names_are_the_documented_things() -> None:
    code = (
        "import ipydock, ipydock.pipeline, ipydock.capture.probe\n"
        "for name in ipydock.__all__:\n    getattr(ipydock, name)\n"
        "print(callable(ipydock.capture), callable(ipydock.rerun), callable(ipydock.compare))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]
