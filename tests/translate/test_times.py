from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.translate.times import microseconds, milliseconds


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T22:30:00-0130", 0),
        ("1970-01-01 00:00:00.000001+00:00", 1),
        ("1970-01-01T00:00", 0),
        ("1970-01-01T00:00:00", 0),
        ("1969-12-31T23:59:59.999Z", -1_000),
        ("1970-01-01", None),
        ("1970-02-30T00:00:00Z", None),
        ("1970-01-01T00:00:00Zulu", None),
        ("١٩٧٠-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        (0, None),
    ],
)
def test_times(text, wanted):
    assert microseconds(text) == wanted
    assert milliseconds(text) == (None if wanted is None else wanted // 1000)


@given(st.datetimes(timezones=st.timezones()))
def test_what_python_writes_is_read(time):
    offset = time.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        return  # offsets with seconds are no ISO 8601
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert microseconds(time.isoformat()) == (time - epoch) // timedelta(microseconds=1)
