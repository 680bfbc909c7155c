"""AtlasCatalog against servers that misbehave: each gives one error that says what to do."""

from __future__ import annotations

import gzip
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogRefusedError,
    CatalogUnavailableError,
    ConfigurationError,
    EntityNotFoundError,
)
from fake_atlas import ENTITY, SECRET, FakeServer, Handler, answer, bomb, drip, failure, opened, packed

HTML = "<html><head><title>Sign in</title></head><body>…</body></html>"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (answer("401 Unauthorized", HTML, "text/html"), "check user and password"),
        (
            answer("401 Unauthorized", '{"errorCode": "ATLAS-401-00-001", "errorMessage": "?"}'),
            "check user and password",
        ),
        (answer("403 Forbidden", HTML, "text/html"), "check the rights"),
        (answer("404 Not Found", HTML, "text/html"), "base path"),
        (answer("404 Not Found", "{}"), "base path"),
        (answer("400 Bad Request", '{"msgDesc": "Missing header"}'), "base path"),
        (answer("404 Not Found", '{"errorCode": "NOT_FOUND", "errorMessage": "no such path"}'), "base path"),
        (answer("400 Bad Request", '{"errorCode": "INVALID_SESSION"}'), "base path"),
        (answer("403 Forbidden", '{"errorCode": "NO_RIGHT"}'), "check the rights"),
        (answer("404 Not Found", "[" * 100_000), "base path"),
        (answer("200 OK", "[" * 100_000), "nested too deep"),
        (answer("405 Method Not Allowed", ""), "an empty answer"),
        (answer("200 OK", HTML, "text/html"), "login page"),
        (answer("200 OK", "hello", "text/plain"), "'hello'"),
        (answer("200 OK", "[1]"), "wanted an object"),
        (answer("200 OK", "null"), "wanted an object"),
        (answer("200 OK", '{"foo": 1}'), "an object of 'foo', which is not Atlas's; wanted the entity"),
        (answer("200 OK", '{"entity": {}}'), "wanted the entity"),
        (answer("302 Found", Location="https://user:pw@sso/login?token=t0k"), "https://sso/login; wanted"),
    ],
)
def test_not_usable(serve: Callable[..., FakeServer], handler: Handler, words: str) -> None:
    server = serve(handler)
    error = failure(server)
    assert isinstance(error, CatalogUnavailableError)
    assert words in str(error)
    assert "t0k" not in str(error)
    assert len(server.requests) == 1  # nothing is tried twice, no redirect is followed


@pytest.mark.parametrize(
    ("handler", "retry_after"),
    [
        (answer("500 Server Error", "There was an error processing your request.", "text/plain"), None),
        (answer("500 Server Error", '{"errorCode": "ATLAS-500-00-001", "errorMessage": "x"}'), None),
        (answer("503 Unavailable", HTML, "text/html", Retry_After="7"), 7.0),
        (answer("429 Too Many", "", Retry_After="2.5"), 2.5),
        (answer("429 Too Many", "", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), 0.0),
        (answer("429 Too Many", "", Retry_After="soon"), None),
        (answer("429 Too Many", "", Retry_After="nan"), None),
        (answer("429 Too Many", "", Retry_After="Mon, 01 Jan 2020 00:00:00 +999999999999999999999"), None),
        (answer("408 Timeout", ""), None),
    ],
)
def test_busy(serve: Callable[..., FakeServer], handler: Handler, retry_after: float | None) -> None:
    server = serve(handler)
    error = failure(server)
    assert isinstance(error, CatalogBusyError)
    assert error.retry_after == retry_after
    assert "try again later" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("handler", "unanswered"),
    [
        (answer("408 Timeout", ""), True),
        (answer("502 Bad Gateway", HTML, "text/html"), True),
        (answer("503 Unavailable", HTML, "text/html"), True),
        (answer("504 Gateway Timeout", HTML, "text/html"), True),
        (answer("504 Gateway Timeout", HTML, "text/html", Retry_After="5"), True),
        (answer("503 Unavailable", HTML, "text/html", Retry_After="5"), False),
        (answer("503 Unavailable", '{"errorCode": "ATLAS-503-00-001", "errorMessage": "x"}'), False),
        (answer("500 Server Error", "There was an error processing your request.", "text/plain"), False),
        (answer("429 Too Many", ""), False),
    ],
)
def test_a_gateway_gives_up_while_atlas_works_on(
    serve: Callable[..., FakeServer], handler: Handler, unanswered: bool
) -> None:
    error = failure(serve(handler))
    assert isinstance(error, CatalogBusyError)
    assert error.unanswered == unanswered


