"""What all tests share."""

import gc
import os
from pathlib import Path

import pytest

pytest_plugins = ["airflow_env", "atlas_fixtures", "namespaces"]

# Tests fork from a process in which others have left objects of C libraries (Kafka's client): a child that collects one may crash.
os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)

SLOW = ("dag_runs", "examples", "cli")
"""Folders whose files hold few tests that take minutes: they come first, so that no process is left alone with them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(part in SLOW for part in Path(item.path).parts))
