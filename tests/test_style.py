"""Plain English: few turns that readers stumble over, and short sentences, in every named text."""
import pytest

from tests import pages, style

TEXTS = {str(path.relative_to(pages.ROOT)): pages.prose(path.read_text()) for path in pages.PAGES}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_plain(name):
    assert not style.check({name: TEXTS[name]})


def test_turns_and_sentences_are_counted():
    found = style.measure("Two words. The rate, that\nof a model, stands here anew. It is Eq. 3.")
    assert found.turns == ["that of", "stands", "anew"] and found.words == 15
    assert found.sentences == [2, 9, 4]


def test_a_text_is_refused_for_either():
    hard = "The scale of which one speaks stands apart. " * 10
    long = "A sentence that goes on and on for many words " * 3 + "."
    plain = "Short sentences are plain. They say one thing."
    wrong = style.check({"hard": hard, "long": long, "plain": plain})
    assert [line.partition(":")[0] for line in wrong] == ["hard", "long"]
    assert "30 turns" in wrong[0] and "words in a sentence" in wrong[1]


def test_code_tables_and_headings_are_no_prose():
    page = ("# What is it\n\nA line.\n\n```python\nx = 'anew'\n```\n\n| of which | b |\n\n"
            "![a](b.png)\n")
    assert pages.prose(page).split() == ["A", "line."]
