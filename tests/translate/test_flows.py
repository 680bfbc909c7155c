"""Exactness: a process never says more than the event does. Which input feeds which output, for datasets and columns."""

from __future__ import annotations

import json
import time

import pytest

from translate_events import by_type, edges, names, table, task_event, translated

A, B, C = (f"db:5432/shop.public.{name}" for name in "abc")


def source(name, field=None, **more):
    found = {"namespace": "postgres://db:5432", "name": f"shop.public.{name}", **more}
    return {**found, "field": field} if field else found


def target(name, fields=None, dataset=None, **facets):
    lineage = {"fields": {column: {"inputFields": items} for column, items in (fields or {}).items()}}
    if dataset:
        lineage["dataset"] = dataset
    return {**table(name), "facets": {"columnLineage": lineage, **facets}}


def columns(translation):
    return {
        names(entity.relations["outputs"])[0].rpartition(".")[2]: [
            name.split("public.")[1] for name in names(entity.relations["inputs"])
        ]
        for entity in by_type(translation, "mlgov_column_lineage")
    }


def step(kind="DIRECT", subtype="IDENTITY", **more):
    return {"type": kind, "subtype": subtype, **more}


def test_outputs_with_known_sources_are_kept_apart():
    out = [target("x", {"i": [source("a", "i")]}), target("y", {"i": [source("b", "i")]})]
    found = translated(task_event(inputs=[table("a"), table("b"), table("c")], outputs=out))
    assert sorted(edges(found)) == [
        ("mlgov_task_process", [A], ["db:5432/shop.public.x"]),
        ("mlgov_task_process", [B], ["db:5432/shop.public.y"]),
        ("mlgov_task_process", [C], []),
    ]


def test_an_output_that_nothing_is_said_of_takes_all():
    out = [target("x", {"i": [source("a", "i")]}), table("y")]
    found = translated(task_event(inputs=[table("a"), table("b")], outputs=out))
    assert sorted(edges(found)) == [
        ("mlgov_task_process", [A], ["db:5432/shop.public.x"]),
        ("mlgov_task_process", [A, B], ["db:5432/shop.public.y"]),
    ]


def test_outputs_of_the_same_sources_share_a_process():
    out = [target(name, {"i": [source("a", "i")]}) for name in "xy"]
    (edge,) = edges(translated(task_event(inputs=[table("a")], outputs=out)))
    assert edge[1:] == ([A], ["db:5432/shop.public.x", "db:5432/shop.public.y"])


def test_the_columns_of_one_output_leave_out_what_only_filters():
    out = [target("x", {"i": [source("a", "i")]})]
    (edge,) = edges(translated(task_event(inputs=[table("a"), table("b")], outputs=out)))
    assert edge[1] == [A, B]


def test_dependencies_of_the_whole_dataset_feed_it_but_no_column():
    out = [
        target(
            "x",
            {
                "i": [
                    source("a", "i", transformations=[step(), step("INDIRECT", "JOIN")]),
                    source("a", "j", transformations=[step("INDIRECT", "FILTER")]),
                ]
            },
            [source("b", "k")],
        ),
        target("y", {"i": [source("c", "i")]}),
    ]
    found = translated(task_event(inputs=[table("a"), table("b"), table("c")], outputs=out))
    assert ("mlgov_task_process", [A, B], ["db:5432/shop.public.x"]) in edges(found)
    assert [names(item.relations["inputs"]) for item in by_type(found, "mlgov_column_lineage")] == [
        [f"{A}.i"],
        [f"{C}.i"],
    ]


def test_the_lineage_facet_of_the_job_supersedes_all():
    entries = [
        {
            "type": "DATASET",
            **source("x"),
            "inputs": [{"type": "DATASET", **source("b")}, {"type": "JOB", "namespace": "n", "name": "j"}],
            "fields": {"i": {"inputs": [{"type": "DATASET", **source("b", "k", transformations=[step()])}]}},
        },
        {"type": "JOB", "namespace": "n", "name": "other", "inputs": []},
        "odd",
    ]
    event = task_event(
        inputs=[table("a"), table("b")],
        outputs=[target("x", {"i": [source("a", "i")]})],
        job={"lineage": {"entries": entries}},
    )
    found = translated(event)
    assert sorted(edges(found)) == [
        ("mlgov_task_process", [A], []),
        ("mlgov_task_process", [B], ["db:5432/shop.public.x"]),
    ]
    assert columns(found) == {"i": ["b.k"]}


