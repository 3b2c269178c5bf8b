"""The table of docs/mqtt.md names a test for each row, and each of them exists."""

import re

from tests.program import ROOT

PAGE = (ROOT / "docs/mqtt.md").read_text()


def test_each_row_of_what_a_version_supports_names_a_test_that_exists():
    (table,) = re.findall(r"^\| \| 3\.1 \|.*\n\|---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = [row.strip("|\n ").split(" | ") for row in table.splitlines()]
    assert len(rows) > 20 and {len(row) for row in rows} == {6}
    tests = "".join(path.read_text() for path in (ROOT / "tests/mqtt").glob("test_*.py"))
    for row in rows:
        (name,) = re.findall(r"^`(test_\w+)`$", row[-1])
        assert f"\ndef {name}(" in tests, row
