"""The OpenLineage endpoint: who is let in, what is kept, and what is said about the rest."""

from __future__ import annotations

import gzip
import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.web import LOOPBACK
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import ConfigurationError, InvalidInputError, SpoolError
from airflow_provider_mlgov.lineage import receiver
from airflow_provider_mlgov.lineage.receiver import PATH, create_app
from airflow_provider_mlgov.lineage.tokens import Token, Tokens
from airflow_provider_mlgov.translate.events import run_key
from airflow_provider_mlgov.translate.reading import read_event
from asgi import Client

EVENT: dict[str, Any] = {
    "eventTime": "2026-01-31T12:00:00Z",
    "eventType": "COMPLETE",
    "run": {"runId": "r1"},
    "job": {"namespace": "spark", "name": "j"},
    "inputs": [{"namespace": "file", "name": "/a"}],
    "outputs": [{"namespace": "file", "name": "/b"}],
}


def event(**more: Any) -> dict[str, Any]:
    return json.loads(json.dumps({**EVENT, **more}))


class Endpoint:
    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "spool")
        self.tokens = Tokens(folder / "tokens.json")
        self.token = self.tokens.prepare()
        self.woken = 0
        self.client = Client(create_app(self.tokens, Outbox(self.spool), self._kept, hosts=LOOPBACK))

    def _kept(self) -> None:
        self.woken += 1

    def post(
        self, body: Any = None, token: Token | None = None, path: str = PATH, raw: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        token = token or self.token
        assert token is not None
        sent = {"authorization": f"Bearer {token.token}", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        status, _, text = self.client("POST", path, body, raw=raw, headers=sent)
        return status, json.loads(text) if text else None

    def kept(self) -> list[dict[str, Any]]:
        return [found for path in self.spool.waiting() if (found := self.spool.read(path)) is not None]


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path)


def test_an_event_is_on_disk_when_it_is_answered(endpoint: Endpoint) -> None:
    assert endpoint.post(EVENT) == (201, {"status": "success"})
    (kept,) = endpoint.kept()
    assert kept["run"]["runId"] == "r1"
    assert endpoint.woken == 1


def test_nobody_gets_in_without_a_token(endpoint: Endpoint) -> None:
    for header in ("", "Bearer", "Bearer wrong", f"Basic {endpoint.token and endpoint.token.token}", "Bearer \xff"):
        status, answer = endpoint.post(EVENT, authorization=header)
        assert status == 401, header
        assert "wanted Authorization" in answer["error"]
    assert not endpoint.kept()


@pytest.mark.parametrize("path", [PATH, f"{PATH}/", f"{PATH}/batch"])
def test_both_paths_ask_for_a_token(endpoint: Endpoint, path: str) -> None:
    assert endpoint.post([EVENT], path=path, authorization="Bearer x")[0] == 401


def test_foreign_hosts_and_types(endpoint: Endpoint) -> None:
    assert endpoint.post(EVENT, host="evil.example.org")[0] == 421
    assert endpoint.post(EVENT, content_type="text/plain")[0] == 415
    assert endpoint.post(EVENT, content_encoding="br")[0] == 415
    assert endpoint.post(EVENT, host="localhost:5000", content_type="application/json; charset=utf-8")[0] == 201


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"\xff", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"7", 422, "the event is 7"),
        (b"{}", 422, "eventTime is missing"),
        (json.dumps(event(job=7)).encode(), 422, "job is 7"),
        (json.dumps({**EVENT, "run": {"runId": ""}}).encode(), 422, "run.runId"),
    ],
)
def test_what_is_no_event(endpoint: Endpoint, raw: bytes, status: int, said: str) -> None:
    answer = endpoint.post(raw=raw)
    assert answer[0] == status
    assert said in answer[1]["error"]
    assert not endpoint.kept()


