"""Which rows of a plan a person means: by key, rule, owner, stage, record or kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stagesync.errors import UsageError
from stagesync.model.changes import Change
from stagesync.model.record_ids import long_id
from stagesync.policy.document import nearest

Texts = tuple[str | None, ...]
FACETS: Mapping[str, Callable[[Change], Texts]] = {
    "key": lambda change: (change.key,),
    "rule": lambda change: (change.rule, change.rule.partition(".")[0]),
    "owner": lambda change: (change.owner, change.owner_name),
    "stage": lambda change: (change.stage_from, change.stage_to, *change.before.values(), *change.after.values()),
    "record": lambda change: (change.record, change.record_name),
    "object": lambda change: (change.object,),
    "connection": lambda change: (change.connection,),
    "kind": lambda change: (change.kind.value,),
}
BARE = ("key", "record")


def chosen(changes: Sequence[Change], only: Sequence[str], without: Sequence[str]) -> list[Change]:
    """The changes that any term of ``only`` means (all, without one), but for those that a term of ``without`` does.

    A term is ``rule=premature``, ``owner=Ana Lima``, ``stage=Proposal``; without a name it is a key or a record. Case
    does not matter. Raises UsageError for a term that is misspelt or means no row at all.
    """
    kept = {change.key for term in only for change in _meant(changes, term)} if only else None
    dropped = {change.key for term in without for change in _meant(changes, term)}
    return [one for one in changes if (kept is None or one.key in kept) and one.key not in dropped]


def _meant(changes: Sequence[Change], term: str) -> list[Change]:
    name, separator, value = term.partition("=")
    facets = (name.strip().lower(),) if separator and name.strip().lower() in FACETS else BARE
    text = (value if facets != BARE else term).strip()
    wanted = {text.casefold(), long_id(text).casefold()}
    found = [change for change in changes if any(wanted & _folded(FACETS[facet](change)) for facet in facets)]
    if not found:
        names = ", ".join(f"{facet}=..." for facet in FACETS)
        if separator and facets == BARE and (near := nearest(name.strip().lower(), list(FACETS))):
            raise UsageError(f"'{term}' means no row{near}; there are {names}")
        texts = {text for change in changes for facet in facets for text in FACETS[facet](change) if text}
        near = nearest(text, texts)
        raise UsageError(
            f"'{term}' means no row{near}. Write a key or a record's id or name as it is shown, or one of {names}"
        )
    return found


def _folded(texts: Texts) -> set[str]:
    return {text.strip().casefold() for text in texts if text}
