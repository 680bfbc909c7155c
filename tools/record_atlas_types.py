"""Records the built-in types of a running Atlas: names and types only, as ``catalog/types/atlas-<version>.json``.

usage: python tools/record_atlas_types.py http://admin:admin@localhost:21000 [FILE]

Types that somebody made through the API (ours among them) are left out: a built-in type was made by the server's own
account, not by the one that logs in here. The embedded catalogue works from this record, and the Atlas that the tests
start (``tools/atlas_server.py``) boots from it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDER = Path(__file__).resolve().parent.parent / "airflow_provider_mlgov" / "catalog" / "types"
CATEGORIES = ("enumDefs", "structDefs", "classificationDefs", "entityDefs", "relationshipDefs", "businessMetadataDefs")
LEFT_OUT = {"guid", "createdBy", "updatedBy", "createTime", "updateTime", "dateFormatter", "version", "description"}
LEFT_OUT |= {"subTypes", "relationshipAttributeDefs", "businessAttributeDefs", "entityTypes"}  # follow from the rest


def without_circumstances(value: Any) -> Any:
    """``value`` without what differs between servers or says nothing about names and types."""
    if isinstance(value, dict):
        return {
            key: without_circumstances(item) for key, item in value.items() if key not in LEFT_OUT and item is not None
        }
    if isinstance(value, list):
        return [without_circumstances(item) for item in value]
    return value


def record(url: str) -> tuple[str, dict[str, list[Any]]]:
    """The server's version and its built-in types, sorted by name."""
    import requests

    parts = urlsplit(url)
    login = (parts.username or "admin", parts.password or "admin")
    base = f"{parts.scheme}://{parts.hostname}:{parts.port or 21000}{parts.path.rstrip('/')}/api/atlas"
    answers = []
    for path in ("admin/version", "v2/types/typedefs"):
        response = requests.get(f"{base}/{path}", auth=login, timeout=60)
        response.raise_for_status()
        answers.append(response.json())
    version, definitions = answers
    types = {
        category: sorted(
            (
                without_circumstances(each)
                for each in definitions.get(category, ())
                if each.get("createdBy") != login[0]
            ),
            key=lambda each: str(each["name"]),
        )
        for category in CATEGORIES
    }
    return version["Version"], types


def main() -> int:
    """Record and say what was found."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    version, types = record(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) == 3 else FOLDER / f"atlas-{version}.json"
    target.write_text(
        json.dumps(types, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    counts = ", ".join(f"{len(each)} {category}" for category, each in types.items())
    print(f"Atlas {version}: {counts} -> {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
