"""The options of ``[mlgov]``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov import settings as settings_module
from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.options import OPTIONS
from airflow_provider_mlgov.settings import BACKEND, Settings, is_enabled


def reader(**options: str) -> Any:
    return lambda section, name: options.get(name if section == "mlgov" else f"{section}_{name}")


def test_the_defaults_are_those_of_the_table() -> None:
    assert Settings.load(reader()) == Settings()


def test_each_option_is_a_field_and_declares_no_template() -> None:
    assert {option.name for option in OPTIONS} == set(Settings.__dataclass_fields__)
    for option in OPTIONS:
        assert not set(option.default) & set("%{}")
        assert option.description.endswith(".")


@pytest.mark.parametrize(
    ("options", "enabled"),
    [
        ({}, False),
        ({"enabled": "True"}, True),
        ({"enabled": " on "}, True),
        ({"lineage_backend": BACKEND}, True),
        ({"lineage_backend": "airflow_provider_mlgov.lineage.backend.AtlasLineageBackend"}, True),
        ({"lineage_backend": "somebody.elses.Backend"}, False),
    ],
)
def test_two_switches(options: dict[str, str], enabled: bool) -> None:
    assert is_enabled(reader(**options)) is enabled
    assert Settings.load(reader(**options)).enabled is enabled


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enabled", "perhaps"),
        ("send_budget", "soon"),
        ("send_budget", "0"),
        ("collect_timeout", "-1"),
        ("state_hours", "inf"),
        ("types_apply", "sometimes"),
        ("s3_scheme", "s4"),
        ("namespace", "a\x00b"),
        ("selective", "2"),
    ],
)
def test_a_wrong_value_names_its_option(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^\[mlgov\] {name} is .*: "):
        Settings.load(reader(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("send_budget", "abc"), ("enabled", "perhaps"), ("s3_scheme", "s4"), ("spool_folder", "~nobody-here/x")],
)
def test_who_records_takes_the_default_and_says_so_once(
    name: str, value: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "_warned", set())
    options = reader(**{name: value, "lineage_backend": BACKEND, "dags": "a_*"})
    with pytest.raises(ConfigurationError, match=rf"^\[mlgov\] {name} is "):
        Settings.load(options)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert Settings.load(options, tolerant=True) == Settings(enabled=True, dags=("a_*",))
    [record] = caplog.records
    assert record.getMessage().startswith(f"[mlgov] {name} is {value!r}: ")
    assert "its default holds" in record.getMessage()


def test_who_records_outlives_a_configuration_that_cannot_be_read(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "_warned", set())

    def read(section: str, name: str) -> str | None:
        if name == "namespace":
            raise LookupError("no such secret")
        return None

    with pytest.raises(LookupError):
        Settings.load(read)
    assert Settings.load(read, tolerant=True) == Settings()
    assert "[mlgov] namespace cannot be read: no such secret." in caplog.text


def test_lists_and_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/var/spool")
    settings = Settings.load(reader(dags="a_*, b; c", spool_folder="$PLACE/mlgov"))
    assert settings.dags == ("a_*", "b", "c")
    assert settings.spool_folder == Path("/var/spool/mlgov")


def test_our_files_are_under_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/srv/airflow")
    assert Settings().embedded_path == Path("/srv/airflow/mlgov/catalog.db")
    assert Settings().spool_folder == Path("/srv/airflow/mlgov/spool")


def test_an_atlas_needs_a_namespace() -> None:
    assert Settings().airflow_namespace == "default"
    assert Settings(atlas_conn_id="a", namespace="prod").airflow_namespace == "prod"
    with pytest.raises(ConfigurationError, match=r"\[mlgov\] namespace is empty"):
        _ = Settings(atlas_conn_id="a").airflow_namespace


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, True),
        ({"dags": ("ml_*",)}, True),
        ({"dags": ("other",)}, False),
        ({"disabled_dags": ("ml_?",)}, False),
        ({"disabled_tasks": ("train",)}, False),
        ({"disabled_tasks": ("ml_a.tr*",)}, False),
        ({"disabled_tasks": ("ml_b.tr*",)}, True),
        ({"disabled_operators": ("Python*",)}, False),
        ({"disabled_operators": ("my.ops.*",)}, False),
        ({"disabled_operators": ("ops.*",)}, True),
    ],
)
def test_patterns(options: dict[str, Any], kept: bool) -> None:
    assert Settings(**options).records("ml_a", "train", "my.ops.PythonThing") is kept
