"""Every family: OpenLineage's namespace and name to types and qualifiedNames."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.naming import FAMILIES, Field, name_entities
from naming_examples import EXAMPLES
from translate_events import OPTIONS


@pytest.mark.parametrize(("namespace", "name", "wanted"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_examples(namespace, name, wanted):
    entities = name_entities(namespace, name, OPTIONS).entities
    assert [f"{entity.type_name} {entity.qualified_name}" for entity in entities] == wanted
    for parent, child in pairwise(entities):
        if child.type_name != "mlgov_model":  # a model has no relationship to its project
            assert parent.ref in child.relations.values() or entities[0].ref in child.relations.values()


def test_every_family_has_an_example():
    scheme = {namespace.strip().partition(":")[0] for namespace, _, _ in EXAMPLES}
    lacking = {name for name, family in FAMILIES.items() if family.schemes and not scheme & set(family.schemes)}
    assert lacking == {"inmemory"}, "only what is left out has none"


@pytest.mark.parametrize(
    "namespace", ["s3+x://lake", "ofs+x://om", "file+x", "mlgov+x://p", "inmemory+x://m", "git+ssh://h"]
)
def test_only_schemes_of_databases_have_drivers(namespace):
    (entity,) = name_entities(namespace, "t", OPTIONS).entities
    assert (entity.type_name, entity.attributes["namespace"]) == ("mlgov_dataset", namespace)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("", "t"), ("file", ""), ("file", " "), ("file", "/a\nb"), ("s3://b", "\x00"), ("file", "\ud800")],
)
def test_names_that_cannot_be(namespace, name):
    with pytest.raises(InvalidNameError):
        name_entities(namespace, name, OPTIONS)


@pytest.mark.parametrize(
    ("namespace", "name", "type_name", "qualified_name", "attributes"),
    [
        (
            "hive://m:1",
            "D.T",
            "hive_column",
            "d.t.Id@plat",
            {"name": "Id"},
        ),
        (
            "postgres://h:1",
            "d.s.t",
            "rdbms_column",
            "h:1/d.s.t.Id@plat",
            {"name": "Id", "data_type": "INT", "comment": "key"},
        ),
        (
            "sqlite:///a.db",
            "t",
            "rdbms_column",
            "sqlite:///a.db/main.t.Id@air",
            {"name": "Id", "data_type": "INT", "comment": "key"},
        ),
        (
            "s3://b",
            "a",
            "mlgov_field",
            "s3a://b/a/#Id@plat",
            {"name": "Id", "dataType": "INT", "comment": "key", "position": 2},
        ),
        (
            "oracle://h:1",
            "d.s.t",
            "rdbms_column",
            "h:1/D.S.T.Id@plat",
            {"name": "Id", "data_type": "INT", "comment": "key"},
        ),
        (
            "bigquery",
            "t",
            "mlgov_column",
            "bigquery/t/columns/Id@cat",
            {"name": "Id", "dataType": "INT", "comment": "key", "position": 2},
        ),
    ],
)
def test_columns(namespace, name, type_name, qualified_name, attributes):
    named = name_entities(namespace, name, OPTIONS)
    entities = named.entities
    column = named.family.column(entities[-1], Field("Id", "INT", "key", 2, told=5))
    assert {time for time, _ in column.described.values()} <= {5}
    told = {**column.attributes, **{name: value for name, (_, value) in column.described.items()}}
    assert (column.type_name, column.qualified_name, told) == (type_name, qualified_name, attributes)
    (parent,) = column.relations.values()
    assert Ref(parent.type_name, parent.qualified_name) == entities[-1].ref


# Names from anywhere: each gives entities or `InvalidNameError`, and two different names of one family never fall together.

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
NAMESPACE = st.one_of(st.sampled_from([example[0] for example in EXAMPLES]), TEXT, TEXT.map("postgres://{}".format))


@given(NAMESPACE, TEXT)
def test_any_name_is_named_or_refused(namespace, name):
    try:
        named = name_entities(namespace, name, OPTIONS)
    except InvalidNameError:
        return
    entities = named.entities
    if named.left_out:
        assert not entities
        return
    assert entities[-1].attributes["name"]
    assert all(entity.qualified_name.rpartition("@")[2] in ("air", "cat", "plat") for entity in entities)


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_the_fallback_keeps_names_apart(left, right):
    left, right = (tuple(part.strip() for part in names) for names in (left, right))
    if left == right or not all((*left, *right)):
        return
    names = [
        name_entities(f"other-{namespace}", name, OPTIONS).entities[-1].qualified_name
        for namespace, name in (left, right)
    ]
    assert names[0] != names[1]
    for qualified, (namespace, name) in zip(names, (left, right), strict=True):
        parsed = identity.Dataset.parse(qualified)
        assert (parsed.dataset_namespace, parsed.dataset) == (f"other-{namespace}", name)
