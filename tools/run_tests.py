"""Runs the tests: `make test` all but the long ones, `make test-long` the long ones, into benchmarks/results/.

Every step runs, whatever became of the one before; the table at the end and the exit code tell.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import atlas_server

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ATLAS_URL = "MLGOV_TEST_ATLAS"
ATLAS_KAFKA = "MLGOV_TEST_ATLAS_KAFKA"
"""Names a real Atlas for the tests, with a login that may do everything: http://admin:admin@localhost:21000."""
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
ROOMY = 8 << 30
"""Bytes: the tests and their Atlas leave some two GiB, and need as much for themselves."""
NO_TESTS = 5
"""What pytest exits with when nothing was selected."""

PURE = ("tests/model", "tests/translate", "tests/catalog", "tests/delivery", "tests/capture")
ONCE = (*PURE, "tests/tools", "tests/test_docs.py", "tests/test_rings.py", "tests/test_install.py")
"""What needs no Airflow, or makes its own: tested beside Airflow 3.3 only. The rest is tested on both."""
_COMMANDS = ("duplicates", "handover", "purge", "replay", "rules", "sinks", "spool", "translate")
CONFIGURED = ("tests/security", *(f"tests/cli/test_cli_{name}.py" for name in _COMMANDS))
"""What asks Airflow for its configuration and Connections, and nothing else: on 2.11 in `make test-long`."""
THREE_AT_ONCE = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
"""Three test files at once, on two cores: much of the time is spent waiting for servers and processes."""


class Step(NamedTuple):
    """One command."""

    name: str
    command: list[str]
    needs_atlas: bool = False


class Outcome(NamedTuple):
    """What became of it."""

    name: str
    passed: bool
    seconds: float


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venvs", help="folder of the environments")
    parser.add_argument("--long", action="store_true", help="the long tests, and only these")
    parser.add_argument("only", nargs="*", help="names of steps; none: all")
    arguments = parser.parse_args()
    with nullcontext() if arguments.long else scratch():
        return run_all(arguments)


def run_all(arguments: argparse.Namespace) -> int:
    """Run the steps and print what became of them; the exit code."""
    venvs = arguments.venvs.absolute()
    steps = list(long_steps(venvs) if arguments.long else steps_of(venvs))
    chosen = [step for step in steps if not arguments.only or step.name in arguments.only]
    with closing(SharedAtlas(needed=any(step.needs_atlas for step in chosen))) as atlas:
        outcomes = [run(step, atlas, keep=arguments.long) for step in chosen]
    print("\n==> summary")
    for name, passed, seconds in outcomes:
        print(f"  {'passed' if passed else 'FAILED'}  {seconds:6.0f} s  {name}")
    if not (venvs / "airflow-2.11").exists():
        print("  SKIPPED           Airflow 2.11: no Python for it was found")
    if atlas.missing:
        print(f"  SKIPPED           everything that needs a real Atlas: {atlas.missing}")
    return 0 if outcomes and all(outcome.passed for outcome in outcomes) else 1


