"""``python -m airflow_provider_mlgov`` is ``mlgov``."""

from __future__ import annotations

import sys

from airflow_provider_mlgov.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
