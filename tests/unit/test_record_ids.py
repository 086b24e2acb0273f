"""An id of Salesforce in its two spellings."""

from __future__ import annotations

import pytest

from stagesync.model.record_ids import long_id


@pytest.mark.parametrize(
    ("given", "long"),
    [
        ("0012w00000LlQQA", "0012w00000LlQQAAA3"),
        ("001A0000006Vm9r", "001A0000006Vm9rIAC"),
        ("006000000000001", "006000000000001AAA"),
        ("ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"),
        ("001A0000006Vm9rIAC", "001A0000006Vm9rIAC"),
        ("12345678901", "12345678901"),
        ("Ana Lima, Lisbo", "Ana Lima, Lisbo"),
        ("", ""),
    ],
)
def test_an_id_of_15_characters_gets_its_other_three(given: str, long: str) -> None:
    assert long_id(given) == long