def test_retry_after_a_date(serve: Callable[..., FakeServer]) -> None:
    from email.utils import formatdate

    error = failure(serve(answer("503 Unavailable", Retry_After=formatdate(time.time() + 100, usegmt=True))))
    assert isinstance(error, CatalogBusyError)
    assert error.retry_after == pytest.approx(100, abs=5)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("400 Bad Request", "ATLAS-400-00-01A", CatalogRefusedError),
        ("403 Forbidden", "ATLAS-403-00-001", CatalogRefusedError),
        ("404 Not Found", "ATLAS-404-00-007", CatalogRefusedError),
        ("404 Not Found", "ATLAS-404-00-005", EntityNotFoundError),
        ("409 Conflict", "ATLAS-409-00-001", CatalogRefusedError),
    ],
)
def test_refused_by_atlas(
    serve: Callable[..., FakeServer], status: str, code: str, kind: type[CatalogRefusedError]
) -> None:
    error = failure(serve(answer(status, f'{{"errorCode": "{code}", "errorMessage": "it is\\nwrong"}}')))
    assert type(error) is kind
    assert isinstance(error, CatalogRefusedError)
    assert (error.error_code, error.status) == (code, int(status[:3]))
    assert f"{code} it is wrong" in str(error)


def test_too_large_for_a_proxy(serve: Callable[..., FakeServer]) -> None:
    error = failure(serve(answer("413 Too Large", HTML, "text/html")))
    assert isinstance(error, CatalogRefusedError)
    assert (error.error_code, error.status) == ("HTTP-413", 413)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    error = failure(url)
    assert isinstance(error, CatalogUnavailableError)
    assert "Connection refused" in str(error)


def test_unknown_host() -> None:
    assert isinstance(failure("http://no-such-host.invalid"), CatalogUnavailableError)


def test_hanging_server(serve: Callable[..., FakeServer]) -> None:
    started = time.monotonic()
    error = failure(serve(lambda client, _: time.sleep(3)), timeout=(1.0, 0.3))
    assert isinstance(error, CatalogBusyError)
    assert time.monotonic() - started < 2


def _drip_head(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(50):
        client.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("handler", [drip, _drip_head])
def test_dripping_server(serve: Callable[..., FakeServer], handler: Handler) -> None:
    started = time.monotonic()
    error = failure(serve(handler), deadline=0.5)
    assert isinstance(error, CatalogBusyError)
    assert "within 0.5 s" in str(error)
    assert time.monotonic() - started < 2


def test_calls_within_a_budget(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("404 Not Found", '{"errorCode": "ATLAS-404-00-009", "errorMessage": ""}'), drip)
    started = time.monotonic()
    with opened(server) as catalog:
        with catalog.within(0.5):
            assert catalog.get("hive_table", "a") is None
            with pytest.raises(CatalogBusyError, match="no complete answer"):
                catalog.get("hive_table", "a")
            with pytest.raises(CatalogBusyError, match="was not sent"):
                catalog.get("hive_table", "a")
        assert catalog.calls == 2
    assert time.monotonic() - started < 2


def _close(after: str) -> Handler:
    def handler(client: socket.socket, _: str) -> None:
        client.sendall(after.encode())
        client.shutdown(socket.SHUT_RDWR)

    return handler


@pytest.mark.parametrize(
    "handler",
    [
        _close(""),
        _close("HTTP/1.1 200 OK\r\nContent-"),
        _close('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"entity":'),
        _close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        answer("200 OK", '{"entity": {"guid": '),
    ],
)
def test_cut_off_in_the_middle(serve: Callable[..., FakeServer], handler: Handler) -> None:
    server = serve(handler)
    assert isinstance(failure(server), CatalogBusyError)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", ""),
        ("/", ""),
        ("/gateway/cdp/atlas", "/gateway/cdp/atlas"),
        ("/gateway/cdp/atlas/", "/gateway/cdp/atlas"),
        ("/api/atlas", ""),
        ("/api/atlas/v2/", ""),
    ],
)
def test_base_path(serve: Callable[..., FakeServer], given: str, path: str) -> None:
    server = serve(ENTITY)
    with opened(server, given) as catalog:
        assert catalog.identity == server.url + path
        catalog.get("hive_table", "a b/c@d")
    line = server.requests[0].splitlines()[0]
    query = "attr%3AqualifiedName=a%20b%2Fc%40d&ignoreRelationships=true&minExtInfo=true"
    assert line == f"GET {path}/api/atlas/v2/entity/uniqueAttribute/type/hive_table?{query} HTTP/1.1"


