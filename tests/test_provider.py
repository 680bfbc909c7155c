"""What Airflow makes of the provider: it is listed, its options are known, its form is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from airflow_env import environment
from airflow_provider_mlgov import _compat
from airflow_provider_mlgov.options import OPTIONS
from airflow_provider_mlgov.provider_info import get_provider_info

PACKAGE = Path(_compat.__file__).parent


@cache
def airflow(home: str, *arguments: str) -> str:
    """The output of an ``airflow`` command."""
    command = [sys.executable, "-m", "airflow", *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, **environment(Path(home)), "COLUMNS": "400", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("airflow"))


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (("providers", "list", "-o", "plain"), "airflow-provider-mlgov"),
        (("providers", "hooks", "-o", "plain"), "airflow_provider_mlgov.hooks.atlas.AtlasHook"),
        (("providers", "widgets", "-o", "plain"), "base_path"),
        (("providers", "behaviours", "-o", "plain"), "atlas"),
        (("plugins", "-o", "plain"), "mlgov"),
    ],
)
def test_listed(home: str, command: tuple[str, ...], wanted: str) -> None:
    assert wanted in airflow(home, *command)


def test_options_are_declared(home: str) -> None:
    shown = airflow(home, "config", "list", "--section", "mlgov", "--include-descriptions")
    for option in OPTIONS:
        assert option.name in shown


def test_the_metadata_fits_airflows_schema() -> None:
    import json
    from importlib.resources import files

    import jsonschema

    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_each_module_with_operators_is_named() -> None:
    named = {module for entry in get_provider_info()["operators"] for module in entry["python-modules"]}
    found = {
        f"airflow_provider_mlgov.operators.{path.stem}"
        for path in (PACKAGE / "operators").glob("*.py")
        if re.search(r"^class \w+Operator\(", path.read_text(), re.MULTILINE) and path.stem != "base"
    }
    assert named == found


def test_only_one_module_knows_where_names_of_airflow_moved() -> None:
    allowed = re.compile(r"from airflow\.(providers\.common\.compat|cli\.cli_config)\b")
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path.name != "_compat.py"
        for line in path.read_text().splitlines()
        if line.strip().startswith(("from airflow.", "import airflow.", "from airflow import"))
        and not allowed.match(line.strip())
    ]
    assert found == []


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", sorted(_compat._NAMES))
def test_each_name_comes_from_the_right_place(name: str) -> None:
    moved = {
        "Asset": ("airflow.sdk.definitions.asset", "airflow.datasets"),
        "AssetAlias": ("airflow.sdk.definitions.asset", "airflow.datasets"),
        "BaseHook": ("airflow.sdk.bases.hook", "airflow.hooks.base"),
        "BaseOperator": ("airflow.sdk.bases.operator", "airflow.models.baseoperator"),
        "DAG": ("airflow.sdk.definitions.dag", "airflow.models.dag"),
        "HookLineageReader": ("airflow.sdk.lineage", "airflow.lineage.hook"),
        "get_hook_lineage_collector": ("airflow.sdk.lineage", "airflow.lineage.hook"),
    }
    value = getattr(_compat, name)
    assert value is not None
    if name in moved:
        assert value.__module__ == moved[name][0 if _compat.is_airflow_3() else 1]


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert _compat.airflow_version() == version("apache-airflow")
    assert _compat.is_airflow_3() is (int(version("apache-airflow").split(".")[0]) >= 3)
