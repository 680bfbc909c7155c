"""The command line: ``mlgov``, and ``airflow mlgov`` on Airflow 3."""
