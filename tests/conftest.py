"""What all tests share."""

pytest_plugins = ["airflow_env", "atlas_fixtures", "namespaces"]
