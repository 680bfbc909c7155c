"""From settings to objects: which catalogue, spool, outbox and sender this Airflow uses.

Everything opens lazily, and a Connection is looked up only when something is really sent or read: never in a scheduler hook.
"""

from __future__ import annotations

import logging
import math
import sys
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.catalog.kafka import KafkaChannel
    from airflow_provider_mlgov.delivery.abreast import Sends
    from airflow_provider_mlgov.delivery.bounds import Bounds
    from airflow_provider_mlgov.delivery.clean import CleanOptions, Mask
    from airflow_provider_mlgov.delivery.draining import Draining, DrainingOptions, Measure, SendReport
    from airflow_provider_mlgov.delivery.forward import Forwarder
    from airflow_provider_mlgov.delivery.handover import Collected, Handover
    from airflow_provider_mlgov.delivery.outbox import Outbox
    from airflow_provider_mlgov.delivery.sinks.sink import Sink
    from airflow_provider_mlgov.delivery.spool import Spool
    from airflow_provider_mlgov.translate.options import TranslateOptions

log = logging.getLogger(__name__)

SINK_FOLDERS = "sinks"
"""Where in the spool folder the spools of further sinks are."""


def open_catalog(settings: Settings) -> Catalog:
    """The catalogue that these settings name: that of the Connection, or the embedded one."""
    if settings.atlas_conn_id:
        from airflow_provider_mlgov.hooks.atlas import AtlasHook

        return AtlasHook(settings.atlas_conn_id).get_catalog()
    from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog

    return EmbeddedCatalog(settings.embedded_path)


def open_spool(settings: Settings, sink: str = "") -> Spool:
    """The spool of this host, or that of a further ``sink``."""
    from airflow_provider_mlgov.delivery.spool import Spool

    return Spool(settings.spool_folder / SINK_FOLDERS / sink if sink else settings.spool_folder)


def open_spools(settings: Settings) -> dict[str, Spool]:
    """The spool of each sink, the first one's first. `ConfigurationError` if they do not go together."""
    first, *further = settings.sink_names
    return {first: open_spool(settings)} | {name: open_spool(settings, name) for name in further}


def open_outbox(settings: Settings, *, mask: Mask | None = None, masked: bool = True) -> Outbox:
    """What every door puts its events into: it cleans them and writes them to the spool of each sink.

    ``mask`` hides what is secret; without one it is Airflow's masker, which hides what its process has seen of secrets, unless
    nothing was to be ``masked`` by it.
    """
    from airflow_provider_mlgov.delivery.outbox import Outbox

    further = [open_spool(settings, name) for name in settings.further_sinks]
    mask = mask or (masker() if masked else None)
    return Outbox(open_spool(settings), mask, clean_options(settings), also=further)


def clean_options(settings: Settings) -> CleanOptions:
    """What of an event may be kept."""
    from airflow_provider_mlgov.delivery.clean import CleanOptions

    return CleanOptions(
        facets=_kept_facets(settings),
        source_code=settings.send_code,
        environment=settings.send_environment,
        environment_names=settings.environment_names,
        conf=settings.send_conf,
        stack_traces=settings.send_stack_traces,
        masked_names=frozenset(settings.masked_names),
    )


def _kept_facets(settings: Settings) -> frozenset[str]:
    """Facets that mapping rules keep. Rules that cannot be read must not hurt a task: who sends says what is wrong."""
    from airflow_provider_mlgov.mapping_rules import read_rules

    try:
        return read_rules(settings.mapping_rules).facet_names
    except Exception as error:  # noqa: BLE001 - nothing that stands in a file may keep an event from the spool
        log.warning("Facets are kept as if there were no mapping rules: %s", error)
        return frozenset()


def translate_options(settings: Settings) -> TranslateOptions:
    """What translation has to know. `ConfigurationError` if the namespace is missing, or the mapping rules are wrong."""
    from airflow_provider_mlgov.mapping_rules import read_rules
    from airflow_provider_mlgov.translate.options import TranslateOptions

    return TranslateOptions(
        airflow_namespace=settings.airflow_namespace,
        catalog_namespace=settings.catalogue_namespace,
        platform_namespace=settings.platform_namespace,
        s3_scheme=settings.s3_scheme,
        rules=read_rules(settings.mapping_rules),
    )


def open_sender(settings: Settings) -> Sends:
    """What drains the spool, or where there are several sinks the spools of all of them."""
    names = settings.sink_names
    if len(names) == 1:
        return open_draining(settings, names[0])
    from airflow_provider_mlgov._compat import close_thread_session
    from airflow_provider_mlgov.delivery.abreast import Abreast

    return Abreast({name: partial(open_draining, settings, name) for name in names}, leave=close_thread_session)


def open_draining(settings: Settings, sink: str) -> Draining:
    """What drains the spool of one sink: a sender, or the forwarder where ``forward_conn_id`` names a receiver.

    `ConfigurationError` if the namespace is missing; the sink is opened when something is sent.
    """
    spool = open_spools(settings)[sink]
    is_first = spool.root == settings.spool_folder
    measure = metrics(spool, "mlgov" if is_first else f"mlgov.sinks.{sink}")
    if sink == "forward":
        return (_open_handover if settings.handover_path else _open_forwarder)(settings, spool, measure)
    from airflow_provider_mlgov.catalog.messaged import PER_MESSAGE
    from airflow_provider_mlgov.delivery.sender import Sender

    return Sender(
        spool,
        lambda: _open_sink(settings, sink, spool),
        translate_options(settings),
        batch_size=PER_MESSAGE if sink in ("kafka", "notification") else 100,
        apply_types=settings.types_apply == "automatic",
        keep_hours=settings.state_hours,
        **_draining_options(settings, measure),
    )


