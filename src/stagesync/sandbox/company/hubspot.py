"""Lives written as a HubSpot portal keeps them: contacts, deals, companies, and everything around them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.buffers import Buffers
from stagesync.sandbox.company.hubspot_activities import Activities, Link, Row, iso
from stagesync.sandbox.company.life import Account, Buyer, Life, Step
from stagesync.sandbox.company.staff import EVERYBODY, GHOST, Rep
from stagesync.sandbox.company.tracks import CONTACTS
from stagesync.sandbox.hubspot.portal import HistoryRow, Portal

FIRST_OWNER, FIRST_USER = 41_629_000, 52_310_000
DECIDING_ROLES = ("DECISION_MAKER", "DECISION_MAKER;BUDGET_HOLDER", "CHAMPION;DECISION_MAKER")
OTHER_ROLES = ("CHAMPION", "END_USER", "INFLUENCER", "BLOCKER", "LEGAL_AND_COMPLIANCE", "BUDGET_HOLDER", None)
# People who are known only because they take part in a deal: on no rung, or customers already.
BYSTANDER_STAGES = ("other", "subscriber", "customer", "evangelist")
LEAD_STATUSES = {"lead": "NEW", "marketingqualifiedlead": "OPEN", "salesqualifiedlead": "CONNECTED",
                 "opportunity": "OPEN_DEAL", "other": "UNQUALIFIED"}  # fmt: skip


class HubSpotWriter:
    """Writes lives into a portal; ``write`` answers with the new record's id."""

    crm = "hubspot"

    def __init__(self, portal: Portal, author: Author) -> None:
        """The portal must have its standard metadata; owners are written at once."""
        self._portal = portal
        self._author = author
        self._rows: Buffers[str, Row] = Buffers(portal.insert_many)
        self._links: Buffers[Link, tuple[int, int]] = Buffers(self._associate)
        self._steps: Buffers[str, HistoryRow] = Buffers(lambda _, rows: portal.add_history(rows))
        self._activities = Activities(portal, author, self._rows, self._links)
        self._known = {name: set(portal.metadata.properties(name)) for name in ("contacts", "deals", "companies")}
        portal.add_owners(self._owners())

    def _owners(self) -> Iterator[Row]:
        joined = self._author.almanac.as_of - timedelta(days=1200)
        for rep in EVERYBODY:
            yield {
                "id": FIRST_OWNER + rep.number,
                "userId": FIRST_USER + rep.number,
                "email": rep.email,
                "firstName": rep.first,
                "lastName": rep.last,
                "archived": not rep.active,
                "createdAt": joined,
                "updatedAt": joined,
            }

    def _associate(self, link: Link, pairs: list[tuple[int, int]]) -> None:
        self._portal.associate_many(link.source, link.target, pairs, primary=link.target == "companies")

    def write(self, life: Life) -> str:
        """Write one life with everything around it; return the id of the contact or deal."""
        return str(self._deal(life) if life.is_deal else self._contact(life))

    def flush(self) -> None:
        """Write what is still buffered, the records before what links them."""
        self._rows.flush()
        self._links.flush()
        self._steps.flush()

    # Contacts

    def _contact(self, life: Life) -> int:
        person, record = life.person, self._portal.new_id("contacts")
        assert person is not None
        properties = {
            "pain": life.pain,
            "hs_lead_status": LEAD_STATUSES.get(life.stage.native),
            **self._person_properties(person, life.account, life.owner),
            **self._lifecycle(life.steps),
            **self._activities.summary(life),
        }
        self._add("contacts", record, properties, life.created, self._modified(life))
        self._link("contacts", record, "companies", self._company(life.account, life))
        self._remember(life, "contacts", "lifecyclestage", record, life.steps)
        self._activities.write(life, contact=record, deal=None)
        return record

    def _person_properties(self, person: Buyer, account: Account, owner: Rep | None) -> Row:
        return {
            "firstname": person.first,
            "lastname": person.last,
            "email": person.email,
            "phone": person.phone,
            "jobtitle": person.title,
            "company": account.name,
            "hubspot_owner_id": _owner_id(owner),
        }

    def _lifecycle(self, steps: list[Step]) -> Row:
        became = {f"hs_lifecyclestage_{step.stage.native}_date": iso(step.at) for step in steps}
        return {"lifecyclestage": steps[-1].stage.native, **became}

    def _bystander(self, buyer: Buyer, account: Account, life: Life) -> int:
        """A person who is here for a deal alone."""
        if not buyer.record:
            record = self._portal.new_id("contacts")
            buyer.record = str(record)
            stage = CONTACTS.named(self._author.rng.choice(BYSTANDER_STAGES))
            steps = [Step(stage, life.created)]
            role = self._author.rng.choice(DECIDING_ROLES if buyer.decides else OTHER_ROLES)
            properties = {
                "hs_buying_role": role,
                **self._person_properties(buyer, account, life.owner),
                **self._lifecycle(steps),
            }
            self._add("contacts", record, properties, life.created, life.created)
            self._link("contacts", record, "companies", self._company(account, life))
            self._remember(life, "contacts", "lifecyclestage", record, steps)
        return int(buyer.record)

    # Deals

    def _deal(self, life: Life) -> int:
        record = self._portal.new_id("deals")
        properties = {
            "dealname": life.name,
            "dealstage": life.stage.native,
            "pipeline": life.stage.pipeline,
            "amount": _number(life.amount),
            "closedate": self._close(life),
            "pain": life.pain,
            "hs_next_step": life.next_step,
            "budget_confirmed": None if life.budget is None else str(life.budget).lower(),
            "closed_lost_reason": life.lost_reason,
            "dealtype": "newbusiness" if life.account.deals < 3 else "existingbusiness",
            "hubspot_owner_id": _owner_id(life.owner),
            "hs_deal_stage_probability": None if life.probability is None else str(life.probability / 100),
            "hs_v2_date_entered_current_stage": iso(life.entered),
            **{f"hs_v2_date_entered_{step.stage.native}": iso(step.at) for step in life.steps},
            **self._activities.summary(life),
        }
        self._add("deals", record, properties, life.created, self._modified(life))
        self._link("deals", record, "companies", self._company(life.account, life))
        contacts = [self._bystander(buyer, life.account, life) for buyer in life.buyers]
        for contact in contacts:
            self._link("deals", record, "contacts", contact)
        self._remember(life, "deals", "dealstage", record, life.steps)
        first, last = (contacts[0], contacts[-1]) if contacts else (None, None)
        self._activities.write(life, contact=first, deal=record, aside=last)
        return record

    def _close(self, life: Life) -> str | None:
        if life.close_date is None:
            return None
        day = life.close_date
        hour = self._author.almanac.between(9, 16)
        return iso(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))

    # Companies and what every record has

    def _company(self, account: Account, life: Life) -> int:
        if not account.record:
            record = self._portal.new_id("companies")
            account.record = str(record)
            properties = {
                "name": account.name,
                "domain": account.domain,
                "country": account.country,
                "industry": account.industry.upper().replace(" ", "_"),
                "numberofemployees": _number(account.employees),
                "hubspot_owner_id": _owner_id(life.owner),
            }
            self._add("companies", record, properties, life.created, life.created)
        return int(account.record)

    def _add(self, kind: str, record: int, properties: Row, created: datetime, updated: datetime) -> None:
        known = self._known[kind]
        kept = {name: value for name, value in properties.items() if value is not None and name in known}
        self._rows.add(kind, {"id": record, "properties": kept, "createdAt": created, "updatedAt": updated})

    def _link(self, source: str, from_id: int, target: str, to_id: int) -> None:
        self._links.add(Link(source, target), (from_id, to_id))

    def _remember(self, life: Life, kind: str, name: str, record: int, steps: list[Step]) -> None:
        user = FIRST_USER + (life.owner.number if life.owner and life.owner is not GHOST else 1)
        for step in steps:
            source, source_id, by = self._author.rng.choice(
                (
                    ("CRM_UI", f"userId:{user}", user),
                    ("CRM_UI", f"userId:{user}", user),
                    ("AUTOMATION_PLATFORM", "enrollmentId:1771", None),
                    ("IMPORT", "import:220418", None),
                    ("INTEGRATION", "25200", None),
                )
            )
            entry: HistoryRow = (kind, record, name, step.stage.native, step.at, source, source_id, by)
            self._steps.add("history", entry)

    def _modified(self, life: Life) -> datetime:
        last = max(life.entered, life.last_activity() or life.entered)
        return life.edited or last + timedelta(minutes=7)


def _owner_id(owner: Rep | None) -> str | None:
    return None if owner is None else str(FIRST_OWNER + owner.number)


def _number(value: float | None) -> Any:
    return None if value is None else f"{value:.15g}"
