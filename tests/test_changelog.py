"""The changelog has the form of Keep a Changelog, and begins with this version."""
import re

from tests.support import ROOT
from tfisovae.version import __version__

TEXT = (ROOT / "CHANGELOG.md").read_text()
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def test_versions_have_a_date_or_are_unreleased():
    found = re.findall(r"^## (.*)$", TEXT, re.M)
    assert found[0].startswith(f"[{__version__}] - ")
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d\d-\d\d)", head)
               for head in found)


def test_entries_are_one_line_each_under_a_kind_of_change():
    newest = TEXT.split("\n## ")[1]
    kinds = re.findall(r"^### (.*)$", newest, re.M)
    assert kinds == [kind for kind in KINDS if kind in kinds] and len(kinds) >= 3
    for section in newest.split("\n### ")[1:]:
        lines = section.strip().splitlines()[2:]
        assert lines and all(line.startswith("- ") and len(line) <= 120 for line in lines)
