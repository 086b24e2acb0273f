"""From text to the typed tree in one pass: each part is checked against the vocabulary as it is read.

    condition   = all { "or" all }                      all     = negation { "and" negation }
    negation    = "not" negation | relation             sum     = product { ("+" | "-") (product | interval) }
    relation    = sum [ comparison sum                  product = factor { ("*" | "/") factor }
                      | "is" ["not"] "null"             factor  = ("-" | "+") factor | "(" condition ")" | operand
                      | ["not"] "between" sum "and" sum
                      | ["not"] "in" "(" sum { "," sum } ")"
                      | ["not"] "like" text ]

What the grammar does not have is an error where it stands, so that nothing is read and then left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from stagesync.model.tables import ColumnType
from stagesync.policy.document import nearest
from stagesync.policy.expressions import meant
from stagesync.policy.expressions.tokens import ExpressionError, Token, tokenize
from stagesync.policy.expressions.tree import (
    And,
    Arithmetic,
    Compare,
    Comparison,
    Constant,
    Expression,
    IntervalUnit,
    IsBlank,
    IsIn,
    Like,
    Moment,
    Name,
    Not,
    Operation,
    Or,
    Stated,
    Truth,
    Value,
)

DEEPEST = 40
MOST_PARTS = 600
MOST_OPERATIONS = 150
NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
MOMENTS: Mapping[str, ColumnType] = {"date": ColumnType.DATE, "timestamp": ColumnType.DATETIME}
SAME: tuple[Comparison, ...] = ("=", "!=", "<", "<=", ">", ">=")
COMPARISONS: Mapping[str, Comparison] = {**{sign: sign for sign in SAME}, "==": "=", "<>": "!="}
OPERATIONS: Mapping[str, Operation] = {"+": "+", "-": "-", "*": "*", "/": "/"}
UNITS: Mapping[str, IntervalUnit] = {"hour": "hour", "day": "day", "week": "week"}
INTERVAL = re.compile(r"([0-9]{1,5})\s*([A-Za-z]*)")
FUNCTIONS = ("stated", "today", "now")
RESERVED = ("and", "or", "not", "in", "between", "like", "is")
FOREIGN = ("select", "with", "case", "distinct", "all", "any", "symmetric", "drop", "insert", "update", "delete")
"""Words of SQL that people might write where a name belongs; evidence may have these names."""
BLANKS = ("blank", "empty")
SHIFT = "write a shift of time as: today() - interval '14' day (hours, days or weeks)"
EXAMPLE = "such as: replies >= 1"


def parse(text: object, vocabulary: Mapping[str, ColumnType], *, what: str = "evidence") -> Expression:
    """Read a condition. ``vocabulary`` are the names that may appear, with their types.

    Raises ExpressionError for whatever is not in the language, an unknown name (with the nearest right one),
    or types that do not fit, before any record is read.
    """
    if not isinstance(text, str) or not text.strip():
        raise ExpressionError(f"an expression is expected here, {EXAMPLE}")
    return _Reader(tokenize(text), vocabulary, what).whole()


class _Part(NamedTuple):
    """What was read, and the token at which an error about it is shown."""

    node: Value | Expression
    token: Token


class _Reader:
    def __init__(self, tokens: Sequence[Token], vocabulary: Mapping[str, ColumnType], what: str) -> None:
        self.tokens, self.vocabulary, self.what = tokens, vocabulary, what
        self.position = self.depth = self.parts = self.operations = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self, *words: str) -> Token | None:
        """The next token if it is one of these words or signs; reading goes on behind it."""
        return self.pop() if self.next.word in words else None

    def pop(self) -> Token:
        """The next token, whatever it is; reading goes on behind it."""
        self.position += 1
        return self.tokens[self.position - 1]

    def unexpected(self, wanted: str = "") -> ExpressionError:
        """The next token cannot stand here; ``wanted`` says what could."""
        token = self.next
        if token.kind == "end":
            last = self.tokens[self.position - 1]
            return last.error(f"not a condition near '{last.text}': something is missing after it")
        if not wanted and token.kind == "word" and token.word not in RESERVED and token.text not in self.vocabulary:
            return token.error(f"'{token.text}' is not allowed in a condition{meant.by_word(token.text.lower())}")
        before = self.tokens[self.position - 1] if self.position else token
        write = ""
        if before.kind == "number" and token.text == ",":
            write = " (write a number without separators, with a point before its decimals: 10000.5)"
        elif before.text == "=" and token.text in ("<", ">"):
            write = f" (write: {token.text}=)"
        return token.error(f"not a condition near '{token.text}': {wanted or 'this does not belong here'}{write}")

    def deeper(self, token: Token, read: Callable[[], _Part]) -> _Part:
        self.depth += 1
        if self.depth > DEEPEST:
            raise token.error(f"is nested deeper than {DEEPEST} levels")
        part = read()
        self.depth -= 1
        return part

    def whole(self) -> Expression:
        condition = self.as_condition(self.condition())
        if self.next.kind != "end":
            raise self.unexpected()
        return condition

    def condition(self) -> _Part:
        return self.joined("or", Or, lambda: self.joined("and", And, self.negation))

    def joined(self, word: str, kind: type[And | Or], read: Callable[[], _Part]) -> _Part:
        first = read()
        if self.next.word != word:
            return first
        conditions = [self.as_condition(first)]
        while self.take(word):
            conditions.append(self.as_condition(read()))
        return _Part(kind(tuple(conditions)), first.token)

    def negation(self) -> _Part:
        token = self.take("not")
        if token is None:
            return self.relation()
        return _Part(Not(self.as_condition(self.deeper(token, self.negation))), token)

    def relation(self) -> _Part:
        left = self.sum()
        if (operator := self.take(*COMPARISONS)) is not None:
            return _Part(self.comparison(left, COMPARISONS[operator.text]), left.token)
        if self.take("is"):
            return _Part(self.is_null(left), left.token)
        negated = self.take("not")
        if self.take("between"):
            node = self.between(left)
        elif self.take("in"):
            node = self.is_in(left)
        elif self.take("like"):
            node = self.like(left)
        elif negated:
            raise self.unexpected()
        else:
            return left
        return _Part(Not(node) if negated else node, left.token)

    def comparison(self, left: _Part, operator: Comparison) -> Expression:
        right = self.sum()
        at = left if isinstance(left.node, Constant) and not isinstance(right.node, Constant) else right
        return Compare(operator, *_fitted(_as_value(left), _as_value(right), at.token))

    def is_null(self, left: _Part) -> Expression:
        negated = self.take("not")
        if self.next.kind != "end" and self.next.word != "null":
            asked = "; what is unknown is never asked for" if self.next.word == "unknown" else " (write: field = true)"
            if self.next.word in BLANKS:
                asked = " (write: null)"
            raise self.next.error(f"after 'is' only null or not null may stand{asked}")
        if self.take("null") is None:
            raise self.unexpected()
        blank = IsBlank(self.as_name(left))
        return Not(blank) if negated else blank

    def between(self, left: _Part) -> Expression:
        value, low = _as_value(left), self.sum()
        if self.take("and") is None:
            raise self.unexpected("after 'between' two values are expected, such as: between 1 and 5")
        high = self.sum()
        return And(
            (
                Compare(">=", *_fitted(value, _as_value(low), low.token)),
                Compare("<=", *_fitted(value, _as_value(high), high.token)),
            )
        )

    def is_in(self, left: _Part) -> Expression:
        value, options = _as_value(left), list[Constant]()
        separator = self.take("(")
        if separator is None:
            raise self.unexpected("after 'in' a list of values is expected, such as: in ('a', 'b')")
        while separator.word != ")":
            part = self.sum()
            _, option = _fitted(value, _as_value(part), part.token)
            if not isinstance(option, Constant):
                raise part.token.error("only plain values may stand in the list after 'in'")
            options.append(option)
            following = self.take(",", ")")
            if following is None:
                raise self.unexpected()
            separator = following
        return IsIn(value, tuple(options))

    def like(self, left: _Part) -> Expression:
        name = self.as_name(left, ColumnType.TEXT, "be compared with a pattern")
        token = self.next
        if token.kind == "end":
            raise self.unexpected()
        if token.kind != "text":
            raise token.error("after 'like' a pattern in quotes is expected, such as: like 'Canceled:%'")
        if "\\" in token.text:
            raise token.error("a backslash is not allowed in a pattern")
        self.pop()
        return Like(name, token.content)

    def sum(self) -> _Part:
        left = self.product()
        while (sign := self.take("+", "-")) is not None:
            following = self.tokens[min(self.position + 1, len(self.tokens) - 1)]
            if self.next.word == "interval" and following.kind in ("text", "number"):
                left = _Part(self.shifted(left, OPERATIONS[sign.text]), left.token)
            else:
                left = self.calculated(left, sign, self.product())
        return left

    def product(self) -> _Part:
        left = self.factor()
        while (sign := self.take("*", "/")) is not None:
            left = self.calculated(left, sign, self.factor())
        return left

    def calculated(self, left: _Part, sign: Token, right: _Part) -> _Part:
        self.operations += 1
        if self.operations > MOST_OPERATIONS:
            raise sign.error("has too many operators; split it into several criteria")
        return _Part(_computed(OPERATIONS[sign.text], _as_number(left), _as_number(right)), left.token)

    def shifted(self, left: _Part, operation: Operation) -> Moment:
        self.take("interval")
        match = INTERVAL.fullmatch(self.pop().content)
        word = (match and match[2]) or self.pop().word
        unit = UNITS.get(word.lower().removesuffix("s"))
        moment = left.node
        if match is None or unit is None or not isinstance(moment, Moment):
            raise left.token.error(SHIFT)
        if unit == "hour" and moment.type is ColumnType.DATE:
            raise left.token.error("today() cannot be shifted by hours; use now()")
        if moment.shift:
            raise left.token.error("a moment can be shifted once only")
        count = int(match[1]) * (7 if unit == "week" else 1)
        return Moment(moment.type, count if operation == "+" else -count, "hour" if unit == "hour" else "day")

    def factor(self) -> _Part:
        sign = self.take("-", "+", "(")
        if sign is None:
            return self.operand()
        if sign.text == "+":
            return self.deeper(sign, self.factor)
        if sign.text == "-":
            return _negative(self.deeper(sign, self.factor))
        part = self.deeper(sign, self.condition)
        if self.take(")") is None:
            if self.next.kind == "end":
                raise sign.error("not a condition near '(': its ) is missing")
            raise self.unexpected()
        return part

    def operand(self) -> _Part:
        token = self.next
        if token.kind in ("end", "sign") or token.word in RESERVED:
            raise self.unexpected("a value is expected here, such as a name, a number or a text in quotes")
        self.pop()
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise token.error("has too many parts; split it into several criteria")
        if token.kind == "text":
            return _Part(Constant(token.content, ColumnType.TEXT), token)
        if token.kind == "number":
            return _Part(_number(token), token)
        if token.word == "null":
            raise token.error("null can only be used as 'is null' or 'is not null'")
        if token.word in ("true", "false"):
            return _Part(Constant(token.word == "true", ColumnType.BOOLEAN), token)
        if token.word in MOMENTS and self.next.kind == "text":
            day = self.pop()
            return _Part(_as_moment(day, day.content, MOMENTS[token.word]), day)
        if token.kind == "word" and self.take("("):
            return _Part(self.function(token), token)
        return _Part(self.name(token), token)

    def function(self, token: Token) -> Expression | Moment:
        if token.word not in FUNCTIONS:
            known = ", ".join(f"{name}()" for name in FUNCTIONS)
            raise token.error(f"{token.text}() is not allowed in a condition; there are {known}")
        if token.word == "stated":
            part = self.operand() if self.next.kind in ("word", "quoted") else None
            if part is None or self.take(")") is None:
                raise token.error(f"stated() takes the name of one {self.what} item")
            return Stated(self.as_name(part, ColumnType.TEXT, "be asked for with stated()"))
        if self.take(")") is None:
            raise token.error(f"{token.word}() takes nothing between its parentheses")
        return Moment(ColumnType.DATE if token.word == "today" else ColumnType.DATETIME)

    def name(self, token: Token) -> Name:
        name, before = token.content, self.tokens[max(self.position - 2, 0)]
        while self.take("."):
            if self.next.kind not in ("word", "quoted"):
                raise self.unexpected("the rest of a name is expected here")
            name = f"{name}.{self.pop().content}"
        known = self.vocabulary.get(name)
        if known is None and token.word in FOREIGN:
            raise token.error(f"'{token.text}' is not allowed in a condition")
        if known is None:
            hint = nearest(name, list(self.vocabulary)) or meant.by_name(
                name, quoted=token.kind == "quoted", compared=before.word in COMPARISONS
            )
            raise token.error(f"unknown {self.what} '{name}'{hint}")
        return Name(name, known)

    def as_condition(self, part: _Part) -> Expression:
        # Whatever else comes next is what is wrong, such as an operator that is not in the language.
        if self.next.word in COMPARISONS:
            raise self.next.error("a comparison is not a value; join two of them with 'and'")
        if self.next.kind != "end" and self.next.word not in ("and", "or", ")"):
            raise self.unexpected()
        if isinstance(part.node, Name):
            return Truth(self.as_name(part, ColumnType.BOOLEAN, "stand as a condition of its own"))
        if isinstance(part.node, Value):
            raise part.token.error(f"{_describe(part.node)} is not a condition; write a comparison, {EXAMPLE}")
        return part.node

    def as_name(self, part: _Part, wanted: ColumnType | None = None, purpose: str = "") -> Name:
        if not isinstance(part.node, Name):
            raise part.token.error(f"the name of one {self.what} item is expected here")
        if wanted is not None and part.node.type is not wanted:
            raise part.token.error(f"'{part.node.name}' is of type {part.node.type} and cannot {purpose}")
        return part.node


def _as_value(part: _Part) -> Value:
    if not isinstance(part.node, Value):
        called = "stated()" if isinstance(part.node, Stated) else "a condition"
        raise part.token.error(f"{called} is not a value and cannot be compared; it is true or false by itself")
    return part.node


def _as_number(part: _Part) -> Value:
    value = _as_value(part)
    if value.type not in NUMERIC:
        shift = " (write: today() + interval '7' day)" if value.type in meant.MOMENTS else ""
        raise part.token.error(f"cannot calculate with {_describe(value)}{shift}")
    return value


def _computed(operation: Operation, left: Value, right: Value) -> Arithmetic:
    whole = left.type is right.type is ColumnType.INTEGER and operation != "/"
    return Arithmetic(operation, left, right, ColumnType.INTEGER if whole else ColumnType.NUMBER)


def _negative(part: _Part) -> _Part:
    value = _as_number(part)
    if isinstance(value, Constant) and isinstance(value.value, int | float):
        return _Part(Constant(-value.value, value.type), part.token)
    return _Part(_computed("-", Constant(0, ColumnType.INTEGER), value), part.token)


def _number(token: Token) -> Constant:
    if token.text.isdecimal() and len(token.text) <= 18:
        return Constant(int(token.text), ColumnType.INTEGER)
    number = float(token.text)
    if not math.isfinite(number):
        raise token.error(f"{token.text} is too large")
    return Constant(number, ColumnType.NUMBER)


def _as_moment(token: Token, text: str, wanted: ColumnType) -> Constant:
    try:
        if wanted is ColumnType.DATE:
            return Constant(date.fromisoformat(text), wanted)
        value = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-01-31" if wanted is ColumnType.DATE else "2026-01-31T12:00:00Z"
        raise token.error(f"'{text}' is not a {wanted}; write it as '{example}'") from None
    if value.tzinfo is None:
        raise token.error(f"'{text}' names no time zone; end it with Z for UTC")
    try:
        return Constant(value.astimezone(UTC), wanted)
    except OverflowError:
        raise token.error(f"'{text}' lies outside the years 1 to 9999 in UTC") from None


def _fitted(left: Value, right: Value, at: Token) -> tuple[Value, Value]:
    """Both sides with types that can be compared; a date in quotes becomes a date. ``at`` is where they clash."""
    if left.type in NUMERIC and right.type in NUMERIC:
        return left, right
    if left.type in meant.MOMENTS and isinstance(right, Constant) and isinstance(right.value, str):
        return left, _as_moment(at, right.value, left.type)
    if right.type in meant.MOMENTS and isinstance(left, Constant) and isinstance(left.value, str):
        return _as_moment(at, left.value, right.type), right
    if left.type is not right.type:
        clash = f"cannot compare {_describe(left)} with {_describe(right)}"
        raise at.error(clash + meant.by_types(left.type, right.type))
    return left, right


def _describe(value: Value) -> str:
    match value:
        case Name(name=name, type=kind):
            return f"'{name}' ({kind})"
        case Constant(value=constant, type=kind):
            return f"the {kind} '{constant}'"
        case Moment(type=kind):
            return "today()" if kind is ColumnType.DATE else "now()"
        case Arithmetic():
            return "a calculated number"