@contextmanager
def scratch() -> Iterator[None]:
    """Have temporary files in memory, where it has room: tests wait for the disk half of their time, and none can tell.

    The long tests, and those that fill a disk, use a real one.
    """
    roomy = IN_MEMORY.is_dir() and min(shutil.disk_usage(IN_MEMORY).free, memory_available()) >= ROOMY
    parent = str(IN_MEMORY) if roomy else None
    with tempfile.TemporaryDirectory(prefix="mlgov-", dir=parent, ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield


def memory_available() -> int:
    """Bytes that may be used without harm; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def steps_of(venvs: Path) -> Iterator[Step]:
    """Give what `make test` runs."""
    new, old = venvs / "airflow-3.3" / "bin", venvs / "airflow-2.11" / "bin"
    yield Step("ruff check", [f"{new}/ruff", "check", "."])
    yield Step("ruff format", [f"{new}/ruff", "format", "--check", "."])
    yield Step("mypy", [f"{new}/mypy"])
    yield Step("import rings", [f"{new}/lint-imports"])
    yield Step("sbom", [f"{new}/python", "tools/audit.py", "sbom"])
    yield Step("audit", [f"{new}/python", "tools/audit.py", "audit"])
    yield Step("airflow-3.3", pytest(new, "tests", "-m", "not long and not install", *THREE_AT_ONCE), needs_atlas=True)
    if old.exists():
        left_out = [f"--ignore={path}" for path in (*ONCE, *CONFIGURED)]
        selected = ("tests", "-m", "not long and not install", *left_out)
        yield Step("airflow-2.11", pytest(old, *selected, *THREE_AT_ONCE), needs_atlas=True)
    yield Step("install", pytest(new, "tests/test_install.py", "-m", "install and not long"))


def long_steps(venvs: Path) -> Iterator[Step]:
    """Give what `make test-long` runs."""
    for name in ("airflow-3.3", "airflow-2.11"):
        if (venvs / name).exists():
            left_out = [] if name == "airflow-3.3" else [f"--ignore={path}" for path in ONCE]
            yield Step(
                f"long-{name}", pytest(venvs / name / "bin", "tests", "-m", "long", "-s", *left_out), needs_atlas=True
            )
    if (venvs / "airflow-2.11").exists():
        rest = pytest(venvs / "airflow-2.11" / "bin", *CONFIGURED, "-m", "not long", *THREE_AT_ONCE)
        yield Step("long-airflow-2.11-configured", rest, needs_atlas=True)


def pytest(programs: Path, *arguments: str) -> list[str]:
    """Give the command that runs pytest in an environment."""
    more = os.environ.get("PYTEST_ARGS", "").split()
    return [f"{programs}/python", "-m", "pytest", "-q", "--timeout=900", "--durations=25", *arguments, *more]


def run(step: Step, atlas: SharedAtlas, *, keep: bool) -> Outcome:
    """Run one step, its output shown as it comes, and kept too where that is wanted."""
    print(f"\n==> {step.name}", flush=True)
    started = time.monotonic()
    try:
        environment = atlas.environment() if step.needs_atlas else dict(os.environ)
    except atlas_server.CannotStartError as error:
        print(f"error: no Atlas for the tests: {error}", flush=True)
        return Outcome(step.name, passed=False, seconds=time.monotonic() - started)
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        output = []
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            output.append(line)
    if keep:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{step.name}.txt").write_bytes(b"".join(output))
    passed = process.returncode == 0 or (keep and process.returncode == NO_TESTS)
    return Outcome(step.name, passed, time.monotonic() - started)


class SharedAtlas:
    """One real Atlas for all steps: it starts while the linters run. A running one is used where it is named."""

    def __init__(self, *, needed: bool) -> None:
        self.missing = ""
        self._home = tempfile.TemporaryDirectory(prefix="mlgov-atlas-", ignore_cleanup_errors=True)
        self._pool = ThreadPoolExecutor(1)
        self._server: Future[atlas_server.AtlasServer] | None = None
        if needed and not os.environ.get(ATLAS_URL):
            self._server = self._pool.submit(atlas_server.start, Path(self._home.name) / "atlas")

    def environment(self) -> dict[str, str]:
        """Give the environment of a step, as soon as the server is ready."""
        if self._server is None:
            return dict(os.environ)
        try:
            server = self._server.result()
            return {**os.environ, ATLAS_URL: server.url, ATLAS_KAFKA: f"localhost:{server.kafka}"}
        except atlas_server.MissingError as error:  # the tests that need it are left out, and say so
            self.missing = str(error)
            return dict(os.environ)

    def close(self) -> None:
        """Stop the server and remove what it wrote."""
        if self._server is not None and self._server.exception() is None:
            self._server.result().stop()
        self._pool.shutdown()
        self._home.cleanup()


if __name__ == "__main__":
    sys.exit(main())
