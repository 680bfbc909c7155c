from __future__ import annotations

from urllib.parse import quote

import pytest

from airflow_provider_mlgov.translate.texts import MAX_NAME, json_text, long, nameable, named_values, plain, shorten


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a", "a"),
        (" a\nb\t", "a b"),
        ("", None),
        ("\n", None),
        (None, None),
        (3, None),
        ("x" * 9000, "x" * 7999 + "…"),
        ("\ud800", None),
    ],
)
def test_plain(value, wanted):
    assert plain(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("a\nb", "a\nb"), ("", None), (3, None), ("ä\ud800", "ä?"), ("x" * 100_001, "x" * 99_999 + "…")],
)
def test_long(value, wanted):
    assert long(value) == wanted


def test_an_indexed_text_stays_below_what_stalls_atlas():
    text = plain("\U0001f600" * 20_000)
    assert text is not None
    assert len(text.encode()) < 32_766


@pytest.mark.parametrize("char", ["a", "/", "%", "ä", "\U0001f600", "\ud800"])
@pytest.mark.parametrize("length", [100, 101, 400, 1_200, 1_201, 100_000])
def test_a_name_fits_into_a_request(char, length):
    name = nameable(char * length)
    assert len(quote(name, errors="replace", safe="")) <= MAX_NAME
    assert (name == char * length) == (len(quote(char * length, errors="replace", safe="")) <= MAX_NAME)
    assert nameable(char * length + "b") != name


def test_shorten():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"


def test_named_values_are_canonical_and_always_json():
    assert named_values({}) is None
    assert named_values({"b": float("nan"), "a": 1}) == '[{"name":"a","value":1},{"name":"b","value":"nan"}]'
    assert json_text({"b": "ä", "a": 1}) == '{"a":1,"b":"\\u00e4"}'
