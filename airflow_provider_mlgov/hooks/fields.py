"""The form of a connection of type ``atlas``: for the provider metadata (Airflow 3) and the hook's methods (2.11)."""

from __future__ import annotations

from typing import Any

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "scheme": {
        "label": "Scheme",
        "description": "http or https; not needed where the host says it.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "base_path": {
        "label": "Base path",
        "description": "Path before /api/atlas, where a gateway such as Knox adds one: /gateway/cdp/atlas",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "Check the certificate of the server.",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
    "ca_path": {
        "label": "CA file",
        "description": "File with the certificates to trust, on the machine that sends.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "auth": {
        "label": "Login by",
        "description": (
            "basic: login and password. bearer: a token, as password. oauth2: client id and secret as both. kerberos: a ticket."
        ),
        "schema": {"type": ["string", "null"], "default": None},
    },
    "token_url": {
        "label": "Token URL",
        "description": "With oauth2: the token endpoint (client credentials).",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "scope": {
        "label": "Scope",
        "description": "With oauth2: the scope to ask for, if one is wanted.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "kerberos_principal": {
        "label": "Kerberos principal",
        "description": "With kerberos: who calls; empty: the user's ticket.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "kerberos_keytab": {
        "label": "Keytab",
        "description": "With kerberos: file with the principal's key, on the machine that sends; empty: kinit is done outside.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "kerberos_service": {
        "label": "Kerberos service",
        "description": "With kerberos: HTTP, or HTTP@name where the server's principal has another name than the URL.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "client_cert": {
        "label": "Client certificate",
        "description": "Mutual TLS: file with the certificate, on the machine that sends.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "client_key": {
        "label": "Client key",
        "description": "Mutual TLS: file with its key; empty where the certificate's file holds it.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "connect_timeout": {
        "label": "Connect timeout",
        "description": "Seconds.",
        "schema": {"type": ["integer", "null"], "default": 3},
    },
    "read_timeout": {
        "label": "Read timeout",
        "description": "Seconds.",
        "schema": {"type": ["integer", "null"], "default": 10},
    },
}
FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {"host": "Atlas URL"},
    "placeholders": {"host": "http://atlas:21000", "login": "admin"},
}
