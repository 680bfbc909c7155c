"""Places of handing over by Airflow's object storage paths."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from airflow_provider_mlgov._compat import is_airflow_3
from airflow_provider_mlgov.delivery.handover import FolderObjects, Handover, collect, counts
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.hooks.objects import StoredObjects, open_objects
from delivery_events import task_event

if is_airflow_3():
    from airflow.sdk.io import attach
else:
    from airflow.io.store import attach


def test_a_folder_needs_no_airflow(tmp_path: Path) -> None:
    for text in (str(tmp_path), f"file://{tmp_path}"):
        assert isinstance(open_objects(text), FolderObjects)
        assert repr(open_objects(text)) == str(tmp_path)
    with pytest.raises(ConfigurationError, match="no absolute path"):
        open_objects("some/folder")


@pytest.mark.parametrize("whole", [True, False])
def test_events_go_through_an_object_storage(tmp_path: Path, whole: bool) -> None:
    attach("memory", fs=fsspec.filesystem("memory"))
    objects = open_objects(f"memory://bucket/{tmp_path.name}/handover")
    assert isinstance(objects, StoredObjects)
    assert repr(objects).startswith("memory://")
    objects._whole = whole
    worker, host = Spool(tmp_path / "worker"), Spool(tmp_path / "host")
    assert counts(objects) == (0, 0)
    for number in range(3):
        Outbox(worker).put(task_event("COMPLETE", task=f"t{number}"))
        assert Handover(worker, lambda: objects).send().outcome == "done"
    objects.put("new/foreign", b"x")
    assert counts(objects) == (4, 0)
    collected = collect(objects, Outbox(host))
    assert (collected.events, collected.odd) == (3, 1)
    assert len(host.waiting()) == 3
    assert counts(objects) == (0, 1)
    assert objects.get("new/gone") is None
    objects.remove("new/gone")


def test_a_scheme_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ObjectStoragePath knows"):
        open_objects("nonsense://bucket/x")
