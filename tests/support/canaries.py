"""Secrets that are looked for wherever they must not be: each is different, so that a find says where it came in."""

from __future__ import annotations

import base64
import json
import re
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Canaries:
    """Makes secrets, and finds them."""

    def __init__(self, known: dict[str, str] | None = None) -> None:
        self.known: dict[str, str] = known if known is not None else {}

    def __call__(self, place: str) -> str:
        """A new secret, which goes to ``place``."""
        made = f"cnry{len(self.known):05d}{secrets.token_hex(6)}"
        self.known[made] = place
        return made

    def found_in(self, content: bytes) -> set[str]:
        """The places of the secrets in ``content``: as they are, cut off, or in base64."""
        numbers = set(_CANARY.findall(content))
        for run in _BASE64.findall(content):
            for start in range(4):
                part = run[start:].translate(_URL_SAFE)
                numbers |= set(_CANARY.findall(base64.b64decode(part[: len(part) // 4 * 4])))
        places = list(self.known.values())
        found = {places[int(number)] for number in numbers if int(number) < len(places)}
        others = ((made, place) for made, place in self.known.items() if not made.startswith("cnry"))
        return found | {place for made, place in others if made.encode() in content}


_CANARY = re.compile(rb"cnry(\d{5})")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_\-]{12,}")
_URL_SAFE = bytes.maketrans(b"_-", b"/+")


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each file below ``folder``; of SQLite's, what it says now and what of old pages is still in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
        if path.suffix == ".db":
            with sqlite3.connect(path) as database:
                yield f"{path.name} (dump)", "\n".join(database.iterdump()).encode()
            database.close()


def texts(canary: Canaries, place: str) -> Json:
    """Free texts in which something marks the secret as one, by what marks it."""

    def new(kind: str) -> str:
        return canary(f"{place}: {kind}")

    basic = base64.b64encode(f"user:{new('basic header')}".encode()).decode()
    jwt = "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(b'{"sub":"' + new("jwt").encode() + b'"}').decode().rstrip(
        "="
    )
    return {
        **urls(canary, place),
        "bearer": f"curl -H 'Authorization: Bearer {new('bearer header')}' https://h/x",
        "basic": f"Authorization: Basic {basic}",
        "api key header": f"X-API-Key: {new('api key header')}",
        "cookie": f"Set-Cookie: session={new('cookie')}; Path=/",
        "assignment": f"login failed with password={new('assignment')} for user ann",
        "environment": f"AWS_SECRET_ACCESS_KEY={new('environment secret')} PGPASSWORD={new('environment password')} python x.py",
        "option": f"spark-submit --password {new('option')} --api-token={new('option with =')} app.py",
        "conf option": f"spark-submit --conf spark.hadoop.fs.s3a.secret.key={new('conf option')} app.py",
        "yaml": f"default:\n  outputs:\n    dev:\n      type: postgres\n      password: {new('yaml')}\n      host: h",
        "json": json.dumps({"client_secret": new("json"), "max_tokens": 5}),
        "json in json": json.dumps({"body": json.dumps({"password": new("json in json")})}),
        "python": f"connect(host='h', password={new('python')!r}, port=5)",
        "dict": repr({"user": "ann", "api_key": new("dict"), "depth": 3}),
        "jaas": f'PlainLoginModule required username="ann" password="{new("jaas")}";',
        "sql user": f"CREATE USER ann IDENTIFIED BY '{new('sql identified by')}'",
        "sql role": f"ALTER ROLE ann WITH PASSWORD '{new('sql password')}'",
        "sql copy": (
            f"COPY INTO t FROM 's3://b' CREDENTIALS=(AWS_KEY_ID='{new('sql aws key id')}' AWS_SECRET_KEY='{new('sql aws key')}')"
        ),
        "sql unload": f"UNLOAD ('x') TO 's3://b' CREDENTIALS 'aws_access_key_id=AKIA;aws_secret_access_key={new('sql unload')}'",
        "sql secret": f"CREATE SECRET s (TYPE s3, KEY_ID '{new('sql key id')}', SECRET '{new('sql secret')}')",
        "sql fdw": f"CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'ann', password '{new('sql options')}')",
        "sql uri": f"SELECT dblink('postgresql://ann:{new('sql uri')}@h/db', 'select 1')",
        "odbc": f"Driver={{ODBC}};Server=h;UID=ann;PWD={new('odbc')};",
        "azure": f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={new('azure account key')};EndpointSuffix=x",
        "pem": f"-----BEGIN PRIVATE KEY-----\n{new('pem')}\n{new('pem, 2nd line')}\n-----END PRIVATE KEY-----",
        "jwt": f"the token {jwt}.c2lnbmF0dXJl was refused",
        "no scheme": f"could not open //ann:{new('url without a scheme')}@h:5432/db",
    }  # fmt: skip


def urls(canary: Canaries, place: str) -> Json:
    """URLs with a secret in them, each also usable as the name of a dataset."""

    def new(kind: str) -> str:
        return canary(f"{place}: {kind}")

    return {
        "userinfo": f"postgres://ann:{new('url')}@h:5432/db",
        "user only": f"https://{new('url user')}@github.com/a/b",
        "token user": f"https://oauth2:{new('url token')}@gitlab.com/a/b.git",
        "s3 v4": (
            f"https://b.s3.amazonaws.com/k?X-Amz-Credential={new('s3 credential')}&X-Amz-Expires=60"
            f"&X-Amz-Signature={new('s3 signature')}&X-Amz-Security-Token={new('s3 token')}"
        ),
        "s3 v2": f"https://b.s3.amazonaws.com/k?AWSAccessKeyId={new('s3 key id')}&Signature={new('s3 v2')}&Expires=1",
        "gcs": f"https://storage.googleapis.com/b/o?X-Goog-Credential={new('gcs credential')}&X-Goog-Signature={new('gcs')}",
        "sas": f"https://a.blob.core.windows.net/c/f?sv=2022&se=2026&sig={new('sas')}",
        "fragment": f"https://h/callback#access_token={new('fragment')}&state=1",
        "query": f"https://h/p?db_password={new('query ending')}&page=2&my-api-token={new('query token')}",
        "jdbc postgres": f"jdbc:postgresql://h:5432/db?user=ann&password={new('jdbc postgres')}&sslpassword={new('jdbc ssl')}",
        "jdbc userinfo": f"jdbc:mysql://ann:{new('jdbc userinfo')}@h:3306/db",
        "jdbc sqlserver": f"jdbc:sqlserver://h;user=ann;password={new('jdbc sqlserver')};trustStorePassword={new('jdbc trust')}",
        "jdbc oracle": f"jdbc:oracle:thin:ann/{new('jdbc oracle')}@//h:1521/s",
        "jdbc db2": f"jdbc:db2://h:50000/db:user=ann;password={new('jdbc db2')};",
        "jdbc db2 first": f"jdbc:db2://h:50000/db:password={new('jdbc db2 first')};",
        "jdbc teradata": f"jdbc:teradata://h/DATABASE=d,USER=ann,PASSWORD={new('jdbc teradata')}",
        "jdbc snowflake": f"jdbc:snowflake://a.snowflakecomputing.com/?user=ann&private_key_file_pwd={new('jdbc snowflake')}",
        "several hosts": f"mongodb://ann:{new('several hosts')}@h1:27017,h2:27017/db?authSource=admin",
    }


def values(canary: Canaries, place: str) -> Json:
    """Values that their names mark as secret."""
    names = """
        password passwd api_key apiKey X-API-Key access_token clientSecret Authorization token secret credentials privateKey
        DB_PASSWORD GITHUB_TOKEN AWS_SECRET_ACCESS_KEY spark.hadoop.fs.s3a.secret.key spark.hadoop.fs.s3a.access.key
        spark.openlineage.transport.auth.apiKey spark.ssl.keyStorePassword javax.jdo.option.ConnectionPassword
        fs.azure.account.key.acct.dfs.core.windows.net sasl.jaas.config.password
    """.split()
    return {
        **{name: canary(f"{place}: value of {name}") for name in names},
        "list": [{"name": name, "value": canary(f"{place}: value named {name}")} for name in names]
        + [{"key": name, "value": canary(f"{place}: value with key {name}")} for name in names],
        "deep": {
            "fields": {"password": canary(f"{place}: value in fields")},
            "auth": {"password": [canary(f"{place}: list")]},
        },
        f"postgres://ann:{canary(f'{place}: a key')}@h/db": 1,
    }


def facet(canary: Canaries, place: str) -> Json:
    """A facet with every kind of secret in it."""
    return {
        "_producer": urls(canary, f"{place} _producer")["userinfo"],
        "_schemaURL": urls(canary, f"{place} _schemaURL")["s3 v4"],
        "texts": texts(canary, f"{place} texts"),
        "items": list(texts(canary, f"{place} items").values()),
        **values(canary, place),
    }
