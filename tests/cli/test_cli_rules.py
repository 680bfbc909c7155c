"""``mlgov rules``, and ``--rules`` of ``mlgov translate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_runs import mlgov, one_line

RULES = """
[[namespaces]]
match = "postgres://db-*"
alias = "postgres://db:5432"

[[namespaces]]
match = "postgres://db:5432"
rdbms_names = "plain"
atlas_namespace = "erp"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


def test_check(home: Path, rules: Path) -> None:
    result = mlgov(home, "rules", "check", str(rules))
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 rules of namespaces" in result.stdout
    rules.write_text(RULES + "odd = 1\n")
    result = mlgov(home, "rules", "check", AIRFLOW__MLGOV__MAPPING_RULES=str(rules))
    assert result.returncode == 1
    assert f"{rules}, line 10" in result.stdout
    assert "nothing to check" in one_line(mlgov(home, "rules", "check"))


def test_explain(home: Path, rules: Path) -> None:
    result = mlgov(home, "rules", "explain", "postgres://db-2:5432", "shop.public.orders", "--rules", str(rules))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"postgres://db-2:5432 means postgres://db:5432: rule in line 2 of {rules}",
        "family postgres: built in, by the scheme of postgres://db:5432",
        "lower case: built in, as the platform folds names",
        f"@erp: rule in line 6 of {rules}",
        f"rdbms_names plain: rule in line 6 of {rules}",
        "rdbms_instance  db:5432@erp",
        "rdbms_db  shop@erp",
        "rdbms_table  shop.public.orders@erp",
    ]
    assert mlgov(home, "rules", "explain", "file", "\n").returncode == 1


def test_the_schema_is_published(home: Path) -> None:
    assert json.loads(mlgov(home, "rules", "schema").stdout)["title"].startswith("Mapping rules")


def test_translate_by_rules(home: Path, rules: Path) -> None:
    event = {
        "eventTime": "2026-01-31T12:00:00Z",
        "dataset": {"namespace": "postgres://db-1", "name": "shop.public.orders"},
    }
    file = home / "events.ndjson"
    file.write_text(json.dumps(event))
    result = mlgov(home, "translate", "--rules", str(rules), str(file))
    names = [entity["attributes"]["qualifiedName"] for entity in json.loads(result.stdout)["entities"]]
    assert names == ["db:5432@erp", "shop@erp", "shop.public.orders@erp"]
    assert "line 10" in one_line(mlgov(home, "translate", "--rules", str(broken(rules)), str(file)))


def broken(rules: Path) -> Path:
    rules.write_text(RULES + "odd = 1\n")
    return rules


@pytest.mark.usefixtures("catalog")
def test_doctor_knows_which_types_are_there(home: Path) -> None:
    path = home / "types.toml"
    path.write_text(
        '[[namespaces]]\nmatch = "a"\ntype = "mlgov_dataset"\n[[namespaces]]\nmatch = "b"\ntype = "acme_table"\n'
        '[[tags]]\nkey = "pii"\nclassification = "Personal"\n'
    )
    told = mlgov(home, "doctor", "--no-airflow", AIRFLOW__MLGOV__MAPPING_RULES=str(path)).stdout
    assert "line 4: the catalogue has no type 'acme_table'" in told
    assert "line 7: the catalogue has no type 'Personal'" in told
    assert "no type 'mlgov_dataset'" not in told
