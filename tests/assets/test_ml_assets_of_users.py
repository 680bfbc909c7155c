from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.assets import Endpoint, Model
from airflow_provider_mlgov.assets.ml import event_extra
from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.lineage import ml_assets
from airflow_provider_mlgov.model import ml

names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)


def test_the_uri_of_a_model() -> None:
    asset = Model("churn", project="shop")
    assert asset.uri == "mlgov://shop/models/churn"
    assert (asset.project, asset.model, asset.alias) == ("shop", "churn", None)
    assert getattr(asset, "name", asset.uri) == asset.uri  # two assets with one name make tasks fail


def test_the_uri_of_an_endpoint() -> None:
    asset = Endpoint("churn-api", environment="test", project="shop")
    assert asset.uri == "mlgov://shop/endpoints/test/churn-api"
    assert (asset.project, asset.environment, asset.endpoint) == ("shop", "test", "churn-api")
    assert Endpoint("a").uri == "mlgov://default/endpoints/production/a"


@given(project=names, model=names)
def test_any_name_makes_an_ascii_uri_and_comes_back(project: str, model: str) -> None:
    asset = Model(model, project=project)
    assert asset.uri.isascii()
    assert (asset.project, asset.model) == (project, model)
    assert ml_assets.parse(asset.uri, {}) == ml.Model(project=project, model=model)


@given(project=names, environment=names, endpoint=names)
def test_any_endpoint_comes_back(project: str, environment: str, endpoint: str) -> None:
    asset = Endpoint(endpoint, environment=environment, project=project)
    assert asset.uri.isascii()
    assert (asset.project, asset.environment, asset.endpoint) == (project, environment, endpoint)


@pytest.mark.parametrize("name", ["", "a\nb", None])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        Model(name)


def test_an_asset_survives_copying() -> None:
    asset = Model("churn", project="shop", build="v3", alias="champion", extra={"team": "crm"})
    for other in (copy.deepcopy(asset), pickle.loads(pickle.dumps(asset))):  # noqa: S301 - our own
        assert other == asset
        assert (other.project, other.model, other.alias) == ("shop", "churn", "champion")
        assert other.extra == {"team": "crm", "mlgov": {"build": "v3", "alias": "champion"}}


def test_the_extra_of_an_event_names_the_build_again() -> None:
    build = ml.Build(
        project="shop",
        model="churn",
        key="v3",
        metrics={"auc": 0.9},
        features=("age",),
        record="{}",
        record_digest="sha256:1",
    )
    extra = event_extra(build)
    assert "record" not in extra["mlgov"]
    found = ml_assets.parse(Model("churn", project="shop").uri, extra)
    assert found == ml.Build(
        project="shop", model="churn", key="v3", metrics={"auc": 0.9}, features=("age",), record_digest="sha256:1"
    )


def test_the_extra_of_an_event_names_the_deployment_again() -> None:
    deployment = ml.Deployment(
        project="shop",
        model="churn",
        build="v3",
        environment="test",
        endpoint="api",
        revision="7",
        url="http://x",
        replicas=2,
    )
    asset = Endpoint("api", environment="test", project="shop")
    assert ml_assets.parse(asset.uri, event_extra(deployment)) == deployment
