"""Whatever a payload parser gives, what is made of it can be stored."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.schemas import payloads, records
from chalicelib.services.points import rules
from tests.kit.clock import NOW_MS

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["a.b", "Temp 1", "x" * 26, "x" * 101, "x" * 6_001, "2026-01-01", "Invalid Date", "1e400", "\ud800", "Point"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
PLACES = st.fixed_dictionaries({}, optional={name: JSON for name in ("lat", "lng", "type", "coordinates")})
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "variable": TEXTS | JSON, "value": JSON, "unit": JSON, "group": JSON, "serie": JSON, "time": JSON,
        "location": PLACES | JSON, "metadata": st.dictionaries(TEXTS, JSON, max_size=3) | JSON, "other": JSON,
    },
)  # fmt: skip


@given(output=st.lists(RECORDS | JSON, max_size=4) | RECORDS | JSON, is_bounded=st.booleans())
@settings(deadline=None, max_examples=120)
def test_what_is_made_of_any_output_keeps_every_rule_of_a_point(output, is_bounded):
    window = (NOW_MS - 86_400_000, NOW_MS + 86_400_000) if is_bounded else None
    try:
        found = records.read(json.dumps(output))
    except ValueError:
        assert not isinstance(output, list | dict | None)
        return
    mended = records.mend(found, now_ms=NOW_MS, window=window)
    assert len(mended.items) + mended.dropped == len(found)
    for item in mended.items:
        point = rules.draft(item, now_ms=NOW_MS, group="g")
        assert window is None or window[0] <= point.time_ms <= window[1]
    assert len(mended.notes) <= records.MAX_NOTES
    "\n".join(mended.notes).encode()


@given(raw=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(deadline=None, max_examples=80)
def test_any_message_becomes_a_list_and_any_body_a_list_or_a_text(raw):
    assert isinstance(json.loads(payloads.of_message(raw, "t", is_hex=lambda: False)), list)
    for kind in ("", payloads.FORM, payloads.OCTETS, "text/plain", "application/json"):
        try:
            payload = payloads.of_body(raw, kind)
        except payloads.errors.BadRequest:
            continue
        assert isinstance(json.loads(payload), list | str)
