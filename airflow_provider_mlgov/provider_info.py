"""What Airflow is told about this provider (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov import __version__
from airflow_provider_mlgov.hooks.fields import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_mlgov.options import OPTIONS, SECTION

_PACKAGE = "airflow_provider_mlgov"
_INTEGRATION = "Apache Atlas"


def get_provider_info() -> dict[str, Any]:
    """The provider metadata, in the shape of Airflow's ``provider_info.schema.json``; 2.11 ignores what it does not know."""
    uris = [
        {
            "schemes": ["mlgov"],
            "handler": None,  # an entry without this key is skipped without a word
            "to_openlineage_converter": f"{_PACKAGE}.lineage.datasets.to_openlineage",
        }
    ]
    return {
        "package-name": "airflow-provider-mlgov",  # must equal the name of the distribution
        "name": "ML Governance",
        "description": "Lineage of data, models and deployments into Apache Atlas, by way of OpenLineage.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": _INTEGRATION, "external-doc-url": "https://atlas.apache.org/", "tags": ["apache"]},
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.hooks.atlas"]}],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": list(OPERATOR_MODULES)}],
        "connection-types": [
            {
                "connection-type": "atlas",
                "hook-class-name": f"{_PACKAGE}.hooks.atlas.AtlasHook",
                "hook-name": _INTEGRATION,
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "plugins": [{"name": "mlgov", "plugin-class": f"{_PACKAGE}.plugin.MlgovPlugin"}],
        "cli": [f"{_PACKAGE}.cli.airflow_commands.get_cli_commands"],  # 3.x only
        "asset-uris": uris,
        "dataset-uris": uris,  # the name of the same on 2.11
        "config": {
            SECTION: {
                "description": "Lineage of data, models and deployments into Apache Atlas.",
                "options": {
                    option.name: {
                        "description": option.description,
                        "version_added": option.version_added,
                        "type": option.kind,
                        "example": option.example,
                        "default": option.default,
                    }
                    for option in OPTIONS
                },
            }
        },
    }


OPERATOR_MODULES = tuple(
    f"{_PACKAGE}.operators.{name}" for name in ("deploy", "evaluate", "register", "score", "train")
)
"""The modules with operators of ours."""
