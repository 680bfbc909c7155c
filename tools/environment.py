"""Makes the virtual environments of this project, or brings them up to date.

    python3 tools/environment.py make airflow-3.3 airflow-2.11     what `make` calls; the second call does nothing
    python3 tools/environment.py lock                              writes constraints/ anew

Needs nothing but a Python with `venv`. It runs on any Python 3, so that it can say what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "constraints"

ENVIRONMENTS = {
    # name: (what Airflow, first and last Python it runs on, dependency groups of pyproject.toml); no Airflow: no package either
    "airflow-3.3": ("apache-airflow>=3.3,<3.4", (3, 10), (3, 13), ("test", "lint")),
    "airflow-2.11": ("apache-airflow>=2.11,<2.12", (3, 10), (3, 12), ("test",)),
    # What the benchmarks measure beside us, and the last Airflow that DataHub's plugin can be loaded by.
    "benchmarks": ("apache-airflow>=3.1,<3.2", (3, 10), (3, 13), ("test", "bench")),
    # Beside Airflow its dependencies would cost every Airflow that starts two seconds: jsonschema loads what it finds.
    "audit": ("", (3, 10), (3, 13), ("audit",)),
}
EXTRAS = "demo,kafka,server"
KERBEROS = ",kerberos"
"""Built from source: installed where the headers of Kerberos and a compiler are; pinned everywhere."""
PREFERRED = ("python3.12", "python3.11", "python3.13", "python3.10")
STAMP = "mlgov-installed"


class SetupError(Exception):
    """An environment cannot be made; the message says what to do."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venvs", help="folder of the environments")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make environments or bring them up to date")
    make.add_argument("names", nargs="+", choices=sorted(ENVIRONMENTS))
    make.add_argument("--optional", action="store_true", help="leave out, loudly, what no Python here can run")
    locks = commands.add_parser("lock", help="resolve the newest versions and write the constraints files")
    locks.add_argument("names", nargs="*", help="only these environments; none: all")
    arguments = parser.parse_args()
    venvs = arguments.venvs.absolute()
    try:
        if arguments.command == "lock":
            lock(venvs, arguments.names)
            return 0
        for name in arguments.names:
            provide(name, venvs, optional=arguments.optional)
    except SetupError as error:
        print(f"\nerror: {error}\n", file=sys.stderr)
        return 2
    return 0


def provide(name: str, venvs: Path, *, optional: bool) -> None:
    """Make one environment, unless it is there already as its constraints and the project's dependencies want it."""
    airflow, first, last, groups = ENVIRONMENTS[name]
    folder, constraints = venvs / name, CONSTRAINTS / f"{name}.txt"
    stamp, wanted = folder / STAMP, digest(constraints)
    present = version(str(python_in(folder)))
    usable = present is not None and first <= present <= last
    if usable and stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    uv = find_uv(venvs)
    if not usable:
        interpreter = find_interpreter(first, last)
        if interpreter is None:
            problem = f"{name} needs Python {dotted(first)} to {dotted(last)}, and none was found"
            if optional:
                print(f"\n*** SKIPPED: {problem} ***\n", flush=True)
                return
            raise SetupError(f"{problem}. Install one, or name it: make PYTHON=/path/to/python3.12")
        say(f"{name}: new environment in {folder} with {interpreter}")
        new_environment(interpreter, folder, uv)
    say(
        f"{name}: installing {'the package, Airflow and ' if airflow else ''}what else is in constraints/{constraints.name}"
    )
    install(folder, uv, constraints, groups, package=bool(airflow))
    stamp.write_text(wanted)
    say(f"{name}: ready after {time.monotonic() - started:.0f} s")


def install(folder: Path, uv: str | None, constraints: Path, groups: tuple[str, ...], *, package: bool) -> None:
    """Install groups, and the project, editable, with its extras."""
    python = str(python_in(folder))
    arguments = ["-c", str(constraints), *(["-e", f"{ROOT}[{extras()}]"] if package else [])]
    for group in groups:
        arguments += ["--group", f"{PROJECT}:{group}"]
    if uv is not None:
        run(uv, "pip", "install", "--python", python, *arguments)
    else:
        run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1")  # the first that knows groups
        run(python, "-m", "pip", "install", "--progress-bar", "off", *arguments)


