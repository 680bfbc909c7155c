"""The Connection to a Kafka broker: that of Airflow's Kafka provider, whose extra is the client's configuration."""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov.errors import ConfigurationError

_HOOKS = ("error_cb", "stats_cb", "throttle_cb", "oauth_cb", "on_delivery")
"""Names of Python functions, which the Kafka provider takes from a Connection. Nothing is imported by name here."""


def kafka_config(conn_id: str) -> dict[str, Any]:
    """The configuration of the client (``bootstrap.servers``, ``security.protocol`` …), with login and password for SASL."""
    from airflow_provider_mlgov._compat import AirflowNotFoundException, BaseHook

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"connection {conn_id!r} does not exist: create one of type kafka, or correct [mlgov] kafka_conn_id ({error})"
        ) from None
    config = {name: value for name, value in connection.extra_dejson.items() if name not in _HOOKS}
    if connection.host and not config.get("bootstrap.servers"):
        config["bootstrap.servers"] = f"{connection.host}:{connection.port}" if connection.port else connection.host
    if not config.get("bootstrap.servers"):
        raise ConfigurationError(
            f'connection {conn_id!r} names no broker; wanted "bootstrap.servers" in its extra, such as kafka:9092'
        )
    for name, value in (("sasl.username", connection.login), ("sasl.password", connection.password)):
        if value and not config.get(name):
            config[name] = value
    return config