def test_the_lineage_facet_of_an_output_supersedes_its_column_lineage():
    own = {
        "inputs": [{"type": "DATASET", **source("b")}],
        "fields": {"i": {"inputs": [{"type": "DATASET", **source("b", "k")}]}},
    }
    found = translated(
        task_event(inputs=[table("a"), table("b")], outputs=[target("x", {"i": [source("a", "i")]}, lineage=own)])
    )
    assert columns(found) == {"i": ["b.k"]}


X, Y = (f"db:5432/shop.public.{name}" for name in "xy")


def entry(name, *inputs, **fields):
    made = {"type": "DATASET", **source(name), "inputs": [{"type": "DATASET", **source(item)} for item in inputs]}
    return made | ({"fields": {column: {"inputs": items} for column, items in fields.items()}} if fields else {})


def of_job(*entries):
    return {"lineage": {"entries": list(entries)}}


def test_an_output_that_only_the_lineage_of_the_job_names_is_made():
    found = translated(task_event(inputs=[table("a")], job=of_job(entry("x", "a"))))
    assert edges(found) == [("mlgov_task_process", [A], [X])]


def test_an_output_that_was_dropped_is_none_whatever_the_lineage_says():
    gone = {**table("x"), "facets": {"lifecycleStateChange": {"lifecycleStateChange": "DROP"}}}
    found = translated(task_event(inputs=[table("a")], outputs=[gone], job=of_job(entry("x", "a"))))
    assert edges(found) == [("mlgov_task_process", [A], [])]


def test_the_lineage_of_the_job_speaks_for_outputs_that_it_does_not_name():
    out = [table("x"), table("y")]
    found = translated(task_event(inputs=[table("a"), table("b")], outputs=out, job=of_job(entry("x", "a"))))
    assert sorted(edges(found)) == [
        ("mlgov_task_process", [], [Y]),
        ("mlgov_task_process", [A], [X]),
        ("mlgov_task_process", [B], []),
    ]


@pytest.mark.parametrize(
    "facets",
    [
        {"lineage": {"inputs": [{"type": "DATASET", **source("a")}]}},
        {"columnLineage": {"fields": {"i": {"inputFields": [source("a", "i")]}}, "dataset": [source("a")]}},
    ],
)
def test_a_facet_that_names_all_sources_counts_for_an_only_output_too(facets):
    out = [{**table("x"), "facets": facets}]
    found = translated(task_event(inputs=[table("a"), table("b")], outputs=out))
    assert sorted(edges(found)) == [("mlgov_task_process", [A], [X]), ("mlgov_task_process", [B], [])]


def partition(day, facets):
    return {"namespace": "s3://lake", "name": f"x/dt={day}", "facets": facets}


def made_of(*sources):
    return {"columnLineage": {"fields": {"i": {"inputFields": [source(name, "i") for name in sources]}}}}


@pytest.mark.parametrize(
    ("facets", "inputs"),
    [(made_of("b"), [A, B]), ({}, [A, B, C])],
)
def test_what_partitions_are_made_of_their_table_is_made_of(facets, inputs):
    out = [partition(1, made_of("a")), partition(2, facets), target("y", {"i": [source("c", "i")]})]
    found = translated(task_event(inputs=[table(name) for name in "abc"], outputs=out))
    assert [edge[1] for edge in edges(found) if edge[2] == ["s3a://lake/x/"]] == [inputs]


def test_a_second_name_that_says_nothing_takes_nothing_away():
    link = {"symlinks": {"identifiers": [{"namespace": "hive://m", "name": "d.x", "type": "TABLE"}]}}
    by_path = {"namespace": "s3://lake", "name": "x", "facets": link}
    by_name = {"namespace": "hive://m", "name": "d.x", "facets": made_of("a")}
    found = translated(
        task_event(inputs=[table("a"), table("b")], outputs=[by_path, by_name, target("y", {"i": [source("b", "i")]})])
    )
    assert [edge[1] for edge in edges(found) if edge[2] == ["d.x"]] == [[A]]


