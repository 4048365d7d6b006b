"""How plainly a text is written: turns that readers stumble over, and the length of sentences.

    found = style.measure(text)
    assert found.turns_per_thousand <= style.MOST_TURNS
    assert found.words_per_sentence <= style.MOST_WORDS
"""
import re
from typing import NamedTuple

MOST_TURNS = 2  # in 1,000 words
MOST_WORDS = 17  # in a sentence, on average
TURNS = ("of which", "that of", "those of", "is said", "are said", "what is", "anew", "apart",
         "beside", "stands", "at rest", "untold")
_TURN = re.compile(r"\b(?:" + "|".join(TURNS).replace(" ", r"\s+") + r")\b", re.I)
# A sentence ends at a mark before a space, at an empty line, and at the end of an entry of a list.
_END = re.compile(r"[.!?]+(?=[\s\"')*]|$)|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s")
_WORD = re.compile(r"[A-Za-z][\w'-]*|\d[\d.,]*")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|Fig|Figs|Eq|Eqs|App|Apps|No)\.")


class Style(NamedTuple):
    """Of one text.

    Attributes:
      words: how many.
      turns: the turns of `TURNS` that were found, in order.
      sentences: how many words each sentence has.
    """

    words: int
    turns: list[str]
    sentences: list[int]

    @property
    def turns_per_thousand(self) -> float:
        return 1000 * len(self.turns) / max(self.words, 1)

    @property
    def words_per_sentence(self) -> float:
        return sum(self.sentences) / max(len(self.sentences), 1)


def measure(text: str) -> Style:
    """The `Style` of plain prose: code, tables and headings are left out before."""
    text = _ABBREVIATION.sub(lambda found: found[0][:-1], text)
    sentences = [len(_WORD.findall(part)) for part in _END.split(text)]
    return Style(len(_WORD.findall(text)), [" ".join(turn.split()) for turn in _TURN.findall(text)],
                 [count for count in sentences if count])


def check(texts: dict[str, str]) -> list[str]:
    """What is wrong with named texts: an empty list where they are plain."""
    wrong = []
    for name, text in texts.items():
        found = measure(text)
        # One turn in a short text is not a rate.
        if len(found.turns) > max(1, MOST_TURNS * found.words / 1000):
            wrong.append(f"{name}: {len(found.turns)} turns in {found.words} words: {found.turns}")
        if found.words_per_sentence > MOST_WORDS:
            wrong.append(f"{name}: {found.words_per_sentence:.1f} words in a sentence")
    return wrong
