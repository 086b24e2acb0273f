"""The parser against what people write who know SQL: what is in the language, and where an error stands."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagesync.model.tables import ColumnType
from stagesync.policy.expressions import ExpressionError, parse
from tests.unit import oracle
from tests.unit.trees import EXPRESSIONS, VOCABULARY


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        parse(text, VOCABULARY)
    return caught.value


# The part of the text that is wrong stands between » and «.
REFUSED = [
    ("replies between »symmetric« 3 and 1", "'symmetric' is not allowed"),
    ("replies between 1 »5«", "after 'between' two values are expected"),
    ("replies in (»,« 1)", "a value is expected here"),
    ("replies in (1, »)«", "a value is expected here"),
    ("replies in »1«", "after 'in' a list of values is expected"),
    ("pain »ilike« 'x'", "'ilike' is not allowed"),
    ("won and pain not »ilike« 'x'", "'ilike' is not allowed"),
    ("pain like 'x' »escape« '!'", "'escape'"),
    ("pain »contains« 'x'", "(write: like '%x%')"),
    ("pain = »Acme«", "unknown evidence 'Acme' (a text stands in quotes: 'Acme')"),
    ("pain like »'50\\%'«", "backslash"),
    ("pain like »step«", "a pattern in quotes"),
    ("pain »similar« to 'x'", "'similar' is not allowed"),
    ("pain »rlike« 'x'", "'rlike' is not allowed"),
    ("pain »~« 'x'", "does not belong here"),
    ("»replys« >= 1", "unknown evidence 'replys' (did you mean 'replies'?)"),
    ("replies >= 1 and »replys« >= 1", "did you mean 'replies'?"),
    ("replies >= 1 and »amout«\n >= 1", "did you mean 'amount'?"),
    ("»account«.name = 'x'", "unknown evidence 'account.name'"),
    ('pain = »"x"«', "unknown evidence 'x'"),
    ("amount > »'lots'«", "cannot compare 'amount' (number) with the text 'lots'"),
    ("»'lots'« < amount", "cannot compare the text 'lots' with 'amount'"),
    ("pain in ('a', »1«)", "with the integer '1'"),
    ("replies between 1 and »'x'«", "with the text 'x'"),
    ("replies in (»calls«)", "only plain values"),
    ("close_date in ('2026-01-01', »'2026-02-30'«)", "'2026-02-30' is not a date"),
    ("last_activity > »'2026-01-01T00:00:00'«", "no time zone"),
    ("last_activity > »'0001-01-01T00:00:00+14:00'«", "years 1 to 9999"),
    ("close_date > »now«()", "today() is a date, now() a datetime"),
    ("replies + »pain« > 1", "cannot calculate with 'pain' (text)"),
    ("-»pain« > 1", "cannot calculate"),
    ("»read_csv«('/etc/passwd') = 1", "read_csv() is not allowed"),
    ("»abs«(replies) > 1", "abs() is not allowed"),
    ("»coalesce«(replies, 0) > 1", "coalesce()"),
    ("replies = (»select« 1)", "'select' is not allowed"),
    ("»exists« (select 1)", "exists()"),
    ("replies in (»select« 1)", "'select' is not allowed"),
    ("»drop« table deals", "'drop' is not allowed"),
    ("»case« when won then won end", "'case' is not allowed"),
    ("»cast«(replies as text) = 'x'", "cast() is not allowed"),
    ("replies»::«text = 'x'", "does not belong here"),
    ("replies >= 1 »as« x", "'as' is not allowed"),
    ("replies >= 1 »won«", "does not belong here"),
    ("replies = 1; won", "semicolon"),
    ("replies = 1»;«", "semicolon"),
    ("replies >= 1 »and«", "something is missing after it"),
    ("replies > »>« 1", "a value is expected here"),
    ("»(«replies >= 1", "its ) is missing"),
    ("replies >= 1»)«", "does not belong here"),
    ("pain = »'«x", "not closed"),
    ("replies = null", "null can only be used as 'is null'"),
    ("replies is »true«", "after 'is' only null or not null"),
    ("replies is »unknown«", "after 'is' only null or not null"),
    ("replies is not »unknown«", "after 'is' only null or not null"),
    ("replies is »distinct« from 1", "after 'is' only null or not null"),
    ("replies", "cannot stand as a condition of its own"),
    ("true", "is not a condition"),
    ("1", "is not a condition"),
    ("replies = 1 »=« 1", "is not a value"),
    ("1 < replies »<« 3", "is not a value"),
    ("(»replies« > 1) = won", "is not a value"),
    ("stated(»replies«)", "cannot be asked for with stated()"),
    ("»stated«(pain, step)", "takes the name of one"),
    ("stated(pain) = true", "stated()"),
    ("»pivot«", "unknown evidence 'pivot'"),
    ("»today«(replies) > '2026-01-01'", "nothing between its parentheses"),
    ("replies > »1e400«", "too large"),
    ("close_date > »today«() - 14", "cannot calculate with today()"),
    ("last_activity > »now«() - interval '1' month", "write a shift of time as"),
    ("close_date > »today«() - interval '2' hour", "cannot be shifted by hours"),
    ("pain »||« 'x' = 'x'", "does not belong here"),
    ("replies »%« 2 = 1", "does not belong here"),
    ("»*«", "a value is expected here"),
    ("»@«replies > 1", "does not belong here"),
    ("", "an expression is expected"),
    ("  \n ", "an expression is expected"),
]


@pytest.mark.parametrize(("marked", "said"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_is_not_in_the_language_is_refused_where_it_stands(marked: str, said: str) -> None:
    text = marked.replace("»", "").replace("«", "")
    error = refused(text)
    assert said in error.message
    if "»" in marked:
        assert error.offset == marked.index("»")
        assert error.token == marked[marked.index("»") + 1 : marked.index("«")]


MEANT = [
    ("replies ≥ 1", "(write: >=)"),
    ("replies => 1", "(write: >=)"),
    ("won && won", "(write: and)"),
    ("pain = ‘slow’", "(a text stands in straight quotes: 'x')"),
    ('pain = "slow"', "(in double quotes stands a name; a text stands in single ones)"),
    ("replies > 10,000", "with a point before its decimals"),
    ("replies > €5", "(write the number alone)"),
    ("replies > '5'", "(a number stands without quotes)"),
    ("won = 1", "(write true or false, without quotes)"),
    ("won = yes", "(write: true)"),
    ("close_date < today", "(write: today())"),
    ("close_date < today() + 7", "(write: today() + interval '7' day)"),
    ("close_date < 2026-01-31", "(a day stands in quotes: '2026-01-31')"),
    ("pain is empty", "(write: null)"),
    ("PAIN = 'slow'", "(did you mean 'pain'?)"),
    ("stated(р)", "(its 'р' is the cyrillic small letter er)"),
]


@pytest.mark.parametrize(("text", "said"), MEANT, ids=[text for text, _ in MEANT])
def test_what_other_languages_and_word_processors_make_of_it_is_put_right(text: str, said: str) -> None:
    assert said in refused(text).message


# A comment in a folded YAML scalar would swallow the rest of the condition, so it is refused wherever it stands.
@pytest.mark.parametrize(
    "text",
    [
        "replies >= 1 -- and won",
        "pain like 'x' -- and won",
        "pain is null -- and won",
        "not -- c\n won",
        "last_activity > now() - interval '1' /* c */ day",
        "close_date = date '2026-01-01' -- c",
        "date /* c */ '2026-01-01' = close_date",
        "replies in (1) /* c */",
        "(won) -- c",
        "-- c\n won",
        "stated(pain /* c */)",
        "won {# c #}",
        "replies = --1",
    ],
)
def test_no_comment_is_swallowed(text: str) -> None:
    assert "comments are not allowed" in refused(text).message


def test_dashes_inside_quotes_are_no_comment() -> None:
    parse("pain = '-- a /* b */ ; c'", VOCABULARY)


def test_too_much_of_anything_is_refused_before_it_costs_anything() -> None:
    too_much = {
        "10 MB": "won or " * 1_500_000 + "won",
        "parentheses": "(" * 500 + "won" + ")" * 500,
        "nots": "not " * 500 + "won",
        "nots in parentheses": "not(" * 100 + "won" + ")" * 100,
        "minuses": "replies = " + "- " * 1_000 + "1",
        "parts": " or ".join(["won"] * 620),
        "sums": "replies" + " + 1" * 700 + " > 0",
    }
    for what, text in too_much.items():
        began = time.perf_counter()
        refused(text)
        assert time.perf_counter() - began < 5, what


@pytest.mark.parametrize(
    "unit", ["!", "~", "[", "{", "case when ", "not\t", "@", "won = ", "select ", "exists ", "a.", "x'", "-> "]
)
def test_no_repetition_brings_the_parser_down(unit: str) -> None:
    refused((unit * 4_000)[:3_990] + " won")


def test_text_with_strange_characters_is_refused_or_read_but_never_fails() -> None:
    for text in ("won\0", "\ufeffwon", "won\u2028", "pain = '\0'", "pain = 'é\u202e'", "replies = ٣", "\ud800 = 1"):
        try:
            parse(text, VOCABULARY)
        except ExpressionError:
            continue


@settings(max_examples=150)
@given(EXPRESSIONS)
def test_whatever_is_drawn_is_in_the_language(node: oracle.Node) -> None:
    parse(oracle.written(node), VOCABULARY)


SIGNS = "and or not ( ) like between in is null = >= 'x' 1 - today() interval day , case select -- /* ; stated * . as"
WORDS = [*VOCABULARY, *SIGNS.split(), "date", "symmetric", '"', "'"]


@settings(max_examples=300)
@example('" " --')
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_read_or_refused_inside_itself(text: str) -> None:
    error = None
    try:
        parse(text, VOCABULARY)
    except ExpressionError as caught:
        error = caught
    assert error is None or text[error.offset :].startswith(error.token)


@pytest.mark.parametrize("name", ["select", "date", "interval", "stated", "now", "today", "case", "pivot", "desc"])
def test_evidence_may_have_the_name_of_a_word_of_sql(name: str) -> None:
    assert parse(f"{name} >= 1", {name: ColumnType.INTEGER}) == parse(f'"{name}" >= 1', {name: ColumnType.INTEGER})


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("won or closed and not replies = 1", "won or (closed and (not (replies = 1)))"),
        ("replies - 1 - 2 * 3 > 0", "((replies - 1) - (2 * 3)) > 0"),
        ("replies / 2 / 3 > - calls", "((replies / 2) / 3) > (-calls)"),
        ("not replies between 1 and 3 and won", "(not (replies between 1 and 3)) and won"),
        ("REPLIES IN (1, -2) AND NOT pain IS NOT NULL", "replies in (1, -2) and (not (pain is not null))"),
        ("close_date > TODAY() - interval '2 weeks'", "close_date > today() - interval 14 day"),
    ],
)
def test_what_binds_first(text: str, same: str) -> None:
    assert parse(text.replace("REPLIES", "replies"), VOCABULARY) == parse(same, VOCABULARY)


def test_a_where_names_columns_not_evidence() -> None:
    with pytest.raises(ExpressionError, match="unknown column 'Incomming'"):
        parse("Incomming", {"Incoming": ColumnType.BOOLEAN}, what="column")