def test_several_entries_of_one_output_count_together():
    found = translated(task_event(inputs=[table("a"), table("b")], job=of_job(entry("x", "a"), entry("x", "b"))))
    assert edges(found) == [("mlgov_task_process", [A, B], [X])]


@pytest.mark.parametrize(
    "named",
    [entry("x"), {"type": "DATASET", "namespace": "mlgov://shop", "name": "models/m", "inputs": [source("a")]}],
)
def test_what_an_entry_only_names_is_no_output(named):
    found = translated(task_event(inputs=[table("a")], job=of_job(named)))
    assert edges(found) == [("mlgov_task_process", [A], [])]


def test_columns_of_no_columns_do_not_say_what_was_read():
    """A count is made of no column, and reads its table all the same."""
    out = [target("x", {"i": [source("a", "i")]}), target("y", {"k": []})]
    found = translated(task_event(inputs=[table("a"), table("b")], outputs=out))
    assert sorted(edges(found)) == [("mlgov_task_process", [A], [X]), ("mlgov_task_process", [A, B], [Y])]


def in_memory(name, field=None):
    return {"namespace": "inmemory://", "name": name} | ({"field": field} if field else {})


def test_what_passes_through_memory_is_followed():
    filtered = {**source("b", "j"), "transformations": [step("INDIRECT", "FILTER")]}
    passing = {
        **in_memory("tmp"),
        "facets": {"columnLineage": {"fields": {"i": {"inputFields": [source("a", "i"), filtered]}}}},
    }
    masked = {**in_memory("tmp", "i"), "transformations": [step(subtype="TRANSFORMATION", masking=True)]}
    out = [passing, target("x", {"i": [masked]}), target("y", {"i": [source("c", "i")]})]
    found = translated(task_event(inputs=[table("a"), table("b"), table("c")], outputs=out))
    assert sorted(edges(found)) == [("mlgov_task_process", [A, B], [X]), ("mlgov_task_process", [C], [Y])]
    made = {
        tuple(names(entity.relations["inputs"])): entity.latest["masking"]
        for entity in by_type(found, "mlgov_column_lineage")
    }
    assert made == {(f"{A}.i",): True, (f"{C}.i",): False}


@pytest.mark.parametrize(
    "passing", [[], [{**in_memory("tmp"), "facets": {"columnLineage": {"dataset": [in_memory("tmp")]}}}]]
)
def test_what_comes_from_memory_that_nothing_is_said_of_takes_all(passing):
    out = [*passing, target("x", {"i": [in_memory("tmp", "i")]}), target("y", {"i": [source("b", "i")]})]
    found = translated(task_event(inputs=[table("a"), table("b")], outputs=out))
    assert sorted(edges(found)) == [("mlgov_task_process", [A, B], [X]), ("mlgov_task_process", [B], [Y])]


def test_what_passes_through_memory_many_times_takes_no_time():
    """Each of ten steps names the next one ten times: ten thousand million ways."""

    def step_to(number):
        fields = {
            f"c{i}": {"inputFields": [in_memory(f"t{number + 1}", f"c{j}") for j in range(10)]} for i in range(10)
        }
        return {**in_memory(f"t{number}"), "facets": {"columnLineage": {"fields": fields}}}

    out = [*(step_to(number) for number in range(12)), target("x", {"i": [in_memory("t0", "c0")]}), table("y")]
    began = time.thread_time()
    found = translated(task_event(inputs=[table("a")], outputs=out))
    assert time.thread_time() - began < 2
    assert edges(found) == [("mlgov_task_process", [A], [X, Y])]


