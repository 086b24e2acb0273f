"""Each promise of docs/guarantees.md names tests, and those tests are there."""

from __future__ import annotations

import ast
import re

from .blocks import REPOSITORY

PAGE = REPOSITORY / "docs" / "guarantees.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_promise_names_a_test_that_there_is() -> None:
    promises, _, _ = PAGE.read_text(encoding="utf-8").partition("## What is not promised")
    rows = [line for line in promises.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [row for row in rows if not row.startswith("| promise |")]
    assert len(rows) > 20
    for row in rows:
        named = NAMED.findall(row)
        assert named, f"no test holds this: {row}"
        for file, name in named:
            tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{file} has no {name}"
