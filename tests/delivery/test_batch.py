from airflow_provider_mlgov.delivery.batch import batches, in_order, to_atlas, without_dependents
from airflow_provider_mlgov.model.entity import Entity, Ref


def entity(name, *refs, **more):
    return Entity(
        "t", name, {"name": name}, relations={"of": tuple(Ref("t", ref) for ref in refs)} if refs else {}, **more
    )


def names(entities):
    return [each.qualified_name for each in entities]


def test_what_is_referred_to_comes_first_and_the_rest_keeps_its_order():
    assert names(in_order([entity("b", "a"), entity("c"), entity("a")])) == ["a", "b", "c"]
    assert names(in_order([entity("x"), entity("y"), entity("z", "x", "elsewhere")])) == ["x", "y", "z"]


def test_cycles_and_long_chains_end():
    assert sorted(names(in_order([entity("a", "b"), entity("b", "a")]))) == ["a", "b"]
    chain = [entity(f"{number}", f"{number + 1}") for number in range(5000)]
    assert names(in_order(chain))[0] == "4999"


def test_batches_refer_backwards_only():
    cut = batches([entity("c", "b"), entity("b", "a"), entity("a"), entity("d", "c")], 3)
    assert [names(batch) for batch in cut] == [["a", "b", "c"], ["d"]]


def test_references_are_negative_inside_by_guid_where_known_else_by_name():
    column = Entity(
        "t", "column", {}, relations={"table": Ref("t", "table", "table_columns"), "of": (Ref("t", "x"), Ref("t", "y"))}
    )
    table, written = to_atlas([entity("table"), column], {Ref("t", "x"): "guid-x"})
    assert table == {"typeName": "t", "guid": "-1", "attributes": {"name": "table", "qualifiedName": "table"}}
    assert written["relationshipAttributes"] == {
        "table": {"typeName": "t", "guid": "-1", "relationshipType": "table_columns"},
        "of": [{"typeName": "t", "guid": "guid-x"}, {"typeName": "t", "uniqueAttributes": {"qualifiedName": "y"}}],
    }


def test_dependents_of_refused_ones_are_left_out_with_the_reason():
    chain = [entity("a"), entity("b", "a"), entity("c", "b"), entity("d")]
    kept, left_out = without_dependents(chain, {Ref("t", "a"): "bad"})
    assert names(kept) == ["d"]
    assert {ref.qualified_name for ref in left_out} == {"b", "c"}
    assert "t a" in left_out[Ref("t", "b")]
