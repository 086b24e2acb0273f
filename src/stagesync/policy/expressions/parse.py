"""From text to the typed tree: sqlglot parses, a whitelist of nodes and of their arguments lets through.

Whitelisting node types alone is not enough: sqlglot folds ``not like`` and ``between symmetric`` into
arguments of the same node, so that a reader of types would silently drop the ``not``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NoReturn

import sqlglot
from sqlglot import TokenType, exp

from stagesync.model.tables import ColumnType
from stagesync.policy.document import nearest
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

# sqlglot warns on its logger when it falls back to parsing a statement as a command; we refuse those ourselves.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

DIALECT = sqlglot.Dialect()
LONGEST = 4_000
DEEPEST = 40
MOST_NODES = 600
NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
FUNCTIONS = ("stated", "today", "now")
UNITS: Mapping[str, IntervalUnit] = {"HOUR": "hour", "DAY": "day", "WEEK": "week"}
COMPARISONS: Mapping[type[exp.Expr], Comparison] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
OPERATIONS: Mapping[type[exp.Expr], Operation] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
ARGUMENTS: Mapping[type[exp.Expr], frozenset[str]] = {
    **{kind: frozenset({"this", "expression"}) for kind in (*COMPARISONS, *OPERATIONS, exp.And, exp.Or, exp.Is)},
    # typed and safe say how a dialect divides; our division is defined by the tree.
    exp.Div: frozenset({"this", "expression", "typed", "safe"}),
    exp.Not: frozenset({"this"}),
    exp.Paren: frozenset({"this"}),
    exp.Neg: frozenset({"this"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
    exp.In: frozenset({"this", "expressions"}),
    exp.Between: frozenset({"this", "low", "high", "negate"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
    exp.Interval: frozenset({"this", "unit"}),
    exp.Var: frozenset({"this"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.DataType: frozenset({"this", "nested"}),
}


class ExpressionError(Exception):
    """What is wrong in an expression; ``offset`` and ``token`` say where in its text."""

    def __init__(self, message: str, offset: int = 0, token: str = "") -> None:
        self.message, self.offset, self.token = message, offset, token
        super().__init__(message)


def parse(text: object, vocabulary: Mapping[str, ColumnType], *, what: str = "evidence") -> Expression:
    """Read a condition. ``vocabulary`` are the names that may appear, with their types.

    Raises ExpressionError for whatever is not in the language, an unknown name (with the nearest right one),
    or types that do not fit, before any record is read.
    """
    if not isinstance(text, str) or not text.strip():
        raise ExpressionError("an expression is expected here, such as: replies >= 1")
    _limit(text)
    try:
        tokens = DIALECT.tokenize(text)
        _refuse_tokens(text, tokens)
        statements = DIALECT.parser().parse(tokens, text)
    except sqlglot.errors.TokenError:
        raise _not_closed(text) from None
    except sqlglot.errors.SqlglotError as error:
        raise _syntax_error(text, error) from None
    except RecursionError:
        raise ExpressionError(f"is nested deeper than {DEEPEST} levels") from None
    if len(statements) != 1 or statements[0] is None:
        raise ExpressionError("one condition is expected here, such as: replies >= 1")
    return _Reader(text, vocabulary, what).condition(statements[0])


def _limit(text: str) -> None:
    if len(text) > LONGEST:
        raise ExpressionError(f"is longer than {LONGEST:,} characters; split it into several criteria")
    depth = 0
    for offset, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST} levels", offset, "(")
    if text.lower().split().count("not") > DEEPEST:
        raise ExpressionError(f"has more than {DEEPEST} 'not'")
    if text.count("-") + text.count("+") + text.count("*") + text.count("/") > MOST_NODES // 4:
        raise ExpressionError("has too many operators; split it into several criteria")


def _refuse_tokens(text: str, tokens: Sequence[sqlglot.Token]) -> None:
    """Refuse what sqlglot's tree no longer shows: most comments, and ``is unknown``, which it reads as ``is null``."""
    before = None
    for token in tokens:
        if token.comments:
            # As it is written, with its quotes; token.text has lost them.
            written = text[token.start : token.end + 1]
            raise ExpressionError("comments are not allowed inside a condition", token.start, written)
        if token.token_type is TokenType.SEMICOLON:
            raise ExpressionError("one condition is expected, without a semicolon", token.start, token.text)
        if token.token_type is TokenType.UNKNOWN and before is TokenType.IS:
            message = "after 'is' only null or not null may stand; what is unknown is never asked for"
            raise ExpressionError(message, token.start, token.text)
        if token.token_type is not TokenType.NOT:
            before = token.token_type


