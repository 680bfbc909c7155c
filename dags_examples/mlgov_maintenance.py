"""Housekeeping of the lineage, once a night: send what waits, delete dead letters and runs of long ago, and say what is wrong.

The commands look at the spool of the host that runs them, so this DAG belongs on the host that writes to the catalogue (a queue of
its own, with Celery). ``mlgov`` exits with 1 where something is wrong, which fails the task.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator

from airflow_provider_mlgov.lineage import disable_lineage

DEAD_LETTERS_DAYS = 90
RUNS_DAYS = 365

with DAG(
    "mlgov_maintenance",
    description="Sends what waits, deletes what is old, and says what is wrong with the lineage",
    schedule="30 3 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["mlgov"],
) as dag:
    drain = BashOperator(task_id="drain", bash_command="mlgov spool drain --budget 600")
    drop = BashOperator(
        task_id="drop_dead_letters",
        bash_command=f"mlgov spool drop --older-than {DEAD_LETTERS_DAYS} --yes",
        trigger_rule="all_done",
    )
    purge = BashOperator(
        task_id="purge_runs", bash_command=f"mlgov purge --older-than {RUNS_DAYS} --yes", trigger_rule="all_done"
    )
    doctor = BashOperator(task_id="doctor", bash_command="mlgov doctor", trigger_rule="all_done")
    drain >> drop >> purge >> doctor

disable_lineage(dag)
