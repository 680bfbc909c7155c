"""Records what dbt's OpenLineage wrapper sends: a seed, three models and tests on DuckDB, one of which fails.

    python3 tests/translate/events/record_dbt.py tests/translate/events/dbt.ndjson

dbt is kept in .cache/recording, which may be removed. Paths of the recording machine are replaced; nothing else is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from recording import ROOT, command_line, save

PACKAGES = ("dbt-core==1.10.23", "dbt-duckdb==1.10.1", "openlineage-dbt==1.54.0")
FILES = {
    "dbt_project.yml": "name: shop\nversion: 1.0.0\nprofile: shop\nmodels:\n  shop:\n    +materialized: table\n",
    "profiles.yml": "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: shop.duckdb, threads: 1}\n",
    "seeds/raw_orders.csv": "id,mail,total\n1,a@x.org,10\n2,b@x.org,20\n3,,30\n",
    "models/orders.sql": "select id, mail, total from {{ ref('raw_orders') }}\n",
    "models/totals.sql": (
        "{{ config(materialized='incremental') }}\nselect mail, sum(total) as total from {{ ref('orders') }} group by mail\n"
    ),
    "models/big.sql": "{{ config(materialized='view') }}\nselect * from {{ ref('totals') }} where total > 15\n",
    "models/schema.yml": (
        "version: 2\nmodels:\n  - name: orders\n    description: Orders of the shop\n    columns:\n"
        "      - name: id\n        description: Key\n        tests: [unique, not_null]\n"
        "      - name: mail\n        tests: [not_null]\n"
    ),
}


def main() -> None:
    """Run the command line."""
    arguments = command_line(__doc__).parse_args()
    programs = prepare(arguments.cache.absolute())
    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        work = Path(folder)
        run_dbt(programs, work, arguments.url, arguments.token)
        if not arguments.url:
            text = (work / "events.ndjson").read_text(encoding="utf-8")
            cache = str(arguments.cache.absolute())
            save(arguments.output, text, ((str(work), "/data"), (cache, "/opt"), (str(ROOT), "/project")))


def prepare(cache: Path) -> Path:
    """The folder of dbt's programs; installed once."""
    programs = cache / "dbt" / "bin"
    if not (programs / "dbt-ol").exists():
        venv.create(cache / "dbt", with_pip=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return programs


def run_dbt(programs: Path, work: Path, url: str | None, token: str) -> None:
    """Seed, run twice (the second time incremental) and test the project below."""
    for name, text in FILES.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text, encoding="utf-8")
    transport = (
        {"type": "http", "url": url, "auth": {"type": "api_key", "apiKey": token}}
        if url
        else {"type": "file", "log_file_path": str(work / "events.ndjson"), "append": True}
    )
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "OPENLINEAGE_NAMESPACE": "dbt",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "OPENLINEAGE_PARENT_ID": "air/shop.transform/01900000-0000-7000-8000-000000000002",
    }
    for command in (["seed"], ["run"], ["run"], ["test"]):
        arguments = [programs / "dbt-ol", *command, "--project-dir", work, "--profiles-dir", work]
        done = subprocess.run(arguments, cwd=work, env=environment, check=False)
        if done.returncode not in (0, 1):
            sys.exit(f"dbt-ol {command[0]} failed: {done.returncode}")


if __name__ == "__main__":
    main()
