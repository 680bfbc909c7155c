"""What the package stands on: a list (SBOM, CycloneDX), whether each part is pinned and may be used, and what is known against it.

python tools/audit.py sbom [FILE]     writes the list, and checks pins, licences and that all fits together
python tools/audit.py audit           asks an advisory service; says loudly where none can be reached
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.prefix).parent / "audit" / "bin"
"""What does the work, in an environment of its own beside the one that is looked at."""
SBOM = ROOT / "dist" / "sbom.cdx.json"
SERVICE = "MLGOV_ADVISORIES"
"""Names another advisory service than the public one of OSV."""
OWN = "airflow-provider-mlgov"
BUILT_IN = frozenset({"pip", "setuptools", "uv", "wheel"})
"""What makes environments is not pinned by them."""
COPYLEFT = re.compile(r"\b(?:A?GPL|GNU (?:Affero )?General Public)", re.I)
EXCUSED = {
    "text-unidecode": "Artistic License or GPL, at choice; Airflow's",
    "docutils": "public domain, BSD and Python; one tool in it is GPL; only for building documentation",
}
"""Distributions that name a copyleft licence, and why they may be used."""


KNOWN = {"openlineage-sql": "Apache-2.0"}
"""Licences of distributions that do not say theirs, as their source does."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    sbom = commands.add_parser("sbom", help="write the list of what is installed, and check it")
    sbom.add_argument("file", type=Path, nargs="?", default=SBOM)
    commands.add_parser("audit", help="ask an advisory service about what is pinned")
    arguments = parser.parse_args()
    return write_sbom(arguments.file) if arguments.command == "sbom" else ask_advisories()


def write_sbom(file: Path) -> int:
    """Write the SBOM of this environment; exit code 1 where a part is not pinned, or nobody knows its licence."""
    file.parent.mkdir(parents=True, exist_ok=True)
    program = PROGRAMS / "cyclonedx-py"
    command = [program, "environment", "--output-reproducible", "--of", "JSON", "--pyproject", ROOT / "pyproject.toml"]
    command.append("--no-validate")  # against a schema that takes a minute, of what the same program writes
    subprocess.run([*command, "-o", file, sys.executable], check=True)
    count = len(json.loads(file.read_text(encoding="utf-8"))["components"])
    found = list(distributions())
    wrong = [*unpinned(found, pins()), *unlicensed(found)]
    for line in wrong:
        print(f"error: {line}")
    print(f"{file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}: {count} components, {len(wrong)} wrong")
    return 1 if wrong else 0


def pins() -> dict[str, set[str]]:
    """Give the versions that constraints/ allow, by name."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "constraints").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, mark, rest = line.partition("==")
            if mark:
                found.setdefault(plain(name), set()).add(rest.partition(";")[0].strip())
    return found


def plain(name: str) -> str:
    """Give a name in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower().strip()


def unpinned(installed: list[Distribution], pinned: dict[str, set[str]]) -> list[str]:
    """Say which distributions have another version than constraints/ say."""
    wrong = []
    for each in installed:
        name = plain(each.metadata["Name"])
        if name not in BUILT_IN | {OWN} and each.version not in pinned.get(name, set()):
            wrong.append(f"{name} {each.version} is not pinned in constraints/: make constraints")
    return sorted(wrong)


def unlicensed(installed: list[Distribution]) -> list[str]:
    """Say which distributions have no known licence, or one that would bind who uses the package."""
    wrong = []
    for each in installed:
        name = plain(each.metadata["Name"])
        said = KNOWN.get(name) or licence_of(each)
        if not said:
            wrong.append(f"{name} {each.version} names no licence, and holds none")
        elif COPYLEFT.search(said) and not re.search("LGPL|Lesser", said) and name not in EXCUSED:
            wrong.append(f"{name} {each.version} is under {said!r}: give it a reason in tools/audit.py, or leave it")
    return sorted(wrong)


def licence_of(each: Distribution) -> str:
    """Give what a distribution says of its licence; the first line of its licence file where it says nothing."""
    metadata = each.metadata
    said = metadata.get("License-Expression") or ""
    named = [
        line.rpartition("::")[2].strip()
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    said = said or ", ".join(named) or (metadata.get("License") or "").strip().partition("\n")[0]
    if not said:
        files = [file for file in each.files or () if re.match(r"(?i)licen[cs]e|copying", file.name)]
        said = next((file.read_text().strip().partition("\n")[0] for file in files), "")
    return said


def ask_advisories() -> int:
    """Ask about everything in constraints/; exit code 1 where something is known. Not asked is not passed: it is said."""
    service = os.environ.get(SERVICE, "https://api.osv.dev/v1/query")
    parts = urlsplit(service)
    try:
        socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), 5
        ).close()
    except OSError as error:
        print(
            f"\n*** NOT RUN: no advisory service at {parts.hostname} ({error}): run `make audit` where one can be reached ***\n"
        )
        return 0
    codes = []
    for path in sorted((ROOT / "constraints").glob("*.txt")):
        print(f"==> {path.relative_to(ROOT)}", flush=True)
        program = PROGRAMS / "pip-audit"
        command = [program, "-r", path, "--no-deps", "--disable-pip", "-s", "osv", "--osv-url", service]
        codes.append(subprocess.run(command, check=False).returncode)
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
