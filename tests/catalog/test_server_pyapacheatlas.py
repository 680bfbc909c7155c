"""pyapacheatlas's own client, unchanged, against the served embedded catalogue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.server import create_app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import uvicorn
    from pyapacheatlas.auth import BasicAuthentication
    from pyapacheatlas.core import AtlasClient

    catalog = EmbeddedCatalog(tmp_path_factory.mktemp("served") / "c.db")
    app = create_app(catalog, login=("ann", "secret"))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield AtlasClient(
        endpoint_url=f"http://127.0.0.1:{port}/api/atlas/v2", authentication=BasicAuthentication("ann", "secret")
    )
    server.should_exit = True
    thread.join(10)
    catalog.close()


def entities() -> list[Any]:
    from pyapacheatlas.core import AtlasEntity, AtlasProcess

    source = AtlasEntity("source", "hive_table", "source@py", guid="-1")
    target = AtlasEntity("target", "py_thing", "target@py", guid="-2", attributes={"size": 3})
    step = AtlasProcess("step", "py_step", "step@py", inputs=[source], outputs=[target], guid="-3")
    return [source, target, step]


@pytest.fixture(scope="module")
def guids(client: Any) -> dict[str, str]:
    from pyapacheatlas.core.typedef import AtlasAttributeDef, ClassificationTypeDef, EntityTypeDef

    thing = EntityTypeDef("py_thing", superTypes=["DataSet"], attributeDefs=[AtlasAttributeDef("size", typeName="int")])
    step = EntityTypeDef("py_step", superTypes=["Process"])
    tag = ClassificationTypeDef("py_tag")
    made = client.upload_typedefs(entityDefs=[thing, step], classificationDefs=[tag])
    assert [one["name"] for one in made["entityDefs"]] == ["py_thing", "py_step"]
    answer = client.upload_entities(entities())
    assert {one["typeName"] for one in answer["mutatedEntities"]["CREATE"]} == {"hive_table", "py_thing", "py_step"}
    return dict(answer["guidAssignments"])


def test_types_again(client: Any, guids: dict[str, str]) -> None:
    from pyapacheatlas.core.typedef import AtlasAttributeDef, EntityTypeDef
    from pyapacheatlas.core.util import AtlasException

    attributes = [AtlasAttributeDef("size", typeName="int"), AtlasAttributeDef("colour", typeName="string")]
    grown = EntityTypeDef("py_thing", superTypes=["DataSet"], attributeDefs=attributes)
    with pytest.raises(AtlasException, match="409"):
        client.upload_typedefs(entityDefs=[grown])
    client.upload_typedefs(entityDefs=[grown], force_update=True)
    found = client.get_typedef(name="py_thing")
    assert [one["name"] for one in found["attributeDefs"]] == ["size", "colour"]
    assert any(one["name"] == "py_step" for one in client.get_all_typedefs()["entityDefs"])


def test_reading(client: Any, guids: dict[str, str]) -> None:
    assert client.get_single_entity(guid=guids["-2"])["entity"]["attributes"]["size"] == 3
    by_guid = client.get_entity(guid=[guids["-1"], guids["-2"]])
    assert [one["guid"] for one in by_guid["entities"]] == [guids["-1"], guids["-2"]]
    by_name = client.get_entity(qualifiedName=["target@py", "absent@py"], typeName="py_thing")
    assert [one["guid"] for one in by_name["entities"]] == [guids["-2"]]
    assert client.get_entity(qualifiedName="absent@py", typeName="py_thing") == {}


def test_lineage(client: Any, guids: dict[str, str]) -> None:
    found = client.get_entity_lineage(guids["-2"], depth=3, direction="BOTH")
    assert set(found["guidEntityMap"]) == set(guids.values())
    assert {(one["fromEntityId"], one["toEntityId"]) for one in found["relations"]} == {
        (guids["-1"], guids["-3"]),
        (guids["-3"], guids["-2"]),
    }


def test_updating(client: Any, guids: dict[str, str]) -> None:
    assert "mutatedEntities" not in client.upload_entities(entities())
    client.partial_update_entity(guid=guids["-2"], attributes={"size": 4})
    client.partial_update_entity(typeName="py_thing", qualifiedName="target@py", attributes={"description": "new"})
    found = client.get_single_entity(guid=guids["-2"])["entity"]["attributes"]
    assert (found["size"], found["description"]) == (4, "new")


def test_classifications(client: Any, guids: dict[str, str]) -> None:
    from pyapacheatlas.core import AtlasClassification
    from pyapacheatlas.core.util import AtlasException

    client.classify_entity(guids["-1"], [AtlasClassification("py_tag", propagate=True)])
    with pytest.raises(AtlasException, match="already associated"):
        client.classify_entity(guids["-1"], [AtlasClassification("py_tag")])
    assert client.get_entity_classification(guids["-2"], "py_tag")["entityGuid"] == guids["-1"]
    assert [one["typeName"] for one in client.get_entity_classifications(guids["-3"])["list"]] == ["py_tag"]
    client.declassify_entity(guids["-1"], "py_tag")
    assert client.get_entity_classifications(guids["-2"])["list"] == []


def test_relationships(client: Any, guids: dict[str, str]) -> None:
    end1, end2 = {"guid": guids["-3"]}, {"guid": guids["-2"]}
    made = client.upload_relationship({"typeName": "dataset_process_inputs", "end1": end1, "end2": end2})
    assert client.get_relationship(made["guid"])["relationship"]["status"] == "ACTIVE"
    client.delete_relationship(made["guid"])
    assert client.get_relationship(made["guid"])["relationship"]["status"] == "DELETED"


def test_deleting(client: Any, guids: dict[str, str]) -> None:
    from pyapacheatlas.core import AtlasEntity

    made = client.upload_entities([AtlasEntity("gone", "hive_table", "gone@py", guid="-1")])["guidAssignments"]["-1"]
    assert client.delete_entity(made)["mutatedEntities"]["DELETE"][0]["guid"] == made
    assert client.get_single_entity(guid=made)["entity"]["status"] == "DELETED"


def test_a_refused_entity(client: Any, guids: dict[str, str]) -> None:
    from pyapacheatlas.core import AtlasEntity
    from pyapacheatlas.core.util import AtlasException

    with pytest.raises(AtlasException, match="ATLAS-400-00-014"):
        client.upload_entities([AtlasEntity("a", "no_such_type", "a@py", guid="-1")])