def test_login_headers_and_no_cookies(serve: Callable[..., FakeServer]) -> None:
    server = serve(ENTITY)
    with opened(server) as catalog:
        for _ in range(3):
            catalog.get("hive_table", "a")
        assert catalog.calls == 3
        assert SECRET not in repr(catalog)
    assert server.connections == 1
    for request in server.requests:
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in request.splitlines()[1:]}
        assert headers["authorization"] == "Basic dXNlcjpwYXNzLXdvcmQtw5w="  # UTF-8
        assert headers["x-xsrf-header"] == "valid"
        assert "cookie" not in headers


def test_login_from_the_url_and_none_at_all(serve: Callable[..., FakeServer]) -> None:
    server = serve(ENTITY)
    for url in (server.url.replace("//", "//me:s%40cret@"), server.url):
        catalog = AtlasCatalog(url)
        assert catalog.identity == server.url
        catalog.get("hive_table", "a")
        catalog.close()
    assert "Basic bWU6c0BjcmV0" in server.requests[0]
    assert "authorization" not in server.requests[1].lower()


@pytest.mark.parametrize(
    "url", ["", "localhost:21000", "ftp://host", "http://", "http://host:port", "http://u:pw@host:99999999"]
)
def test_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="wanted http") as caught:
        AtlasCatalog(url)
    assert "pw" not in str(caught.value)


