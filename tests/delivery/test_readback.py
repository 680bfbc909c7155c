import json

import pytest

from airflow_provider_mlgov.delivery.readback import never_shrink
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.model.identity import token


def io(inputs, outputs, *processes, **facts):
    names = sorted({*inputs, *outputs})
    place = {name: index for index, name in enumerate(names)}
    return json.dumps(
        {
            "v": 1,
            "datasets": [{"typeName": "t", "qualifiedName": name, "name": name, **facts} for name in names],
            "inputs": [place[name] for name in inputs],
            "outputs": [place[name] for name in outputs],
            "processes": [
                {
                    "typeName": "p",
                    "qualifiedName": name,
                    "inputs": [place[e] for e in ins],
                    "outputs": [place[e] for e in outs],
                }
                for name, ins, outs in processes
            ],
        }
    )


def run(text, *processes):
    latest = {"io": text, "processKey": " ".join(map(token, processes))}
    return Entity("mlgov_task_run", "r", {"name": "r"}, latest=latest, as_of=1)


def ends(text):
    document = json.loads(text)
    names = [item["qualifiedName"] for item in document["datasets"]]
    return [{names[index] for index in document[role]} for role in ("inputs", "outputs")], document


STORED = {"io": io("ab", "c", ("p1", "ab", "c"), rowCount=5), "processKey": token("p1")}


def shrink(told, *processes, stored=STORED):
    made = [Entity("p", name) for name in processes]
    kept = never_shrink(
        [*made, Entity("mlgov_task_run", "r", {"name": "r"})], told, frozenset(each.ref for each in made), stored
    )
    return {each.ref: each for each in kept}


def test_both_are_united():
    kept = shrink(run(io("d", "c", ("p2", "d", "c")), "p2"), "p2")
    attributes = kept[Ref("mlgov_task_run", "r")].attributes
    (inputs, outputs), document = ends(attributes["io"])
    assert (inputs, outputs) == ({"a", "b", "d"}, {"c"})
    assert [item["qualifiedName"] for item in document["processes"]] == ["p1", "p2"]
    assert all(item["rowCount"] == 5 for item in document["datasets"] if item["qualifiedName"] != "d")
    assert attributes["processKey"] == f"{token('p1')} {token('p2')}"
    assert Ref("p", "p2") in kept


def test_a_process_that_the_stored_one_says_already_is_not_written():
    kept = shrink(run(io("a", "c", ("p2", "a", "c")), "p2"), "p2")
    attributes = kept[Ref("mlgov_task_run", "r")].attributes
    assert Ref("p", "p2") not in kept
    assert attributes["processKey"] == token("p1")
    assert [item["qualifiedName"] for item in json.loads(attributes["io"])["processes"]] == ["p1"]


def test_an_event_that_tells_nothing_erases_nothing():
    for told in (run(io("", "")), Entity("mlgov_task_run", "r", {}, latest={"state": "failed"}, as_of=2)):
        attributes = shrink(told)[Ref("mlgov_task_run", "r")].attributes
        assert ends(attributes["io"])[0] == [{"a", "b"}, {"c"}]
        assert attributes["processKey"] == token("p1")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"v": 2}', '{"v": 1}', '{"v": 1, "datasets": [1], "processes": []}']
)
def test_a_stored_text_of_another_form_is_left_alone(text):
    kept = shrink(run(io("a", "c", ("p2", "a", "c")), "p2"), "p2", stored={"io": text})
    assert kept[Ref("mlgov_task_run", "r")].attributes == {"name": "r"}
    assert Ref("p", "p2") in kept


def test_a_process_that_was_renamed_since_is_known_by_its_key():
    told = run(io("a", "c", ("p2", "a", "c")), "p2 now")
    kept = shrink(told, "p2 now", stored={**STORED, "processKey": token("p1 now")})
    assert Ref("p", "p2 now") not in kept
    assert kept[Ref("mlgov_task_run", "r")].attributes["processKey"] == token("p1 now")
