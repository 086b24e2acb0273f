"""Strict YAML: every problem has a place, and nothing that a file may hold brings the loader down."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stagesync.errors import ConfigurationError
from stagesync.policy.definitions import load_definition
from stagesync.policy.document import read_document
from stagesync.policy.durations import Duration, Unit


def refused(folder: Path, content: str | bytes) -> ConfigurationError:
    file = folder / "file.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError) as caught:
        read_document(file)
    assert str(file) in str(caught.value)
    return caught.value


BOMB = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n"


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ("a:\n\tb: 1\n", "2:1", "a tab cannot be used"),
        ("a: 1\n\tb: 2\n", "2:1", "a tab cannot be used"),
        ("a: &x 1\n", "1:4", "anchors and aliases"),
        ("a: 1\nb: *x\n", "2:4", "anchors and aliases"),
        (BOMB, "1:4", "anchors and aliases"),
        ("a: !!python/object:os.system x\n", "1:4", "tags"),
        ("a: !foo {b: 1}\n", "1:4", "tags"),
        ("é: ok\na: [1, 2\n", "3:1", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "2:1", "another document"),
        ("ab: 1\nc: x\0y\n", "2:5", "control character (U+0000)"),
        (b"a: 1\nb: \xff\xfe\n", "2:1", "not UTF-8"),
        ("a: 1\n".encode("utf-16"), "1:1", "not UTF-8"),
        ("? [1, 2]\n: x\n", "1:3", "a key must be a word"),
        ("[" * 60 + "]" * 60, "1:41", "nested deeper"),
        ("a: " + "{a: " * 60 + "1" + "}" * 60, "1:160", "nested deeper"),
        ("a: '", "1:5", "is not YAML"),
    ],
)
def test_what_is_not_strict_yaml_is_refused_at_its_place(
    tmp_path: Path, content: str | bytes, place: str, said: str
) -> None:
    error = refused(tmp_path, content)
    assert f":{place}: " in str(error)
    assert said in str(error)


def test_a_huge_file_is_refused_before_it_is_read_as_yaml(tmp_path: Path) -> None:
    began = time.perf_counter()
    assert "larger than 4 MB" in str(refused(tmp_path, "a: b\n" * 2_000_000))
    assert time.perf_counter() - began < 2


def test_no_file_and_a_folder_are_said_so(tmp_path: Path) -> None:
    for file, said in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(ConfigurationError, match=said):
            read_document(file)


def test_words_stay_words_and_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(
        b"\xef\xbb\xbf{on: yes, off: no, y: n, day: 2026-01-31, time: 12:30, hex: 0x1F, old: 1_000, nan: .nan,"
        b" true: TRUE, int: 42, big: 1234567890123456789012, float: 1.50, none: ~, quoted: '1', empty: }"
    )
    assert read_document(file).data == {
        "on": "yes", "off": "no", "y": "n", "day": "2026-01-31", "time": "12:30", "hex": "0x1F", "old": "1_000",
        "nan": ".nan", "true": True, "int": 42, "big": 1234567890123456789012.0, "float": 1.5, "none": None,
        "quoted": "1", "empty": None,
    }  # fmt: skip


def test_a_key_that_stands_twice_does_not_hide_the_other_problems(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    document = read_document(file)
    with pytest.raises(ConfigurationError) as caught:
        document.raise_problems()
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(4, 3), (5, 1)]
    assert "'c' stands twice" in caught.value.problems[0].message


# Where an error inside an expression stands, however the expression is written in the file.
DEFINITION = """\
definition: x
ladder: [lead]
evidence:
  # é, to count characters and not bytes
  replies: {{type: integer}}
  pain: {{type: text}}
stages:
  lead:
    means: é
    requires:
      - id: one
        because: b
        ask: a
        check: {check}
"""


@pytest.mark.parametrize(
    ("check", "place", "said"),
    [
        ("replys >= 1", (14, 16), "did you mean 'replies'"),
        ("'replys >= 1'", (14, 17), "did you mean 'replies'"),
        ('"replys >= 1"', (14, 17), "did you mean 'replies'"),
        ("replies >= 1 and replys >= 1", (14, 33), "did you mean 'replies'"),
        ("'pain = ''x'' and replys >= 1'", (14, 34), "did you mean 'replies'"),
        ('"pain = \\"x\\" and 1 = 1"', (14, 24), "unknown evidence 'x'"),
        (">\n          replies >= 1\n          and replys >= 1", (16, 15), "did you mean 'replies'"),
        (">-\n          replies >= 1 and\n          replies > > 1", (16, 21), "a value is expected here"),
        (">\n          replies >", (15, 19), "something is missing"),
        ("|\n          replies >= 1\n          and replys >= 1", (16, 15), "did you mean 'replies'"),
        ("|\n          pain = 'x' ||", (15, 22), "does not belong here"),
        ("| # replys\n          replys >= 1", (15, 11), "did you mean 'replies'"),
        ("'   replys >= 1'", (14, 20), "did you mean 'replies'"),
        ("'   replies >= 1 and   replys = 1'", (14, 39), "did you mean 'replies'"),
        ("'    x = 1 or     y = 1'", (14, 21), "unknown evidence 'x'"),
        ("pain = 'é' and replys >= 1", (14, 31), "did you mean 'replies'"),
        ("replies in (1, 'x')", (14, 31), "with the text 'x'"),
        ("replies >= 1\n          and\n          replys >= 1", (16, 11), "did you mean 'replies'"),
        ("'pain = ''a\n          b'' and replys >= 1'", (15, 19), "did you mean 'replies'"),
    ],
)
def test_an_error_in_an_expression_stands_where_the_admin_wrote_it(
    tmp_path: Path, check: str, place: tuple[int, int], said: str
) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(DEFINITION.format(check=check), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_definition(file)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert (problem.line, problem.column) == place


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("14 business days", Duration(14, Unit.BUSINESS_DAYS)),
        ("1 business day", Duration(1, Unit.BUSINESS_DAYS)),
        (" 60  days ", Duration(60, Unit.DAYS)),
        ("2 weeks", Duration(14, Unit.DAYS)),
        ("36 hours", Duration(36, Unit.HOURS)),
        ("1 hour", Duration(1, Unit.HOURS)),
        ("30 minutes", Duration(30, Unit.MINUTES)),
        ("1 minute", Duration(1, Unit.MINUTES)),
        ("0 days", Duration(0, Unit.DAYS)),
    ],
)
def test_a_length_of_time_is_what_it_says(text: str, length: Duration) -> None:
    assert Duration.parse(text) == length
    assert Duration.parse(str(length)) == length


@pytest.mark.parametrize(
    "text", ["", "14", "days", "-1 days", "1.5 days", "999999 days", "1 month", "1d", 14, None, True, []]
)
def test_what_is_no_length_of_time_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="write it as '14 business days'"):
        Duration.parse(text)


def test_a_pipe_is_no_file_and_what_never_ends_is_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigurationError, match="it is a pipe and no file"):
        read_document(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigurationError, match="larger than 4 MB"):
        read_document(Path("/dev/zero"))