def _draining_options(settings: Settings, measure: Measure) -> DrainingOptions:
    return {
        "bounds": spool_bounds(settings),
        "measure": measure,
        "breaker_interval": settings.breaker_interval,
        "shared": settings.spool_shared,
    }


def _open_sink(settings: Settings, sink: str, spool: Spool) -> Catalog | Sink:
    if sink == "catalog":
        return open_catalog(settings)
    if sink == "embedded":
        from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog

        return EmbeddedCatalog(settings.embedded_path)
    if sink == "file":
        from airflow_provider_mlgov.delivery.sinks.file import FileSink

        return FileSink(settings.sink_file)
    if sink == "none":
        from airflow_provider_mlgov.delivery.sinks.none import NoSink

        return NoSink()
    from airflow_provider_mlgov.hooks.atlas import AtlasHook

    atlas = AtlasHook(settings.atlas_conn_id).get_messaged(settings.message_wait)
    return atlas.by(open_kafka(settings, spool)) if sink == "kafka" else atlas


def open_kafka(settings: Settings, spool: Spool) -> KafkaChannel:
    """The way to the topic that Atlas reads; what is under way is noted in ``spool``."""
    from airflow_provider_mlgov.catalog.kafka import KafkaChannel
    from airflow_provider_mlgov.hooks.kafka import kafka_config

    return KafkaChannel(
        kafka_config(settings.kafka_conn_id),
        spool.root / "kafka.json",
        topic=settings.kafka_topic,
        group=settings.kafka_group,
    )


def _open_forwarder(settings: Settings, spool: Spool, measure: Measure) -> Forwarder:
    from airflow_provider_mlgov.delivery.forward import Forwarder
    from airflow_provider_mlgov.hooks.atlas import AtlasHook

    return Forwarder(
        spool,
        **AtlasHook(settings.forward_conn_id).receiver(),
        **_draining_options(settings, measure),
    )


def _open_handover(settings: Settings, spool: Spool, measure: Measure) -> Handover:
    from airflow_provider_mlgov.delivery.handover import Handover
    from airflow_provider_mlgov.hooks.objects import open_objects

    return Handover(
        spool,
        lambda: open_objects(settings.handover_path),
        first=_open_forwarder(settings, spool, measure) if settings.forward_conn_id else None,
        **_draining_options(settings, measure),
    )


def collects(settings: Settings) -> bool:
    """Whether this host takes the events of others: one that hands its own on does not."""
    return bool(settings.collect_path) and not (settings.handover_path or settings.forward_conn_id)


def collect_events(settings: Settings, budget: float | None = None) -> Collected:
    """Take what other hosts handed over into the spool, some hundred objects at most.

    `CatalogUnavailableError` where the place cannot be used, `ConfigurationError` where there can be none.
    """
    from airflow_provider_mlgov.delivery.handover import Collected, collect
    from airflow_provider_mlgov.hooks.objects import open_objects

    if not collects(settings):
        return Collected()
    outbox = open_outbox(settings, masked=False)  # who knew the secrets has masked them
    return collect(open_objects(settings.collect_path), outbox, budget=budget)


def spool_bounds(settings: Settings) -> Bounds:
    """How much may wait; 0 in the settings is no bound."""
    from airflow_provider_mlgov.delivery.bounds import Bounds

    return Bounds(settings.spool_megabytes * 1e6 or math.inf, settings.spool_days * 86400 or math.inf)


def metrics(spool: Spool, prefix: str = "mlgov") -> Measure:
    """Counters, timings and gauges in Airflow's own metrics (StatsD or OpenTelemetry), where they are on and Airflow is loaded."""

    def measure(report: SendReport, seconds: float) -> None:
        if "airflow" not in sys.modules:
            return
        try:
            from airflow_provider_mlgov._compat import Stats, has_metrics
            from airflow_provider_mlgov.delivery.figures import figures

            if not has_metrics():
                return
            for name, count in (
                ("events", report.events),
                ("entities", report.entities),
                ("dead_letters", report.dead),
                ("retries", report.retries),
            ):
                if count:
                    Stats.incr(f"{prefix}.{name}", count)
            Stats.incr(f"{prefix}.sends.{report.outcome}")
            Stats.timing(f"{prefix}.send", timedelta(seconds=seconds))
            Stats.gauge(f"{prefix}.breaker.open", int(report.outcome in ("open", "unavailable")))
            found = figures(spool)
            if found is not None:
                Stats.gauge(f"{prefix}.spool.waiting", found.waiting)
                Stats.gauge(f"{prefix}.spool.age", round(found.age))
                Stats.gauge(f"{prefix}.spool.dead_letters", found.dead)
        except Exception as error:  # noqa: BLE001 - metrics are the least of all, and their backends may raise anything
            log.debug("No metrics of mlgov: %s: %s", type(error).__name__, error)

    return measure


def masker() -> Mask:
    """Airflow's masker: it replaces the secret values that this process has seen (Connections, Variables)."""

    def mask(text: str) -> str:
        from airflow_provider_mlgov._compat import redact

        masked: Any = redact(text)
        return str(masked)

    return mask
