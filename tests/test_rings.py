"""The rings hold at run time too, and the rules that the linters cannot say (the static side: `lint-imports`, ruff)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "airflow_provider_mlgov"
MODULES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_AIRFLOW = ("errors", "model", "translate", "catalog", "capture", "delivery")
MOVED = ("airflow.sdk", "airflow.datasets", "airflow.models.baseoperator", "airflow.operators", "airflow.decorators")
"""Names that live elsewhere in another Airflow; only `_compat` may know where."""

IMPORT_ALL = """
import importlib, json, sys
class NoAirflow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "airflow":
            raise ImportError("airflow is not for this ring")
sys.meta_path.insert(0, NoAirflow())
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""


def name_of(module: Path) -> str:
    """Dotted name of a module file."""
    return ".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def identify(module: Path) -> str:
    """Name a test case by the module's path."""
    return str(module.relative_to(PACKAGE))


def imports(tree: ast.AST) -> set[str]:
    """Every module that a tree names in an import, at whatever depth."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def reaches(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a name is one of the packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_inner_rings_import_where_airflow_cannot_be_imported() -> None:
    prefixes = tuple(f"airflow_provider_mlgov.{ring}" for ring in WITHOUT_AIRFLOW)
    names = [name for name in map(name_of, MODULES) if reaches(name, prefixes)]
    assert len(names) > 10
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps(names)], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == {}


@pytest.mark.parametrize("module", MODULES, ids=identify)
def test_only_compat_knows_where_airflow_keeps_things(module: Path) -> None:
    if module.name == "_compat.py":
        pytest.skip("this is the one module that may")
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert not {name for name in imports(tree) if reaches(name, MOVED)}
    guarded = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        for statement in node.body
        for name in imports(statement)
        if reaches(name, ("airflow",)) and any("ImportError" in ast.dump(handler) for handler in node.handlers)
    }
    assert not guarded


@pytest.mark.parametrize("module", MODULES, ids=identify)
def test_modules_stay_small_and_have_a_subject(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400
    assert module.stem not in {"utils", "util", "helpers", "helper", "misc", "common"}