def test_sizes_and_depths(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = {}
    for _ in range(80):
        deep = {"a": deep}
    assert "nested" in endpoint.post(event(deep=deep))[1]["error"]
    monkeypatch.setattr(receiver, "BODY_LIMIT", 1_000)
    assert endpoint.post(event(more="x" * 2_000))[0] == 413
    bomb = gzip.compress(b" " * 10_000_000)
    monkeypatch.setattr(receiver, "BODY_LIMIT", len(bomb) + 1)
    assert endpoint.post(raw=bomb, content_encoding="gzip")[0] == 413
    assert not endpoint.kept()


def test_a_small_body_that_is_large_in_memory_is_refused_before_it_is_read(endpoint: Endpoint) -> None:
    many = json.dumps(event(inputs=[]))[:-1].replace('"inputs": []', '"inputs": [' + "{}," * 1_100_000 + "{}]") + "}"
    packed = gzip.compress(many.encode())
    assert len(packed) < 20_000
    status, answer = endpoint.post(raw=packed, content_encoding="gzip")
    assert (status, "objects and lists" in answer["error"]) == (413, True)
    status, answer = endpoint.post(event(inputs=[{}] * 20_001))
    assert (status, "20001 datasets" in answer["error"]) == (422, True)
    assert not endpoint.kept()


def test_gzip(endpoint: Endpoint) -> None:
    packed = gzip.compress(json.dumps(EVENT).encode())
    assert endpoint.post(raw=packed, content_encoding="gzip")[0] == 201
    assert endpoint.post(raw=packed[:-9], content_encoding="gzip")[0] == 400
    assert endpoint.post(raw=b"no gzip", content_encoding="gzip")[0] == 400
    assert endpoint.post(raw=packed + packed, content_encoding="gzip")[0] == 400


def test_a_batch_keeps_what_is_right(endpoint: Endpoint) -> None:
    foreign = event(run={"runId": "r2", "facets": {"mlgov_airflow": {"dagId": "d"}}})
    status, answer = endpoint.post([EVENT, {}, foreign, event(run={"runId": "r3"})], path=f"{PATH}/batch")
    assert (status, answer["status"]) == (200, "partial_success")
    assert answer["summary"] == {"received": 4, "successful": 2, "failed": 2, "retriable": 0, "non_retriable": 2}
    assert [item["index"] for item in answer["failed_events"]] == [1, 2]
    assert len(endpoint.kept()) == 2
    assert endpoint.post([EVENT], path=PATH)[1]["status"] == "success"
    assert endpoint.post(EVENT, path=f"{PATH}/batch")[0] == 400
    assert endpoint.post([EVENT] * 1_001, path=f"{PATH}/batch")[0] == 413


def test_a_token_speaks_only_for_its_jobs(endpoint: Endpoint) -> None:
    token = endpoint.tokens.add("spark", ["spark*", "flink"])
    assert endpoint.post(EVENT, token)[0] == 201
    status, answer = endpoint.post(event(job={"namespace": "dbt", "name": "j"}), token)
    assert status == 403
    assert "'dbt'" in answer["error"]
    dataset = {"eventTime": EVENT["eventTime"], "dataset": {"namespace": "file", "name": "/a"}}
    assert endpoint.post(dataset, token)[0] == 403
    assert endpoint.post(dataset)[0] == 201


def test_a_token_speaks_for_the_namespace_that_is_kept(endpoint: Endpoint) -> None:
    token = endpoint.tokens.add("dev", ["*-dev"])
    assert endpoint.post(event(job={"namespace": "prod?token=-dev", "name": "j"}), token)[0] == 403


AIRFLOW = [
    {"mlgov_airflow": {"dagId": "d"}},
    {"airflow": {"dag": {"dag_id": "d"}}},
    {"airflowDagRun": {"dag": {"a": 1}}},
]
OURS = [
    {"outputs": [{"namespace": "mlgov://shop", "name": "models/m"}]},
    {"outputs": [{"namespace": " MLGOV://shop", "name": "models/m"}]},
    {"inputs": [{"namespace": "file", "name": "/a", "facets": {"mlgov_ml": {"registered": True}}}]},
    {"inputs": [{"namespace": "file", "name": "/a", "inputFacets": {"mlgov_io": {"split": "test"}}}]},
    {"job": {"namespace": "n", "name": "j", "facets": {"mlgov_x": {"a": 1}}}},
    {
        "inputs": [
            {
                "namespace": "file",
                "name": "/a",
                "facets": {
                    "symlinks": {"identifiers": [{"namespace": "mlgov://shop", "name": "models/m", "type": "TABLE"}]}
                },
            }
        ]
    },
]


@pytest.mark.parametrize("facets", AIRFLOW, ids=lambda facets: next(iter(facets)))
def test_only_some_tokens_speak_for_airflow(endpoint: Endpoint, facets: dict[str, Any]) -> None:
    told = event(run={"runId": "r", "facets": facets})
    assert endpoint.post(told)[0] == 403
    assert endpoint.post(told, endpoint.tokens.add("airflow", airflow=True))[0] == 201


@pytest.mark.parametrize("more", OURS, ids=lambda more: next(iter(more)))
def test_only_some_tokens_send_facets_of_ours(endpoint: Endpoint, more: dict[str, Any]) -> None:
    status, answer = endpoint.post(event(**more))
    assert status == 403
    assert "--own-facets" in answer["error"]
    assert endpoint.post(event(**more), endpoint.tokens.add("ours", own_facets=True))[0] == 201


def test_who_speaks_for_airflow_does_not_speak_of_our_models(endpoint: Endpoint) -> None:
    facets = {"mlgov_airflow": {"dagId": "d"}, "mlgov_ml": {"a": 1}}
    status, answer = endpoint.post(
        event(run={"runId": "r", "facets": facets}), endpoint.tokens.add("airflow", airflow=True)
    )
    assert status == 403
    assert "mlgov_ml" in answer["error"]


def test_a_column_may_be_called_as_our_facets_are(endpoint: Endpoint) -> None:
    made_of = {"inputFields": [{"namespace": "file", "name": "/a", "field": "mlgov_score"}]}
    facets = {"columnLineage": {"fields": {"mlgov_score": made_of}}}
    assert endpoint.post(event(outputs=[{"namespace": "file", "name": "/b", "facets": facets}]))[0] == 201


def test_who_knows_a_run_id_does_not_speak_for_the_jobs_of_others(endpoint: Endpoint) -> None:
    assert endpoint.post(EVENT)[0] == 201
    assert (
        endpoint.post(event(eventType="FAIL", job={"namespace": "mine", "name": "x"}), endpoint.tokens.add("b"))[0]
        == 201
    )
    assert len({run_key(read_event(found)) for found in endpoint.kept()}) == 2


def test_who_knows_the_run_id_of_a_task_does_not_speak_for_it(endpoint: Endpoint) -> None:
    assert endpoint.post(EVENT)[0] == 201
    assert endpoint.post(EVENT, endpoint.tokens.add("airflow", airflow=True))[0] == 201
    keys = [run_key(read_event(found)) for found in endpoint.kept()]
    assert len(set(keys)) == 2
    assert "r1" in keys


def test_a_spool_that_cannot_be_written(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_event: object, _also: object) -> Path:
        raise SpoolError("cannot write /secret/place: No space left on device")

    monkeypatch.setattr(endpoint.spool, "append", full)
    with caplog.at_level(logging.ERROR):
        status, answer = endpoint.post(EVENT)
    assert status == 503
    assert "/secret" not in answer["error"]
    assert "No space left" in caplog.text
    assert endpoint.post([EVENT, EVENT], path=f"{PATH}/batch")[0] == 503


def test_a_bug_shows_no_trace(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_event: object, _also: object) -> Path:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(endpoint.spool, "append", broken)
    sent = {"authorization": f"Bearer {endpoint.token and endpoint.token.token}", "content-type": "application/json"}
    answers = endpoint.client("POST", PATH, EVENT, headers=sent)
    assert answers[0] == 500
    assert "secret" not in answers[2]


def test_health_says_nothing(endpoint: Endpoint) -> None:
    assert endpoint.client("GET", "/health")[0] == 200
    assert endpoint.client("GET", PATH)[0] == 405


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool" / "tokens.json"
    tokens = Tokens(path)
    made = tokens.prepare()
    assert made is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert tokens.prepare() is None
    assert tokens.find(f"Bearer {made.token}") == made
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Tokens(path).find(f"Bearer {made.token}")


def test_what_is_added_and_removed_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    running, other = Tokens(path), Tokens(path)
    running.prepare()
    added = other.add("spark", ["spark"], airflow=True)
    assert running.find(f"bearer {added.token}") == added
    with pytest.raises(InvalidInputError, match="already"):
        other.add("spark")
    other.remove("spark")
    assert running.find(f"Bearer {added.token}") is None
    with pytest.raises(InvalidInputError, match="no token"):
        other.remove("spark")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"tokens": [{}]}',
        '{"tokens": [{"name": "a", "token": "short", "jobs": []}]}',
        '{"tokens": [{"name": "a", "token": "long-enough-for-all", "jobs": "spark*", "airflow": true, "ownFacets": true}]}',
    ],
)
def test_a_file_that_is_none_lets_nobody_in(endpoint: Endpoint, text: str) -> None:
    endpoint.tokens.path.write_text(text)
    os.utime(endpoint.tokens.path, (1, 1))
    assert endpoint.post(EVENT)[0] == 503


def test_tokens_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tokens.json"
    names = [f"t{number}" for number in range(8)]
    barrier = threading.Barrier(len(names))

    def add(name: str) -> str:
        tokens = Tokens(path)
        barrier.wait(30)
        return tokens.add(name).token

    with ThreadPoolExecutor(len(names)) as pool:
        made = set(pool.map(add, names))
    assert {token.token for token in Tokens(path).all()} == made
    assert Tokens(path).prepare() is None


@pytest.mark.parametrize("text", ["", " ", "a\nb", "evil\x1b[31m", "a\u2028b", " a"])
def test_a_token_has_a_name_and_patterns_that_can_be_read(tmp_path: Path, text: str) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    with pytest.raises(InvalidInputError, match="the name of a token is"):
        tokens.add(text)
    with pytest.raises(InvalidInputError, match="--job-namespace is"):
        tokens.add("spark", [text])
    assert not tokens.all()


def test_a_file_of_tokens_that_is_no_text_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.touch(0o600)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        Tokens(path).all()
