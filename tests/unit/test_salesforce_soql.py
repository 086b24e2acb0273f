"""Queries are built from checked ids and quoted values, and fit into a URL."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest

from stagesync.connectors.salesforce.soql import is_id, is_one_of, portions, quoted, select


@pytest.mark.parametrize("text", ["00Q5g000001AbCd", "00Q5g000001AbCdEFG"])
def test_ids_of_15_and_18_characters(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", "00Q", "00Q5g000001AbCd\n", "https://evil/x", "00Q5g000001AbCdEF", "00Q5g000001Ab'--"]
)
def test_nothing_else_is_an_id(text: str) -> None:
    assert not is_id(text)


def test_values_cannot_leave_their_quotes() -> None:
    assert quoted("O'Hara\\ \n") == r"'O\'Hara\\ \n'"
    assert is_one_of("Name", ["a'", "b"]) == r"Name IN ('a\'','b')"


def test_select() -> None:
    assert select(["Id", "Account.Name"], "Opportunity", "Id > 'a'", "Id") == (
        "SELECT Id, Account.Name FROM Opportunity WHERE Id > 'a' ORDER BY Id"
    )


def test_portions_hold_each_value_once_and_fit() -> None:
    values = [f"key:{number}:{'ü' * 50}" for number in range(500)]
    parts = list(portions([*values, *values]))
    assert [value for part in parts for value in part] == values
    assert all(len(quote_plus(is_one_of("StageSync_Key__c", part))) < 9_000 for part in parts)
    assert [len(part) for part in portions([str(number) for number in range(401)])] == [200, 200, 1]
    assert list(portions([])) == []
