"""``mlgov doctor`` with Airflow's plugins and providers loaded, and how its findings are shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from airflow_provider_mlgov.cli import findings, output
from airflow_provider_mlgov.cli.findings import Finding, show
from airflow_provider_mlgov.delivery.results import Results
from cli_runs import mlgov


def test_plugins_converters_and_last_results(home: Path, catalog: Path) -> None:
    """A plugin of somebody else's that cannot be imported is named, with its error."""
    assert catalog.exists()
    (home / "plugins").mkdir()
    (home / "plugins" / "broken.py").write_text("import no_module_of_this_name\n")
    spool = home / "mlgov" / "spool"
    spool.mkdir()
    Results(spool).note("catalogue", "succeeded", "done", 12, None)
    rules = home / "rules.toml"
    rules.write_text('[[namespaces]]\nmatch = "postgres://old*"\nalias = "postgres://new:5432"\n')
    told = mlgov(home, "doctor", AIRFLOW__MLGOV__ENABLED="true", AIRFLOW__MLGOV__MAPPING_RULES=str(rules))
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert told.returncode == 0, told.stdout
    assert "ok plugin mlgov is loaded: it registers the listener" in lines
    (failed,) = [line for line in lines if "plugin failed" in line]
    assert "broken.py: No module named 'no_module_of_this_name'" in failed
    assert "ok last send to catalogue delivered 12 events just now" in lines or any(
        "12 events" in line for line in lines
    )
    assert any("s3 (s3, s3a, s3n)" in line for line in lines)
    assert "ok line 1 postgres://old*: alias postgres://new:5432" in lines
    assert any(line.startswith("ok assets") and "mlgov" in line for line in lines)
    assert "Traceback" not in told.stdout


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


def test_findings_fit_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(output, "_results", [terminal])
    monkeypatch.setattr(findings, "width", lambda: 80)
    monkeypatch.setenv("NO_COLOR", "1")
    text = "word " * 40
    first = [Finding("ok", "subject", text), Finding("WRONG", "s", "x")]
    wrong = show([("First", first), ("Empty", []), ("Last", [Finding("note", "t", "y")])])
    lines = terminal.getvalue().splitlines()
    assert wrong == 1
    assert max(map(len, lines)) <= 80
    assert (lines[0], lines[-2], lines[-1]) == ("First", "Last", "  note   t        y")
    assert "Empty" not in lines
    assert sum(line.count("word") for line in lines) == 40
