"""The README is short, and says first what a stranger asks for."""
from tests.pages import ROOT, blocks

README = (ROOT / "README.md").read_text()


def test_the_readme_is_short():
    assert len(README.encode()) <= 7_000


def test_an_audit_and_a_training_have_about_ten_lines():
    code = [block.text for block in blocks(README) if block.language == "python"]
    assert len(code) == 2
    for block in code:
        lines = [line for line in block.splitlines() if line and not line.startswith("import")]
        assert len(lines) <= 10


def test_a_stranger_finds_the_two_commands():
    assert "\nmake run " in README and "\nmake test " in README
