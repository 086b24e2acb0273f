"""The words and signs of an expression, each with its place in the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from stagesync.policy.expressions.meant import by_sign

LONGEST = 4_000
# What is in no expression is taken as one, so that an error shows || or :: as it is written.
TOKENS = re.compile(
    r"""(?P<comment>--|/\*|\{\#)
      | (?P<text>'[^']*(?:''[^']*)*')
      | (?P<quoted>"[^"]*(?:""[^"]*)*")
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|[-+*/=<>(),.])
      | (?P<semicolon>;)
      | (?P<open>['"])
      | (?P<stray>[|&^%~!@\#$?:\\]+|\S)""",
    re.VERBOSE,
)
REFUSED = {
    "comment": "comments are not allowed inside a condition",
    "semicolon": "one condition is expected, without a semicolon",
    "open": "not a condition: a quote is not closed",
}


class ExpressionError(Exception):
    """What is wrong in an expression; ``offset`` and ``token`` say where in its text."""

    def __init__(self, message: str, offset: int = 0, token: str = "") -> None:
        self.message, self.offset, self.token = message, offset, token
        super().__init__(message)


class Token(NamedTuple):
    """One word, sign, number or text: ``text`` as it is written, from the character ``start`` on.

    ``kind`` is word, quoted (a name in double quotes), number, text, sign, or end, which comes last.
    """

    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """What it is in the grammar: a word in lower case or a sign; nothing for names in quotes and values."""
        return self.text.lower() if self.kind in ("word", "sign") else ""

    @property
    def content(self) -> str:
        """The text without its quotes."""
        quote = self.text[:1]
        return self.text[1:-1].replace(quote * 2, quote) if self.kind in ("text", "quoted") else self.text

    def error(self, message: str) -> ExpressionError:
        """Something is wrong here."""
        return ExpressionError(message, self.start, self.text)


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression, an ``end`` behind them. Raises ExpressionError for what is in no expression."""
    if len(text) > LONGEST:
        raise ExpressionError(f"is longer than {LONGEST:,} characters; split it into several criteria")
    tokens = []
    for match in TOKENS.finditer(text):
        token = Token(str(match.lastgroup), match[0], match.start())
        if token.kind in REFUSED:
            raise token.error(REFUSED[token.kind])
        if token.kind == "stray":
            raise token.error(f"not a condition near '{token.text}': this does not belong here{by_sign(token.text)}")
        tokens.append(token)
    return [*tokens, Token("end", "", len(text))]
