"""The form of Atlas's messages, and what becomes of large ones."""

from __future__ import annotations

import base64
import gzip
import json
import random

from airflow_provider_mlgov.catalog import messages


def unpacked(parts: list[bytes]) -> dict:
    """As Atlas's consumer does it: the parts put together, decoded, decompressed."""
    documents = [json.loads(part) for part in parts]
    if len(documents) == 1 and documents[0]["msgCompressionKind"] == "NONE":
        return documents[0]
    assert {document["msgCompressionKind"] for document in documents} == {"GZIP"}
    assert len({document["msgId"] for document in documents}) == 1
    if len(documents) > 1:
        assert [document["msgSplitIdx"] for document in documents] == list(range(len(documents)))
        assert {document["msgSplitCount"] for document in documents} == {len(documents)}
    return json.loads(gzip.decompress(base64.b64decode("".join(document["message"] for document in documents))))


def test_a_small_message_is_one_plain_text() -> None:
    message = messages.create([{"typeName": "hive_db", "guid": "-1", "attributes": {"qualifiedName": "ü@p"}}])
    parts = messages.envelopes(message)
    assert unpacked(parts)["message"] == message
    assert "ü" in parts[0].decode()
    assert unpacked(parts)["version"] == {"version": "1.0.0"}


def test_a_large_message_is_compressed() -> None:
    message = messages.create([{"attributes": {"comment": "ab" * 1_000_000}}])
    parts = messages.envelopes(message)
    assert len(parts) == 1
    assert len(parts[0]) < messages.LONGEST
    assert unpacked(parts)["message"] == message


def test_what_compression_does_not_make_small_is_cut_in_parts() -> None:
    noise = random.Random(1).randbytes(1_500_000).hex()
    message = messages.create([{"attributes": {"comment": noise}}])
    parts = messages.envelopes(message)
    assert len(parts) > 1
    assert all(len(part) < 1_000_000 for part in parts)
    assert unpacked(parts)["message"] == message


def test_bytes_count_not_characters() -> None:
    assert len(messages.envelopes(messages.create([{"name": "ü" * 50}]), longest=400)) == 1
    assert (
        json.loads(messages.envelopes(messages.create([{"name": "ü" * 50}]), longest=330)[0])["msgCompressionKind"]
        == "GZIP"
    )


def test_fences_never_name_the_same_thing() -> None:
    assert messages.fence() != messages.fence()
    assert messages.fence()["type"] == "ENTITY_DELETE_V2"
