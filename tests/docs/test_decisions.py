"""docs/decisions.md holds each decision once, with its date."""

import re

import pytest

from tests.program import ROOT

TEXT = (ROOT / "docs/decisions.md").read_text()
HEADINGS = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)


def test_each_decision_is_there_once():
    titles = [heading.partition(" ")[2] for heading in HEADINGS]
    assert len(titles) > 50 and sorted(titles) == sorted(set(titles))


def test_headings_have_a_date_and_a_blank_line_before():
    assert all(re.match(r"\d{4}-\d\d-\d\d \S", heading) for heading in HEADINGS)
    assert len(re.findall(r"\n\n## ", TEXT)) == len(HEADINGS)


@pytest.mark.parametrize("decision", re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:], ids=lambda text: text[:40])
def test_each_decision_says_what_it_costs(decision):
    assert re.search(r"\b[Pp]rices?\b", decision)