def test_each_thread_has_its_own_connection(serve: Callable[..., FakeServer]) -> None:
    server = serve(ENTITY)
    with opened(server) as catalog:
        threads = [threading.Thread(target=catalog.get, args=("hive_table", "a")) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert catalog.calls == 4
    assert server.connections == 4


def test_after_a_fork(serve: Callable[..., FakeServer]) -> None:
    server = serve(ENTITY)
    with opened(server) as catalog:
        catalog.get("hive_table", "a")
        context = multiprocessing.get_context("fork")
        found = context.SimpleQueue()

        def child() -> None:
            catalog.get("hive_table", "a")
            found.put(catalog.calls)

        process = context.Process(target=child)
        process.start()
        process.join(10)
        assert (process.exitcode, found.get()) == (0, 1)
        catalog.get("hive_table", "a")
        assert catalog.calls == 2
        found.close()
    assert server.connections == 2  # the child opened its own; ours goes on


def test_a_first_write_that_is_forbidden(serve: Callable[..., FakeServer]) -> None:
    forbidden = answer("403 Forbidden", '{"errorCode": "ATLAS-403-00-001", "errorMessage": "no"}')
    for allowed, kind in (("false", CatalogUnavailableError), ("true", CatalogRefusedError)):
        server = serve(forbidden, answer("200 OK", f'{{"atlas.entity.create.allowed": {allowed}}}'))
        with opened(server) as catalog, pytest.raises(kind, match="403"):
            catalog.write([{"typeName": "t"}])
    server = serve(answer("200 OK", '{"guidAssignments": {}}'), forbidden)
    with opened(server) as catalog:
        catalog.write([])
        with pytest.raises(CatalogRefusedError, match="ATLAS-403-00-001"):
            catalog.write([{"typeName": "t"}])
    assert len(server.requests) == 2


def test_no_json_is_not_sent(serve: Callable[..., FakeServer]) -> None:
    server = serve(ENTITY)
    with opened(server) as catalog, pytest.raises(CatalogRefusedError, match="not sent"):
        catalog.write([{"typeName": "t", "attributes": {"ratio": float("nan")}}])
    assert server.requests == []


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_an_answer_without_an_end_is_not_read_to_it(serve: Callable[..., FakeServer], status: str) -> None:
    error = failure(serve(packed(status, bomb(200))))
    assert isinstance(error, CatalogUnavailableError)
    assert "more than 64 MB" in str(error)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip"])
def test_an_answer_packed_as_nobody_asked_is_not_unpacked(serve: Callable[..., FakeServer], coding: str) -> None:
    error = failure(serve(packed("200 OK", gzip.compress(b"{}"), coding)))
    assert isinstance(error, CatalogUnavailableError)
    assert coding in str(error)


def test_a_packed_answer(serve: Callable[..., FakeServer]) -> None:
    server = serve(packed("200 OK", gzip.compress(b'{"entity": {"guid": "1", "typeName": "t", "attributes": {}}}')))
    with opened(server) as catalog:
        for _ in range(2):
            assert (catalog.get("t", "n") or {})["guid"] == "1"
    assert server.connections == 1
    assert "\naccept-encoding: gzip, deflate\r" in server.requests[0].lower()


JSON_OF_OTHERS = ["null", "[]", '"ok"', '{"status": "maintenance"}', '{"code": 401, "message": "Unauthorized"}']


@pytest.mark.parametrize(
    ("call", "bodies"),
    [
        (lambda c: c.type_definitions(), ["{}", '{"entityDefs": 1}', '{"entityDefs": [{}]}']),
        (lambda c: c.create_types({}), ["{}"]),
        (
            lambda c: c.write([{"typeName": "t", "guid": "-1"}, {"typeName": "t", "guid": "-2"}]),
            [
                "{}",
                '{"guidAssignments": null}',
                '{"guidAssignments": {"-1": "g"}}',
                '{"guidAssignments": {"-1": "g", "-2": 5}}',
                '{"mutatedEntities": {"CREATE": [{"guid": "g"}]}}',
                '{"mutatedEntities": {"CREATE": [{}]}, "guidAssignments": {"-1": "g", "-2": "h"}}',
                '{"mutatedEntities": [], "guidAssignments": [{"-1": "g", "-2": "h"}]}',
            ],
        ),
        (lambda c: c.update("t", "n", {}), ['{"mutatedEntities": 1}']),
        (lambda c: c.delete("t", "n"), ['{"mutatedEntities": {"DELETE": [1]}}']),
        (lambda c: c.relate("t", {}, {}), ["{}"]),
        (
            lambda c: c.get_many("t", ["n"]),
            [
                '{"entities": "x"}',
                '{"entities": [1]}',
                '{"entities": [{}]}',
                '{"entities": [{"guid": "g", "typeName": "t", "attributes": {}}]}',
            ],
        ),
        (lambda c: c.type_definition("t"), ["{}", '{"name": "t"}']),
        (lambda c: c.search("t"), ["{}", '{"entities": []}', '{"queryType": "BASIC", "entities": [{"guid": "g"}]}']),
        (lambda c: c.lineage("t", "n"), ["{}", '{"baseEntityGuid": "g", "relations": [1]}']),
        (lambda c: c.classifications("g"), ["{}", '{"list": 1}', '{"list": [{}]}']),
        (lambda c: c.classify("g", [{"typeName": "PII"}]), ['{"list": []}']),
        (lambda c: c.declassify("g", "PII"), []),
        (lambda c: c.add_labels("g", ["a"]), []),
        (lambda c: c.set_business_metadata("g", {}), []),
        (lambda c: c.delete_relationship("g"), []),
    ],
    ids=[
        *("types", "new types", "write", "update", "delete", "relate", "look-up", "type", "search", "lineage"),
        *("classifications", "classify", "declassify", "label", "business metadata", "edge"),
    ],
)
def test_a_success_that_is_not_atlas_s(
    serve: Callable[..., FakeServer], call: Callable[[AtlasCatalog], object], bodies: list[str]
) -> None:
    """What stands before Atlas may answer in JSON and with 200: nothing was done by that."""
    for body in [*JSON_OF_OTHERS, *bodies]:
        with opened(serve(answer("200 OK", body))) as catalog, pytest.raises(CatalogUnavailableError, match="wanted"):
            call(catalog)


@pytest.mark.parametrize(
    ("call", "body", "found"),
    [
        (lambda c: c.search("t"), '{"queryType": "BASIC", "searchParameters": {}, "approximateCount": 0}', []),
        (lambda c: c.search("t"), '{"queryType": "BASIC", "entities": null}', []),
        (lambda c: c.classifications("g"), '{"list": [], "startIndex": 0, "pageSize": 0, "totalCount": 0}', []),
        (lambda c: c.classifications("g"), '{"startIndex": 0, "pageSize": 0, "totalCount": 0}', []),
        (
            lambda c: c.lineage("t", "n")["relations"],
            '{"baseEntityGuid": "g", "guidEntityMap": {}, "relations": []}',
            [],
        ),
    ],
)
def test_nothing_found_in_atlas_s_words(
    serve: Callable[..., FakeServer], call: Callable[[AtlasCatalog], object], body: str, found: object
) -> None:
    with opened(serve(answer("200 OK", body))) as catalog:
        assert call(catalog) == found


def test_what_atlas_does_without_a_word_is_done(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("204 No Content"))
    with opened(server) as catalog:
        catalog.classify("g", [{"typeName": "PII"}])
        catalog.declassify("g", "PII")
        catalog.add_labels("g", ["a"])
        catalog.set_business_metadata("g", {"b": {"c": 1}})
        catalog.delete_relationship("g")
    assert len(server.requests) == 5


@pytest.mark.parametrize("body", ["{}", '{"entities": []}', '{"referredEntities": {}}', '{"entities": null}'])
def test_none_found(serve: Callable[..., FakeServer], body: str) -> None:
    with opened(serve(answer("200 OK", body))) as catalog:
        assert catalog.get_many("t", ["n"]) == {}


def test_status_needs_a_status(serve: Callable[..., FakeServer]) -> None:
    with opened(serve(answer("200 OK", '{"status": "UP"}'))) as catalog, pytest.raises(CatalogUnavailableError):
        catalog.status()
    server = serve(answer("200 OK", '{"Status": "PASSIVE"}'), answer("200 OK", '{"Version": "2.1.0"}'))
    with opened(server) as catalog:
        assert catalog.status() == {"Status": "PASSIVE", "Version": "2.1.0"}


def test_many_names_share_calls(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("200 OK", "{}"))
    with opened(server) as catalog:
        assert catalog.get_many("hive_table", [f"{n}/" + "x" * 100 for n in range(100)]) == {}
        assert catalog.get_many("hive_table", ["y" * 20000]) == {}
        assert 2 <= catalog.calls <= 4
    assert all(len(request.splitlines()[0]) < 6200 for request in server.requests[:-1])


def test_many_guids_share_calls(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("200 OK", '{"mutatedEntities": {"PURGE": [{"guid": "x"}]}}'), answer("200 OK", "{}"))
    with opened(server) as catalog:
        assert catalog.purge([str(n) for n in range(150)]) == {"mutatedEntities": {"PURGE": [{"guid": "x"}]}}
        assert catalog.purge([]) == {}
        assert catalog.delete_by_guid([str(n) for n in range(101)]) == {}
        assert catalog.calls == 4
