from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity, Ref, ends_digest, renamed_process


def test_references_in_atlas_form():
    assert Ref("t", "q").to_atlas() == {"typeName": "t", "uniqueAttributes": {"qualifiedName": "q"}}
    assert Ref("t", "q", "r").to_atlas("-1") == {"typeName": "t", "guid": "-1", "relationshipType": "r"}
    assert Entity("t", "q").ref == Ref("t", "q")


def test_the_digest_of_ends_knows_no_order_but_direction():
    a, b = Ref("t", "a"), Ref("t", "b")
    assert ends_digest([a, b], []) == ends_digest([b, a, a], [])
    assert ends_digest([a], [b]) != ends_digest([b], [a])
    assert ends_digest([a, b], []) != ends_digest([a], [b])


def test_a_process_is_renamed_with_its_ends_if_it_is_named_after_them():
    a, b, c = (Ref("t", name) for name in "abc")
    name = f"jobs/j/io/{ends_digest([a], [b])}@ns"
    was, now = {"inputs": [a], "outputs": [b]}, {"inputs": [a], "outputs": [c]}
    assert renamed_process(name, was, now) == f"jobs/j/io/{ends_digest([a], [c])}@ns"
    assert renamed_process(name, now, was) == name
    assert renamed_process("ml/p/models/m/builds/b/training@ns", was, now) == "ml/p/models/m/builds/b/training@ns"
