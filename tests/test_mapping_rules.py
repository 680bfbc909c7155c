"""The file of mapping rules: what is read, and what is said about what is wrong, with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_mlgov.assembly import clean_options, translate_options
from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.mapping_rules import read_rules, schema
from airflow_provider_mlgov.settings import Settings
from airflow_provider_mlgov.translate.rules import NO_RULES, NamespaceRule

TOML = """
version = 1
temporary = ["*.scratch_*"]

# two names of one server
[[namespaces]]
match = "postgres://db-?.example.org:*"
alias = "postgres://db:5432"

[[namespaces]]
match = "postgres://db:5432"
rdbms_names = "plain"

[[tags]]
key = "pii"
classification = "PII"
propagate = true

[[facets]]
facet = "acme"
path = "team.name"
attribute = "team"
"""

YAML = """
version: 1
temporary: ["*.scratch_*"]
namespaces:
  - match: postgres://db-?.example.org:*
    alias: postgres://db:5432
  - match: postgres://db:5432
    rdbms_names: plain
tags:
  - key: pii
    classification: PII
    propagate: true
facets:
  - facet: acme
    path: team.name
    attribute: team
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "text", "lines"), [("r.toml", TOML, [6, 10]), ("r.yaml", YAML, [5, 7])])
def test_both_forms_say_the_same(tmp_path, name, text, lines):
    path = written(tmp_path, name, text)
    rules = read_rules(path)
    assert rules.source == str(path)
    assert rules.namespaces == (
        NamespaceRule(lines[0], match="postgres://db-?.example.org:*", alias="postgres://db:5432"),
        NamespaceRule(lines[1], match="postgres://db:5432", rdbms_names="plain"),
    )
    assert rules.temporary == ("*.scratch_*",)
    assert (rules.tags[0].classification, rules.tags[0].propagate) == ("PII", True)
    assert rules.facets[0].value({"_producer": "x", "team": {"name": "ml"}}) == "ml"
    assert rules.facet_names == {"acme"}


def test_no_file_no_rules():
    assert read_rules(Path()) is NO_RULES


def test_a_file_is_read_again_when_it_changes(tmp_path):
    path = written(tmp_path, "r.toml", TOML)
    first = read_rules(path)
    assert read_rules(path) is first
    path.write_text('temporary = ["x"]\n')
    os.utime(path, (1, 1))
    assert read_rules(path).temporary == ("x",)


WRONG = [
    ("r.toml", "[[namespaces]]\nmatch = 'x'\nfamly = 'y'\n", "line 3: namespaces.0", "famly"),
    (
        "r.toml",
        "\n[[namespaces]]\nmatch = 'x'\n\n[[namespaces]]\nmatch = 'y'\nrdbms_names = 'z'\n",
        "line 7",
        "default",
    ),
    ("r.toml", "[[namespaces]]\nfamily = 'hive'\n", "line 1: namespaces.0", "wanted match"),
    ("r.toml", "[[namespaces]]\nmatch = 'x'\n", "line 1", "says nothing"),
    ("r.toml", "[[namespaces]]\nmatch = 'x'\nfamily = 'hvie'\n", "line 3", "wanted one of adls"),
    ("r.toml", '[[namespaces]]\nmatch = "x"\natlas_namespace = "a\\u0000b"\n', "line 3", "control character"),
    ("r.yaml", 'temporary:\n  - a\n  - "b\\n"\n', "line 3: temporary.1", "control character"),
    ("r.toml", "[[namespaces]]\nmatch = 'x'\ntype = 'Process'\n", "line 3", "wanted a type of data"),
    ("r.toml", "[[namespaces]]\nmatch = 'x'\ntype = 'hive_process'\n", "line 3", "wanted a type of data"),
    ("r.toml", "[[namespaces]]\nregex = '('\nignore = true\n", "line 2", "regex"),
    ("r.toml", "[[namespaces]]\nregex = '(a)'\nalias = '\\2'\n", "line 3", "invalid group reference"),
    ("r.toml", "[[namespaces]]\nregex = '(?P<h>a)'\nalias = '\\g<host>'\n", "line 3", "unknown group name 'host'"),
    ("r.toml", "[[namespaces]]\nregex = 'a{99999999999999}'\nignore = true\n", "line 2", "regex"),
    ("r.yaml", f"version: 1\nnamespaces: {'[' * 3000}", "line 2", "nested too deeply"),
    ("r.toml", f"version = 1\nnamespaces = {'[' * 3000}", "line 2", "nested too deeply"),
    ("r.toml", "[[tags]]\nlabel = 'x'\n", "line 1: tags.0", "'key' is a required property"),
    ("r.toml", "[[tags]]\nkey = 'x'\nlabel = 'a b'\n", "line 3", "does not match"),
    ("r.toml", "version = 1\n[[tags]\n", "r.toml, line 2: no TOML: ", "(column 7)"),
    ("r.toml", "version = 1\ntemporary = [\n'a'", "r.toml, line 3: no TOML: ", "array"),
    ("r.toml", "odd = 1\n", "line 1", "odd"),
    ("r.toml", "version = 2\n", "line 1: version", "1 was expected"),
    ("r.yaml", "namespaces:\n  - match: x\n    case: UP\n", "line 3", "lower"),
    ("r.yaml", "namespaces:\n  - match: [x\n", "r.yaml, line 3: no YAML: ", "expected ',' or ']'"),
    ("r.yaml", "- a\n", "line 1: found no mapping", "wanted namespaces"),
    ("r.yaml", "namespaces: 7\n", "line 1: namespaces", "array"),
    ("r.yaml", "version: 1\n5: x\n", "line 2", "5 is not known"),
    ("r.yaml", "temporary: [1]\n", "line 1: temporary.0", "string"),
    ("r.ini", "x", "neither TOML nor YAML", ".toml"),
]


