"""What never belongs in the repository: where a machine fetches its packages, its paths, and secrets."""

from __future__ import annotations

import re
import subprocess

import pytest

from .blocks import REPOSITORY

# Written so that this file does not hold what it looks for.
FORBIDDEN = {
    "a package registry's host": re.compile(
        r"pypi\.(?:org|python)|pythonhosted\.|registry\.npmjs|npmjs\.(?:com|org)|deb\.debian\.(?:org|net)"
    ),
    "a path of one machine": re.compile(r"(?<![\w.])/(?:work|farm|root|home/\w+|Users/\w+)/"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a token": re.compile(
        r"\bgh[pousr]_[A-Za-z0-9]{36}|\bAKIA[0-9A-Z]{16}\b|\bpat-(?:na|eu)\d-[0-9a-f]{8}-[0-9a-f]{4}-"
    ),
}
BINARY = (".png", ".ico", ".parquet", ".woff2", ".gz")


@pytest.fixture(scope="module")
def tracked() -> list[tuple[str, str]]:
    """Name and text of every file that git holds or would hold."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [(name, REPOSITORY / name) for name in names if not name.endswith(BINARY)]
    return [(name, file.read_text(encoding="utf-8")) for name, file in files if file.is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str, tracked: list[tuple[str, str]]) -> None:
    places = [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"
        for name, text in tracked
        for found in FORBIDDEN[what].finditer(text)
    ]
    assert places == []


@pytest.mark.parametrize(
    ("what", "example"),
    [
        ("a package registry's host", "https://" + "pypi" + ".org/simple"),
        ("a package registry's host", '"resolved": "https://' + "registry.npm" + 'js.org/a.tgz"'),
        ("a path of one machine", "see /" + "work/main/src"),
        ("a path of one machine", "'/" + "home/ada/stagesync'"),
        ("a private key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
        ("a token", "pat-na1-" + "01234567-89ab-cdef"),
    ],
)
def test_they_would_be_found(what: str, example: str) -> None:
    assert FORBIDDEN[what].search(example)


def test_nothing_large_is_tracked(tracked: list[tuple[str, str]]) -> None:
    """A recording or a database lands in a commit by accident, and stays in everyone's clone for ever."""
    large = [name for name, text in tracked if len(text) > 1_000_000]
    assert large == []
