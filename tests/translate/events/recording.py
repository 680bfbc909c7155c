"""What the scripts share that record the events of producers. Nothing but the standard library: producers import it, too."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MAVEN_DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


def command_line(doc: str, *, sends: bool = True) -> argparse.ArgumentParser:
    """The options of a script; ``sends``: also those of one that can send to an endpoint."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "recording")
    if sends:
        parser.add_argument("--url", help="send to this OpenLineage endpoint instead of a file")
        parser.add_argument("--token", default="", help="for --url")
    return parser


def fetch(artifact: str, folder: Path) -> None:
    """Put an artifact of Maven's into a folder."""
    copy = ["mvn", "-q", "-B", f"{MAVEN_DEPENDENCY}:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
    subprocess.run(copy, check=True)


def java_transport(events: Path, url: str | None, token: str) -> dict[str, str]:
    """The options of OpenLineage's Java client: to an endpoint, or without one into a file."""
    if not url:
        return {"type": "file", "location": str(events)}
    return {"type": "http", "url": url, "endpoint": "/api/v1/lineage", "auth.type": "api_key", "auth.apiKey": token}


def save(output: Path, text: str, instead: Iterable[tuple[str, str]]) -> None:
    """Keep recorded events, one a line, with what tells of the recording machine replaced."""
    for found, other in instead:
        text = text.replace(found, other)
    output.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{output}: {len(text.splitlines())} events\n")