def _not_closed(text: str) -> ExpressionError:
    quote = next((mark for mark in "'\"" if text.count(mark) % 2), "")
    return ExpressionError("not a condition: a quote or a comment is not closed", max(text.rfind(quote), 0), quote)


def _syntax_error(text: str, error: sqlglot.errors.SqlglotError) -> ExpressionError:
    details = getattr(error, "errors", None) or [{}]
    token = str(details[0].get("highlight") or "")
    reason = str(details[0].get("description") or "it cannot be read").rstrip(".")
    if reason.startswith("Required keyword"):
        reason = "something is missing beside it"
    elif "nexpected token" in reason or "<Token" in reason:
        reason = "this does not belong here"
    before = str(details[0].get("start_context") or "")
    offset = len(before) if token and text.startswith(before) else max(text.find(token), 0)
    near = f" near '{token}'" if token else ""
    return ExpressionError(f"not a condition{near}: {reason}", offset, token)


class _Reader:
    def __init__(self, text: str, vocabulary: Mapping[str, ColumnType], what: str) -> None:
        self.text, self.vocabulary, self.what = text, vocabulary, what
        self.nodes = 0

    def fail(self, node: exp.Expr, message: str) -> NoReturn:
        # sqlglot gives places to names, literals and functions only: this one, the first inside, or the one around.
        around: exp.Expr | None = node
        while around is not None:
            places = [part.meta for part in around.walk() if "start" in part.meta]
            if places:
                place = around.meta if "start" in around.meta else self.first(around, places)
                start, end = int(place["start"]), int(place["end"])
                raise ExpressionError(message, start, self.text[start : end + 1])
            around = around.parent
        raise ExpressionError(message)

    @staticmethod
    def first(node: exp.Expr, places: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
        # The new name is what is wrong with an alias; elsewhere it is the whole, which starts at its first part.
        return places[0] if isinstance(node, exp.Alias) else min(places, key=lambda place: int(place["start"]))

    def check(self, node: exp.Expr) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            self.fail(node, "has too many parts; split it into several criteria")
        allowed = ARGUMENTS.get(type(node))
        if allowed is None:
            self.fail(node, f"{_called(node)} is not allowed in a condition")
        for argument, value in node.args.items():
            if value and argument not in allowed:
                self.fail(node, f"'{argument}' is not allowed with {_called(node)}")

    def condition(self, node: exp.Expr) -> Expression:
        self.check(node)
        match node:
            case exp.Paren():
                return self.condition(node.this)
            case exp.And() | exp.Or():
                return self.joined(node)
            case exp.Not():
                return Not(self.condition(node.this))
            case exp.Is():
                return self.is_null(node)
            case exp.In():
                return self.is_in(node)
            case exp.Between():
                return self.between(node)
            case exp.Like():
                return self.like(node)
            case exp.Column():
                return Truth(self.name_of(node, ColumnType.BOOLEAN, "stand as a condition of its own"))
            case exp.Anonymous():
                return self.function(node)
        if type(node) in COMPARISONS:
            return self.comparison(node)
        self.fail(node, f"{_called(node)} is not a condition; write a comparison, such as: replies >= 1")

    def joined(self, node: exp.Expr) -> Expression:
        kind = type(node)
        flat: list[Expression] = []
        pending = [node.expression, node.this]
        while pending:
            part = pending.pop()
            if type(part) is kind:
                self.check(part)
                pending += [part.expression, part.this]
            else:
                flat.append(self.condition(part))
        return And(tuple(flat)) if kind is exp.And else Or(tuple(flat))

    def is_null(self, node: exp.Expr) -> Expression:
        subject, right = node.this, node.expression
        if isinstance(right, exp.Not) and isinstance(right.this, exp.Null):
            return Not(IsBlank(self.name_of(subject)))
        if not isinstance(right, exp.Null):
            self.fail(node, "after 'is' only null or not null may stand (write: field = true)")
        return IsBlank(self.name_of(subject))

    def is_in(self, node: exp.Expr) -> Expression:
        value = self.value(node.this)
        if not node.expressions:
            self.fail(node, "after 'in' a list of values is expected, such as: in ('a', 'b')")
        options = []
        for item in node.expressions:
            option = self.value(item)
            if not isinstance(option, Constant):
                self.fail(item, "only plain values may stand in the list after 'in'")
            _, fitted = self.fitted(value, option, at=item)
            assert isinstance(fitted, Constant)
            options.append(fitted)
        return IsIn(value, tuple(options))

    def between(self, node: exp.Expr) -> Expression:
        value = self.value(node.this)
        low = Compare(">=", *self.fitted(value, self.value(node.args["low"]), at=node.args["low"]))
        high = Compare("<=", *self.fitted(value, self.value(node.args["high"]), at=node.args["high"]))
        both = And((low, high))
        return Not(both) if node.args.get("negate") else both

    def like(self, node: exp.Expr) -> Expression:
        name = self.name_of(node.this, ColumnType.TEXT, "be compared with a pattern")
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            self.fail(pattern, "after 'like' a pattern in quotes is expected, such as: like 'Canceled:%'")
        if "\\" in pattern.this:
            self.fail(pattern, "a backslash is not allowed in a pattern")
        condition = Like(name, str(pattern.this))
        return Not(condition) if node.args.get("negate") else condition

    def function(self, node: exp.Expr) -> Expression:
        if str(node.this).lower() != "stated":
            self.fail(node, self.unknown_function(node))
        if len(node.expressions) != 1 or not isinstance(node.expressions[0], exp.Column):
            self.fail(node, f"stated() takes the name of one {self.what} item")
        return Stated(self.name_of(node.expressions[0], ColumnType.TEXT, "be asked for with stated()"))

    def comparison(self, node: exp.Expr) -> Expression:
        left, right = self.value(node.this), self.value(node.expression)
        at = node.this if isinstance(left, Constant) and not isinstance(right, Constant) else node.expression
        return Compare(COMPARISONS[type(node)], *self.fitted(left, right, at=at))

    def value(self, node: exp.Expr) -> Value:
        self.check(node)
        match node:
            case exp.Paren():
                return self.value(node.this)
            case exp.Column():
                return self.name_of(node)
            case exp.Literal():
                return self.literal(node)
            case exp.Boolean():
                return Constant(bool(node.this), ColumnType.BOOLEAN)
            case exp.Neg():
                return self.negative(node)
            case exp.Anonymous():
                return self.moment(node)
            case exp.Cast():
                return self.dated(node)
            case exp.Null():
                self.fail(node, "null can only be used as 'is null' or 'is not null'")
        if type(node) in OPERATIONS:
            return self.arithmetic(node)
        self.fail(node, f"{_called(node)} is not a value")

    def literal(self, node: exp.Expr) -> Constant:
        text = str(node.this)
        if node.args.get("is_string"):
            return Constant(text, ColumnType.TEXT)
        if text.isdecimal() and len(text) <= 18:
            return Constant(int(text), ColumnType.INTEGER)
        try:
            number = float(text)
        except ValueError:
            self.fail(node, f"{text} is not a number")
        if not math.isfinite(number):
            self.fail(node, f"{text} is too large")
        return Constant(number, ColumnType.NUMBER)

    def negative(self, node: exp.Expr) -> Value:
        inner = self.value(node.this)
        if isinstance(inner, Constant) and isinstance(inner.value, int | float) and inner.type in NUMERIC:
            return Constant(-inner.value, inner.type)
        self.check_number(node.this, inner)
        return self.computed("-", Constant(0, ColumnType.INTEGER), inner)

    def moment(self, node: exp.Expr) -> Moment:
        name = str(node.this).lower()
        if name not in ("today", "now") or node.expressions:
            self.fail(node, self.unknown_function(node))
        return Moment(ColumnType.DATE if name == "today" else ColumnType.DATETIME)

    def dated(self, node: exp.Expr) -> Constant:
        kind = node.args["to"].this
        wanted = {exp.DataType.Type.DATE: ColumnType.DATE, exp.DataType.Type.TIMESTAMP: ColumnType.DATETIME}.get(kind)
        if wanted is None or not (isinstance(node.this, exp.Literal) and node.this.is_string):
            self.fail(node, "only date '2026-01-31' or timestamp '2026-01-31 12:00:00' may stand here")
        return self.as_moment(node, str(node.this.this), wanted)

    def as_moment(self, node: exp.Expr, text: str, wanted: ColumnType) -> Constant:
        try:
            if wanted is ColumnType.DATE:
                return Constant(date.fromisoformat(text), wanted)
            value = datetime.fromisoformat(text)
        except ValueError:
            example = "2026-01-31" if wanted is ColumnType.DATE else "2026-01-31T12:00:00Z"
            self.fail(node, f"'{text}' is not a {wanted}; write it as '{example}'")
        if value.tzinfo is None:
            self.fail(node, f"'{text}' names no time zone; end it with Z for UTC")
        try:
            return Constant(value.astimezone(UTC), wanted)
        except OverflowError:
            self.fail(node, f"'{text}' lies outside the years 1 to 9999 in UTC")

    def arithmetic(self, node: exp.Expr) -> Value:
        operation = OPERATIONS[type(node)]
        left = self.value(node.this)
        if isinstance(left, Moment) and isinstance(node.expression, exp.Interval):
            return self.shifted(node, left, operation)
        right = self.value(node.expression)
        self.check_number(node.this, left)
        self.check_number(node.expression, right)
        return self.computed(operation, left, right)

    def check_number(self, node: exp.Expr, value: Value) -> None:
        if value.type not in NUMERIC:
            self.fail(node, f"cannot calculate with {_describe(value)}")

    def computed(self, operation: Operation, left: Value, right: Value) -> Arithmetic:
        whole = left.type is right.type is ColumnType.INTEGER and operation != "/"
        return Arithmetic(operation, left, right, ColumnType.INTEGER if whole else ColumnType.NUMBER)

    def shifted(self, node: exp.Expr, left: Moment, operation: Operation) -> Moment:
        interval = node.expression
        self.check(interval)
        unit = UNITS.get(str(interval.args.get("unit") or "").upper().rstrip("S"))
        amount = str(interval.this.this) if isinstance(interval.this, exp.Literal) else ""
        if unit is None or operation not in ("+", "-") or not amount.isdecimal() or len(amount) > 5:
            self.fail(node, "write a shift of time as: today() - interval '14' day (hours, days or weeks)")
        if unit == "hour" and left.type is ColumnType.DATE:
            self.fail(node, "today() cannot be shifted by hours; use now()")
        if left.shift:
            self.fail(node, "a moment can be shifted once only")
        count = int(amount) * (7 if unit == "week" else 1)
        return Moment(left.type, count if operation == "+" else -count, "hour" if unit == "hour" else "day")

    def name_of(self, node: exp.Expr, wanted: ColumnType | None = None, purpose: str = "") -> Name:
        if isinstance(node, exp.Paren):
            return self.name_of(node.this, wanted, purpose)
        if not isinstance(node, exp.Column):
            self.fail(node, f"the name of one {self.what} item is expected here")
        self.check(node)
        name = ".".join(str(part.this) for part in (node.args.get("table"), node.this) if part)
        known = self.vocabulary.get(name)
        if known is None:
            self.fail(node, f"unknown {self.what} '{name}'{nearest(name, list(self.vocabulary))}")
        if wanted is not None and known is not wanted:
            self.fail(node, f"'{name}' is of type {known} and cannot {purpose}")
        return Name(name, known)

    def fitted(self, left: Value, right: Value, *, at: exp.Expr) -> tuple[Value, Value]:
        """Both sides with types that can be compared; a date in quotes becomes a date. ``at`` is where they clash."""
        if left.type in NUMERIC and right.type in NUMERIC:
            return left, right
        moments = (ColumnType.DATE, ColumnType.DATETIME)
        if left.type in moments and isinstance(right, Constant) and isinstance(right.value, str):
            return left, self.as_moment(at, right.value, left.type)
        if right.type in moments and isinstance(left, Constant) and isinstance(left.value, str):
            return self.as_moment(at, left.value, right.type), right
        if left.type is not right.type:
            remedy = ""
            if left.type in moments and right.type in moments:
                remedy = " (today() is a date, now() a datetime)"
            self.fail(at, f"cannot compare {_describe(left)} with {_describe(right)}{remedy}")
        return left, right

    def unknown_function(self, node: exp.Expr) -> str:
        name = str(node.this)
        return f"{name}() is not allowed in a condition; there are {', '.join(f'{f}()' for f in FUNCTIONS)}"


def _called(node: exp.Expr) -> str:
    if isinstance(node, exp.Func):
        return f"{node.sql_name().lower()}()"
    if isinstance(node, exp.Query):
        return "a query"
    return f"'{type(node).__name__.lower()}'"


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