@pytest.mark.parametrize("facet", ["columnLineage", "lineage"])
def test_lineage_that_was_cut_is_not_guessed(facet):
    cut = {**table("x"), "facets": {facet: {"mlgovCut": "1000 characters cut: the event was too large"}}}
    found = translated(
        task_event(inputs=[table("a"), table("b")], outputs=[cut, target("y", {"i": [source("b", "i")]})])
    )
    assert sorted(edges(found)) == [
        ("mlgov_task_process", [], [X]),
        ("mlgov_task_process", [A], []),
        ("mlgov_task_process", [B], [Y]),
    ]
    assert found.warnings == (f"left out: outputs[0].facets.{facet}: 1000 characters cut: the event was too large",)


def test_what_a_column_is_made_of_is_told():
    steps = [step(subtype="TRANSFORMATION", description="sha2(mail)", masking=True)]
    found = translated(
        task_event(inputs=[table("a")], outputs=[target("x", {"h": [source("a", "mail", transformations=steps)]})])
    )
    (entity,) = by_type(found, "mlgov_column_lineage")
    latest = entity.latest
    assert (latest["dependencyType"], latest["masking"], latest["expression"]) == ("TRANSFORMATION", True, "sha2(mail)")
    assert json.loads(latest["transformations"])[0]["transformations"] == steps
    assert latest["parentProcess"] == by_type(found, "mlgov_task_process")[0].qualified_name


@pytest.mark.parametrize("kind", ["IDENTITY", "MASKED"])
def test_the_older_form_of_the_facet(kind):
    output = table("x")
    fields = {
        "h": {"inputFields": [source("a", "m")], "transformationType": kind, "transformationDescription": "as is"}
    }
    output["facets"] = {"columnLineage": {"fields": fields}}
    (entity,) = by_type(translated(task_event(inputs=[table("a")], outputs=[output])), "mlgov_column_lineage")
    assert (entity.latest["dependencyType"], entity.latest["masking"]) == (kind, kind == "MASKED")
    assert entity.latest["expression"] == "as is"


def test_a_column_that_is_only_made_of_itself_says_nothing():
    found = translated(
        task_event(inputs=[table("x")], outputs=[target("x", {"i": [source("x", "i")], "j": [source("x", "i")]})])
    )
    assert columns(found) == {"j": ["x.i"]}


def test_files_have_columns_too():
    output = {
        "namespace": "s3://lake",
        "name": "t",
        "facets": {
            "columnLineage": {"fields": {"c": {"inputFields": [{"namespace": "file", "name": "/a.csv", "field": "b"}]}}}
        },
    }
    found = translated(task_event(inputs=[{"namespace": "file", "name": "/a.csv"}], outputs=[output]))
    assert [names(item.relations["outputs"]) for item in by_type(found, "mlgov_column_lineage")] == [
        ["s3a://lake/t/#c"]
    ]
    assert {item.qualified_name for item in by_type(found, "mlgov_field")} == {
        "s3a://lake/t/#c@plat",
        "file:///a.csv#b@air",
    }


def test_a_source_that_is_no_input_is_made_all_the_same():
    found = translated(task_event(inputs=[], outputs=[target("x", {"i": [source("a", "i")]})]))
    refs = {entity.ref for entity in found.entities}
    for entity in found.entities:
        for value in entity.relations.values():
            for ref in value if isinstance(value, tuple) else (value,):
                assert type(ref)(ref.type_name, ref.qualified_name) in refs
    assert columns(found) == {"i": ["a.i"]}


def test_a_failed_run_has_no_lineage_of_columns():
    found = translated(task_event("FAIL", inputs=[table("a")], outputs=[target("x", {"i": [source("a", "i")]})]))
    assert not by_type(found, "mlgov_column_lineage")
    assert not edges(found)


def test_columns_follow_the_table_that_a_symlink_names():
    symlinks = {"identifiers": [{"namespace": "hive://m", "name": "d.t", "type": "TABLE"}]}
    path = {"namespace": "s3://lake", "name": "d/t"}
    out = target("x", {"i": [{**path, "field": "Id"}]})
    found = translated(task_event(inputs=[{**path, "facets": {"symlinks": symlinks}}], outputs=[out]))
    (entity,) = by_type(found, "mlgov_column_lineage")
    assert names(entity.relations["inputs"]) == ["d.t.id"]