def extras() -> str:
    """Give the extras that can be installed on this machine."""
    return EXTRAS + (KERBEROS if shutil.which("krb5-config") and shutil.which("cc") else "")


def new_environment(interpreter: str, folder: Path, uv: str | None) -> None:
    """Make an empty environment in place of whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    if uv is not None:
        run(uv, "venv", "--quiet", "--python", interpreter, str(folder))
    else:
        run(interpreter, "-m", "venv", str(folder))


def find_uv(venvs: Path) -> str | None:
    """Find uv, or install it for this project alone; None where it cannot be had and pip has to do."""
    found = shutil.which("uv")
    if found:
        return found
    own = venvs / "tools" / "bin" / "uv"
    if own.exists():
        return str(own)
    tools = venvs / "tools"
    say("installing uv, which installs the rest")
    if attempt(sys.executable, "-m", "venv", str(tools)) and attempt(
        str(python_in(tools)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv>=0.8"
    ):
        return str(own)
    shutil.rmtree(tools, ignore_errors=True)
    if not attempt(sys.executable, "-c", "import ensurepip, venv"):
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: its `venv` or `ensurepip` is missing. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )
    say("uv cannot be installed here; pip does the work, which takes longer")
    return None


def find_interpreter(first: tuple[int, int], last: tuple[int, int]) -> str | None:
    """Find a Python between two versions: the running one, then on PATH, then those that pyenv has."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    for candidate in (sys.executable, *PREFERRED, *map(str, sorted(pyenv.glob("versions/3.*/bin/python")))):
        path = shutil.which(candidate)
        found = version(path) if path else None
        if path and found and first <= found <= last:
            return path
    return None


def lock(venvs: Path, names: list[str]) -> None:
    """Write one constraints file for each environment, good for every Python it runs on."""
    uv = find_uv(venvs)
    if uv is None:
        raise SetupError("constraints are resolved with uv, which cannot be installed here")
    CONSTRAINTS.mkdir(exist_ok=True)
    for name, (airflow, first, _, groups) in ENVIRONMENTS.items():
        if names and name not in names:
            continue
        target = CONSTRAINTS / f"{name}.txt"
        command = [uv, "pip", "compile", "-", "--universal", "--python-version", dotted(first)]
        command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--upgrade", "--quiet"]
        if airflow:
            command += [str(PROJECT), *(f"--extra={extra}" for extra in (EXTRAS + KERBEROS).split(","))]
        command += [word for group in groups for word in ("--group", f"{PROJECT}:{group}")]
        answer = subprocess.run(command, input=airflow.encode(), stdout=subprocess.PIPE, env=environment(), check=False)
        if answer.returncode:
            raise SetupError(f"uv found no versions for {name}")
        pins = [line for line in answer.stdout.decode().splitlines() if "==" in line]
        target.write_text("\n".join(pins) + "\n")
        say(f"{target.relative_to(ROOT)}: {len(pins)} lines")


def digest(constraints: Path) -> str:
    """Digest what decides about an installation: constraints, this file, pyproject.toml but for its tools' settings."""
    project = PROJECT.read_text(encoding="utf-8").split("\n[tool.ruff", 1)[0]
    parts = (
        project,
        extras(),
        constraints.read_text(encoding="utf-8"),
        Path(__file__).read_text(encoding="utf-8"),
        str(ROOT),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def version(python: str) -> tuple[int, int] | None:
    """Ask an interpreter for its version; None where it does not run (shims of version managers may not)."""
    try:
        answer = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:2])"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60, check=True,
        )  # fmt: skip
        major, minor = answer.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return int(major), int(minor)


def python_in(folder: Path) -> Path:
    """Name the interpreter of an environment."""
    return folder / "bin" / "python"


def dotted(version: tuple[int, int]) -> str:
    """Write a version as people do."""
    return f"{version[0]}.{version[1]}"


def environment() -> dict[str, str]:
    """Give the environment of child processes: uv must not fetch a Python of its own."""
    return {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}


def run(*command: str) -> None:
    """Run a command whose failure ends everything."""
    if subprocess.run(command, stdin=subprocess.DEVNULL, env=environment(), check=False).returncode:
        raise SetupError(f"this failed: {' '.join(command)}")


def attempt(*command: str) -> bool:
    """Run a command that may fail, quietly."""
    quiet = subprocess.DEVNULL
    return (
        subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment(), check=False).returncode == 0
    )


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