@pytest.mark.parametrize(("name", "text", "place", "said"), WRONG, ids=[f"{i}" for i, _ in enumerate(WRONG)])
def test_what_is_wrong_is_said_with_its_line(tmp_path, name, text, place, said):
    path = written(tmp_path, name, text)
    with pytest.raises(ConfigurationError) as caught:
        read_rules(path)
    assert str(path) in str(caught.value)
    assert place in str(caught.value)
    assert said in str(caught.value)


def test_all_errors_are_said_at_once(tmp_path):
    path = written(tmp_path, "r.toml", "[[namespaces]]\nmatch = 'x'\ncase = 'up'\n[[tags]]\nkey = ''\n")
    with pytest.raises(ConfigurationError, match=r"line 3.*line 5"):
        read_rules(path)


def test_one_wrong_regular_expression_is_one_error(tmp_path):
    path = written(tmp_path, "r.toml", "[[namespaces]]\nregex = '('\nalias = 'x'\n")
    with pytest.raises(ConfigurationError) as caught:
        read_rules(path)
    assert str(caught.value).count(", line ") == 1
    assert "line 2: namespaces.0.regex: '(' is no regular expression: missing )" in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationError, match=r"cannot be read|neither"):
            read_rules(path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"temporary = ['\xff']")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_rules(path)


def test_wrong_rules_stop_the_sender_but_not_a_task(tmp_path, caplog):
    settings = Settings(mapping_rules=written(tmp_path, "r.toml", "odd = 1\n"))
    with pytest.raises(ConfigurationError, match="line 1"):
        translate_options(settings)
    assert clean_options(settings).facets == frozenset()
    assert "line 1" in caplog.text


def test_rules_reach_both_sides(tmp_path):
    settings = Settings(mapping_rules=written(tmp_path, "r.toml", TOML))
    assert translate_options(settings).rules.temporary == ("*.scratch_*",)
    assert clean_options(settings).facets == {"acme"}


def test_the_schema_is_one_and_describes_every_option():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    told = schema()["properties"]["namespaces"]["items"]["properties"]
    assert set(told) == {name for name in NamespaceRule.__dataclass_fields__ if name != "line"}


def test_a_byte_order_mark_is_none_of_the_text(tmp_path):
    path = written(tmp_path, "r.toml", "\ufeff[[namespaces]]\nmatch = 'x'\nignore = true\n")
    assert len(read_rules(path).namespaces) == 1
