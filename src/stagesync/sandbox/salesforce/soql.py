"""SOQL text into a tree: a recursive-descent parser over our own tokens. It knows no schema."""

from __future__ import annotations

from stagesync.sandbox.salesforce.errors import SoqlError
from stagesync.sandbox.salesforce.soql_lexer import Token, tokens
from stagesync.sandbox.salesforce.soql_tree import (
    Both,
    Call,
    Column,
    Compare,
    Condition,
    Fields,
    Literal,
    Membership,
    Negation,
    Nested,
    Operand,
    Order,
    Path,
    Query,
    Selected,
    TypeOf,
)

KEYWORDS = frozenset(
    {"from", "where", "group", "having", "order", "limit", "offset", "with", "for", "using", "and", "or"}
)
DEEPEST = 60
LONGEST = 100_000
LARGEST = 2**31 - 1
OPERATORS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def parse(soql: str) -> Query:
    """The tree of one query.

    Raises:
        SoqlError: MALFORMED_QUERY, with the position of the token that does not fit.
    """
    if len(soql) > LONGEST:
        raise SoqlError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {LONGEST} characters.")
    reader = _Reader(tokens(soql))
    query = reader.query()
    reader.finish()
    return query


class _Reader:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _peek(self, ahead: int = 1) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _is(self, *words: str) -> bool:
        return self._next.kind == "name" and self._next.text.lower() in words

    def _symbol(self, text: str) -> bool:
        return self._next.kind == "symbol" and self._next.text == text

    def _take(self) -> Token:
        token = self._next
        if token.kind != "end":
            self._at += 1
        return token

    def _unexpected(self, token: Token | None = None) -> SoqlError:
        token = token or self._next
        return SoqlError("MALFORMED_QUERY", f"unexpected token: '{token.text}'", token.position)

    def _accept(self, *words: str) -> bool:
        if self._is(*words):
            self._at += 1
            return True
        return False

    def _expect_word(self, word: str) -> None:
        if not self._accept(word):
            raise self._unexpected()

    def _expect(self, symbol: str) -> None:
        if not self._symbol(symbol):
            raise self._unexpected()
        self._at += 1

    def _name(self) -> Token:
        if self._next.kind != "name" or self._next.text.lower() in KEYWORDS:
            raise self._unexpected()
        return self._take()

    def finish(self) -> None:
        if self._next.kind != "end":
            raise self._unexpected()

    def query(self) -> Query:
        self._expect_word("select")
        columns = [self._selected()]
        while self._symbol(","):
            self._take()
            columns.append(self._selected())
        self._expect_word("from")
        # The object Group is queried by its plain name, although the word also begins a clause.
        source = self._take() if self._is("group") else self._name()
        alias = None
        self._accept("as")
        if self._next.kind == "name" and self._next.text.lower() not in KEYWORDS:
            alias = self._take().text
        if self._accept("using"):
            self._expect_word("scope")
            self._name()
        where = self._condition() if self._accept("where") else None
        if self._accept("with"):
            self._expect_word("security_enforced")
        group_by, having = self._grouping()
        order_by = self._ordering()
        limit = self._number() if self._accept("limit") else None
        offset_position = self._next.position
        offset = self._number() if self._accept("offset") else None
        if self._accept("for") and not self._accept("view", "reference", "update"):
            raise self._unexpected()
        return Query(
            columns=tuple(columns),
            source=source.text,
            source_position=source.position,
            alias=alias,
            where=where,
            group_by=group_by,
            having=having,
            order_by=order_by,
            limit=limit,
            offset=offset,
            offset_position=offset_position,
        )

    def _selected(self) -> Selected:
        if self._symbol("("):
            self._take()
            nested = self.query()
            self._expect(")")
            return Nested(nested)
        if self._is("typeof") and self._peek().kind == "name":
            return self._typeof()
        if self._is("fields") and self._peek().text == "(":
            position = self._take().position
            self._expect("(")
            group = self._name().text.upper()
            self._expect(")")
            return Fields(group, position)
        what = self._operand()
        alias = None
        if self._next.kind == "name" and self._next.text.lower() not in KEYWORDS:
            alias = self._take().text
        return Column(what, alias)

    def _path(self) -> Path:
        token = self._name()
        return Path(tuple(token.text.split(".")), token.position)

    def _operand(self) -> Operand:
        if self._next.kind == "name" and self._peek().text == "(":
            token = self._name()
            self._expect("(")
            path = None if self._symbol(")") else self._path()
            self._expect(")")
            return Call(token.text.upper(), path, token.position)
        return self._path()

    def _typeof(self) -> TypeOf:
        self._expect_word("typeof")
        path = self._path()
        branches = []
        while self._accept("when"):
            target = self._name().text
            self._expect_word("then")
            branches.append((target, self._paths()))
        otherwise = self._paths() if self._accept("else") else ()
        self._expect_word("end")
        return TypeOf(path, tuple(branches), otherwise)

    def _paths(self) -> tuple[Path, ...]:
        found = [self._path()]
        while self._symbol(","):
            self._take()
            found.append(self._path())
        return tuple(found)

    def _grouping(self) -> tuple[tuple[Operand, ...], Condition | None]:
        keys: list[Operand] = []
        if self._accept("group"):
            self._expect_word("by")
            keys.append(self._operand())
            while self._symbol(","):
                self._take()
                keys.append(self._operand())
        having = self._condition() if self._accept("having") else None
        return tuple(keys), having

    def _ordering(self) -> tuple[Order, ...]:
        if not self._accept("order"):
            return ()
        self._expect_word("by")
        keys = [self._order()]
        while self._symbol(","):
            self._take()
            keys.append(self._order())
        return tuple(keys)

    def _order(self) -> Order:
        what = self._operand()
        descending = self._accept("desc")
        if not descending:
            self._accept("asc")
        nulls_last = False
        if self._accept("nulls"):
            nulls_last = self._accept("last")
            if not nulls_last:
                self._expect_word("first")
        return Order(what, descending, nulls_last)

    def _number(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdigit():
            raise self._unexpected(token)
        return min(int(token.text), LARGEST)

    def _condition(self) -> Condition:
        """One level of conditions; mixing AND with OR without parentheses is refused, as Salesforce does."""
        items = [self._simple()]
        if not self._is("and", "or"):
            return items[0]
        op = self._next.text.lower()
        while self._accept(op):
            items.append(self._simple())
        if self._is("and", "or"):
            raise self._unexpected()
        return Both(op.upper(), tuple(items))

    def _simple(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise SoqlError("QUERY_TOO_COMPLICATED", "The filter conditions are too complicated.")
        try:
            if self._accept("not"):
                return Negation(self._simple())
            if not self._symbol("("):
                return self._comparison()
            self._take()
            inner = self._condition()
            self._expect(")")
            return inner
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        operand = self._operand()
        token = self._take()
        word = token.text.lower()
        if token.kind == "symbol" and token.text in OPERATORS:
            return Compare(operand, OPERATORS[token.text], self._literal())
        if word == "like":
            return Compare(operand, "LIKE", self._literal())
        if word == "not":
            self._expect_word("in")
            return self._membership(operand, "NOT IN", token.position)
        if word in {"in", "includes", "excludes"}:
            return self._membership(operand, word.upper(), token.position)
        raise self._unexpected(token)

    def _membership(self, operand: Operand, op: str, position: int) -> Membership:
        self._expect("(")
        if self._is("select") and op in {"IN", "NOT IN"}:
            query = self.query()
            self._expect(")")
            return Membership(operand, op, (), query, position)
        values = [self._literal()]
        while self._symbol(","):
            self._take()
            values.append(self._literal())
        self._expect(")")
        return Membership(operand, op, tuple(values), None, position)

    def _literal(self) -> Literal:
        token = self._take()
        if token.kind in {"string", "number", "date", "datetime"}:
            return Literal(token.kind, token.text, token.position)
        if token.kind != "name":
            raise self._unexpected(token)
        word = token.text.upper()
        if word in {"TRUE", "FALSE"}:
            return Literal("boolean", word, token.position)
        if word == "NULL":
            return Literal("null", word, token.position)
        count = None
        if self._symbol(":"):
            self._take()
            count = self._number()
        return Literal("period", word, token.position, count)
