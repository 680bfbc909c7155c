"""AtlasCatalog against servers that misbehave: each gives one error that says what to do."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogError,
    CatalogRefusedError,
    CatalogUnavailableError,
    ConfigurationError,
    EntityNotFoundError,
)

Handler = Callable[[socket.socket, str], None]
SECRET = "pass-word-Ü"


class FakeServer:
    """Answers each request on its port with the next of its handlers, and with the last one ever after."""

    def __init__(self, *handlers: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self._handlers = list(handlers)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while not self._closing:
            client, _ = self._listener.accept()
            self._open.append(client)
            self.connections += not self._closing
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._open.append(client)
            while request := _read_request(client):
                self.requests.append(request)
                handler = self._handlers.pop(0) if len(self._handlers) > 1 else self._handlers[0]
                handler(client, request)
        except OSError:
            pass  # the other side has gone
        client.close()


def _read_request(client: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return ""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += client.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


def answer(status: str, body: str = "", content_type: str = "application/json", **headers: str) -> Handler:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda client, _: client.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def start(*handlers: Handler, tls: ssl.SSLContext | None = None) -> FakeServer:
        servers.append(FakeServer(*handlers, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@contextmanager
def opened(server: FakeServer | str, path: str = "", **options: object) -> Iterator[AtlasCatalog]:
    url = server if isinstance(server, str) else server.url
    catalog = AtlasCatalog(url + path, ("user", SECRET), **{"timeout": (1.0, 1.0), **options})  # type: ignore[arg-type]
    try:
        yield catalog
    finally:
        catalog.close()


def failure(server: FakeServer | str, **options: object) -> CatalogError:
    with opened(server, **options) as catalog, pytest.raises(CatalogError) as caught:
        catalog.get("hive_table", "a.b@c")
    text = str(caught.value)
    assert SECRET not in text
    assert "\n" not in text
    assert catalog.identity in text
    return caught.value


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
        (answer("405 Method Not Allowed", ""), "an empty answer"),
        (answer("200 OK", HTML, "text/html"), "login page"),
        (answer("200 OK", "hello", "text/plain"), "'hello'"),
        (answer("200 OK", "[1]"), "wanted an object"),
        (answer("200 OK", '{"foo": 1}'), "without the entity"),
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


def test_no_tls_there(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("200 OK", "{}"))
    error = failure(server.url.replace("http:", "https:"), deadline=2.0)
    assert isinstance(error, CatalogError)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


def test_tls(serve: Callable[..., FakeServer], certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve(ENTITY, tls=context)
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    with opened(url, verify=str(certificate)) as catalog:
        assert catalog.get("hive_table", "a")
    with opened(url, verify=False) as catalog, pytest.warns(match="Unverified HTTPS request"):
        assert catalog.get("hive_table", "a")
    error = failure(url)
    assert isinstance(error, CatalogUnavailableError)
    assert "TLS failed" in str(error)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


def test_dripping_server_with_tls(serve: Callable[..., FakeServer], certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url = serve(_drip, tls=context).url.replace("http://127.0.0.1", "https://localhost")
    started = time.monotonic()
    assert isinstance(failure(url, verify=str(certificate), deadline=0.5), CatalogBusyError)
    assert time.monotonic() - started < 2


def test_a_ca_file_that_is_not_there(serve: Callable[..., FakeServer]) -> None:
    url = serve(ENTITY).url.replace("http:", "https:")
    error = failure(url, verify="/nowhere/ca.pem")
    assert isinstance(error, CatalogUnavailableError)
    assert "/nowhere/ca.pem" in str(error)


def test_hanging_server(serve: Callable[..., FakeServer]) -> None:
    started = time.monotonic()
    error = failure(serve(lambda client, _: time.sleep(3)), timeout=(1.0, 0.3))
    assert isinstance(error, CatalogBusyError)
    assert time.monotonic() - started < 2


def _drip(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(50):
        client.sendall(b" ")
        time.sleep(0.1)


def _drip_head(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(50):
        client.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("handler", [_drip, _drip_head])
def test_dripping_server(serve: Callable[..., FakeServer], handler: Handler) -> None:
    started = time.monotonic()
    error = failure(serve(handler), deadline=0.5)
    assert isinstance(error, CatalogBusyError)
    assert "within 0.5 s" in str(error)
    assert time.monotonic() - started < 2


def test_calls_within_a_budget(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("404 Not Found", '{"errorCode": "ATLAS-404-00-009", "errorMessage": ""}'), _drip)
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


ENTITY = answer(
    "200 OK", '{"entity": {"guid": "1", "typeName": "t", "attributes": {}}}', Set_Cookie="ATLASSESSIONID=abc"
)


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
    server = serve(answer("200 OK", "{}"), forbidden)
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
