from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity, Ref, ends_digest


def test_references_in_atlas_form():
    assert Ref("t", "q").to_atlas() == {"typeName": "t", "uniqueAttributes": {"qualifiedName": "q"}}
    assert Ref("t", "q", "r").to_atlas("-1") == {"typeName": "t", "guid": "-1", "relationshipType": "r"}
    assert Entity("t", "q").ref == Ref("t", "q")


def test_the_digest_of_ends_knows_no_order_but_direction():
    a, b = Ref("t", "a"), Ref("t", "b")
    assert ends_digest([a, b], []) == ends_digest([b, a, a], [])
    assert ends_digest([a], [b]) != ends_digest([b], [a])
    assert ends_digest([a, b], []) != ends_digest([a], [b])
