"""Who stands in for owners: who is asked when an owner ends a task, and who gets tasks in their place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from stagesync.model.counting import counted
from stagesync.model.crm import Owner
from stagesync.planning.escalation import Escalation

SHOWN = 5


def unfit(owners: Sequence[Owner], fallback: str | None) -> str | None:
    """Why the fallback owner can get no task; None where that is all right, none is named, or no owner is shown."""
    if fallback is None or not owners:
        return None
    named = next((one for one in owners if one.id == fallback), None)
    if named is None:
        return f"{fallback} is no user that this CRM shows; write the id of an active one"
    if named.active and not named.queue:
        return None
    return f"{named.name} is {'a queue' if named.queue else 'inactive'}; write the id of an active user"


def unmanaged(
    owners: Sequence[Owner], holding: Collection[str] | None, escalation: Escalation, fallback: str | None
) -> Iterator[tuple[str, str]]:
    """What is amiss and what follows; nothing where no manager is to be asked.

    ``holding`` are the ids of those who own open records, None where the CRM does not tell: all who are active then.
    """
    if escalation.after is None:
        return
    people = {owner.id: owner for owner in owners}
    asked = [one for one in owners if one.active and not one.queue and (holding is None or one.id in holding)]
    alone = sorted(one.name for one in asked if escalation.manager(one, people, fallback) is None)
    if alone:
        more = f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else ""
        says = f"{counted(len(alone), 'owner has', 'owners have')} no active manager: {', '.join(alone[:SHOWN])}{more}"
        yield says, "nobody is asked when they end a task; name them in tasks.managers"
    for one in escalation.named:
        strangers = sorted(name for name in {one.manager, *one.owners} if not any(name in who.names for who in owners))
        if strangers:
            yield f"tasks.managers names {', '.join(strangers)}, whom this CRM does not know", "correct the name"
