"""What a task read and wrote survives foreign objects that cannot even say what they are."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mlgov import _compat
from airflow_provider_mlgov.lineage.collect import collect, from_hooks, hooks_seen
from airflow_provider_mlgov.lineage.facts import Attempt, Facts

pytestmark = pytest.mark.filterwarnings("default")
TABLE = "postgres://db:5432/shop/public/a"


class Mute:
    """Fails at whatever it is asked."""

    def __init__(self, error: type[BaseException] = ValueError) -> None:
        object.__setattr__(self, "_error", error)

    def __repr__(self) -> str:
        raise object.__getattribute__(self, "_error")("mute")

    __str__ = __repr__


@pytest.mark.parametrize("error", [ValueError, RecursionError, SystemExit])
def test_an_inlet_or_outlet_without_repr(
    error: type[BaseException], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_compat, "hook_lineage_collected", lambda: None)
    task = SimpleNamespace(task_id="t", inlets=[Mute(error), TABLE], outlets=[Mute(error), TABLE])
    with caplog.at_level(logging.WARNING):
        found = collect(task, None, Attempt("d", "r", "t", -1, 1), phase="complete", namespace="n", facts=Facts())
    assert len(found.inputs) == len(found.outputs) == 1


def test_an_extra_without_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(extra: Any) -> Any:
        return SimpleNamespace(asset=SimpleNamespace(uri=TABLE, extra=extra), context=None, count=1)

    reported = SimpleNamespace(inputs=[info({"a": Mute()})], outputs=[])
    monkeypatch.setattr(_compat, "hook_lineage_collected", lambda: reported)
    before = hooks_seen()
    assert len(before) == 1
    assert hooks_seen() == before
    reported.outputs.append(info({"a": Mute()}))
    assert [direction for direction, _ in from_hooks(before)] == ["outputs"]
