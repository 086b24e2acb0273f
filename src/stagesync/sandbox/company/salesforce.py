"""Lives written as a Salesforce org keeps them: leads, opportunities, and all the rows around them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from stagesync.sandbox.company import vocabulary
from stagesync.sandbox.company.author import Author
from stagesync.sandbox.company.buffers import Buffers
from stagesync.sandbox.company.life import Account, Buyer, Life, Touch
from stagesync.sandbox.company.salesforce_activities import Activities, stamp
from stagesync.sandbox.company.staff import EVERYBODY, QUEUE, Rep
from stagesync.sandbox.company.tracks import Stage
from stagesync.sandbox.salesforce.org import Org

Row = dict[str, Any]
DECIDING_ROLES = ("Decision Maker", "Economic Decision Maker", "Economic Buyer", "Executive Sponsor")
OTHER_ROLES = ("Evaluator", "Influencer", "Business User", "Technical Buyer", "Other", None)
FORECASTS = {"customer": ("Closed", "Closed"), None: ("Omitted", "Omitted")}
CONVERSIONS_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class _Conversion:
    account: str
    contact: str | None
    opportunity: str
    at: datetime


class SalesforceWriter:
    """Writes lives into an org; ``write`` answers with the new record's id."""

    crm = "salesforce"

    def __init__(self, org: Org, author: Author) -> None:
        """The org must have its standard metadata; users and the queue are written at once."""
        self._org = org
        self._author = author
        self._buffers: Buffers[str, Row] = Buffers(org.insert_many)
        self._owners = {rep.number: org.new_id("User") for rep in EVERYBODY} | {QUEUE.number: org.new_id("Group")}
        self._converted_from: deque[_Conversion] = deque(maxlen=CONVERSIONS_REMEMBERED)
        self._activities = Activities(org, author, self._buffers, self._user)
        org.insert_many("User", self._users())
        org.insert_many(
            "Group",
            [{"Id": self._owners[QUEUE.number], "Name": QUEUE.name, "DeveloperName": "Inbound_Queue", "Type": "Queue"}],
        )

    def _users(self) -> Iterator[Row]:
        joined = stamp(self._author.almanac.as_of - timedelta(days=1200))
        for rep in EVERYBODY:
            yield {
                "Id": self._owners[rep.number],
                "FirstName": rep.first,
                "LastName": rep.last,
                "Username": rep.email,
                "Email": rep.email,
                "Alias": f"rep{rep.number:02d}",
                "IsActive": rep.active,
                "TimeZoneSidKey": rep.zone,
                "LocaleSidKey": rep.locale,
                "UserType": "Standard",
                "CreatedDate": joined,
            }

    def _user(self, rep: Rep | None) -> str:
        """The id of a person; a queue and a missing owner act through the integration user."""
        if rep is None or rep is QUEUE:
            return self._org.integration_user_id
        return self._owners[rep.number]

    def write(self, life: Life) -> str:
        """Write one life with everything around it; return the id of the lead or opportunity."""
        return self._opportunity(life) if life.is_deal else self._lead(life)

    def flush(self) -> None:
        """Write what is still buffered."""
        self._buffers.flush()

    # Leads

    def _lead(self, life: Life) -> str:
        person, account, record = life.person, life.account, self._org.new_id("Lead")
        assert person is not None
        row: Row = {
            "Id": record,
            "FirstName": person.first,
            "LastName": person.last,
            "Company": account.name,
            "Title": person.title,
            "Email": _trimmed(person.email),
            "Phone": _trimmed(person.phone),
            "Country": account.country,
            "Industry": account.industry,
            "Website": f"https://www.{account.domain}",
            "LeadSource": self._author.rng.choice(vocabulary.LEAD_SOURCES),
            "NumberOfEmployees": account.employees,
            "Status": life.stage.native,
            "Pain__c": _trimmed(life.pain),
            "OwnerId": self._owners[life.owner.number] if life.owner else self._org.integration_user_id,
            "IsUnreadByOwner": not life.touches,
            **self._audit_fields(life),
        }
        if life.converted:
            row |= self._conversion(life)
        self._buffers.add("Lead", row)
        self._lead_history(life, record)
        self._activities.write(life, who=record, what=None)
        return record

    def _conversion(self, life: Life) -> Row:
        """A converted lead points to an account, a contact and an opportunity that exist."""
        if not self._converted_from:
            account = self._account(life.account, life)
            contact = self._contact(life.account.people[0], life.account, life)
            found = _Conversion(account, contact, "", life.entered)
        else:
            found = self._converted_from.popleft()
        return {
            "IsConverted": True,
            "ConvertedDate": life.entered.date().isoformat(),
            "ConvertedAccountId": found.account,
            "ConvertedContactId": found.contact,
            "ConvertedOpportunityId": found.opportunity or None,
        }

    def _lead_history(self, life: Life, record: str) -> None:
        def changed(at: datetime, name: str, old: str | None = None, new: str | None = None) -> None:
            self._buffers.add(
                "LeadHistory",
                {
                    "Id": self._org.new_id("LeadHistory"),
                    "LeadId": record,
                    "CreatedById": self._user(life.owner),
                    "CreatedDate": stamp(at),
                    "Field": name,
                    "DataType": "Text",
                    "OldValue": old,
                    "NewValue": new,
                },
            )

        changed(life.created, "created")
        for old, new in pairwise(life.steps):
            changed(new.at, "Status", old.stage.native, new.stage.native)
        if self._author.chance(0.2):
            late = self._author.almanac.within(life.created, self._modified(life))
            changed(late, "Rating", "Cold", "Warm")

    # Opportunities

    def _opportunity(self, life: Life) -> str:
        record = self._org.new_id("Opportunity")
        account = self._account(life.account, life)
        contacts = [self._contact(buyer, life.account, life) for buyer in life.buyers]
        stage, moved = life.stage, len(life.steps) > 1
        category, label = _forecast(stage)
        self._buffers.add(
            "Opportunity",
            {
                "Id": record,
                "Name": life.name,
                "AccountId": account,
                "StageName": stage.native,
                "Probability": stage.probability if life.probability is None else life.probability,
                "ForecastCategory": category,
                "ForecastCategoryName": label,
                "IsClosed": stage.closed,
                "IsWon": stage.won,
                "Amount": life.amount,
                "CloseDate": life.close_date.isoformat() if life.close_date else None,
                "NextStep": _trimmed(life.next_step),
                "Pain__c": _trimmed(life.pain),
                "Budget_Confirmed__c": life.budget is True,
                "Loss_Reason__c": life.lost_reason,
                "Type": "New Business" if life.account.deals < 3 else "Existing Business",
                "LeadSource": self._author.rng.choice(vocabulary.LEAD_SOURCES),
                "ContactId": contacts[0] if contacts else None,
                "OwnerId": self._user(life.owner),
                "LastStageChangeDate": stamp(life.entered) if moved else None,
                **self._audit_fields(life),
            },
        )
        self._roles(life, record, contacts)
        self._stage_history(life, record)
        first, last = (contacts[0], contacts[-1]) if contacts else (None, None)
        self._activities.write(life, who=first, what=record, aside=last)
        self._converted_from.append(_Conversion(account, contacts[0] if contacts else None, record, life.created))
        return record

    def _roles(self, life: Life, record: str, contacts: list[str]) -> None:
        for place, (buyer, contact) in enumerate(zip(life.buyers, contacts, strict=True)):
            role = self._author.rng.choice(DECIDING_ROLES if buyer.decides else OTHER_ROLES)
            self._buffers.add(
                "OpportunityContactRole",
                {
                    "Id": self._org.new_id("OpportunityContactRole"),
                    "OpportunityId": record,
                    "ContactId": contact,
                    "Role": role,
                    "IsPrimary": place == 0,
                    "CreatedDate": stamp(life.created),
                },
            )

    def _stage_history(self, life: Life, record: str) -> None:
        """One row for each step, and for some changes of the amount or the close date between them."""
        moves = [(step.at, step.stage) for step in life.steps]
        if self._author.chance(0.4):
            at = self._author.almanac.within(life.created, self._modified(life))
            if all(abs(at - moved) > timedelta(minutes=5) for moved, _ in moves):
                moves.append((at, [step.stage for step in life.steps if step.at <= at][-1]))
        previous = None
        for at, stage in sorted(moves, key=lambda move: move[0]):
            amount = life.amount if previous or life.amount is None else round(life.amount * 0.8, 2)
            self._buffers.add(
                "OpportunityHistory",
                {
                    "Id": self._org.new_id("OpportunityHistory"),
                    "OpportunityId": record,
                    "StageName": stage.native,
                    "Amount": amount,
                    "PrevAmount": previous,
                    "CloseDate": life.close_date.isoformat() if life.close_date else None,
                    "Probability": stage.probability,
                    "ForecastCategory": _forecast(stage)[0],
                    "CreatedById": self._user(life.owner),
                    "CreatedDate": stamp(at),
                    "SystemModstamp": stamp(at),
                },
            )
            previous = amount

    # Accounts, contacts and what every record has

    def _account(self, account: Account, life: Life) -> str:
        if not account.record:
            account.record = self._org.new_id("Account")
            self._buffers.add(
                "Account",
                {
                    "Id": account.record,
                    "Name": account.name,
                    "NumberOfEmployees": account.employees,
                    "Industry": account.industry,
                    "BillingCountry": account.country,
                    "Website": f"https://{account.domain}",
                    "Type": "Customer - Direct" if life.stage.won else "Prospect",
                    "OwnerId": self._user(life.owner),
                    "CreatedDate": stamp(life.created),
                },
            )
        return account.record

    def _contact(self, buyer: Buyer, account: Account, life: Life) -> str:
        if not buyer.record:
            buyer.record = self._org.new_id("Contact")
            self._buffers.add(
                "Contact",
                {
                    "Id": buyer.record,
                    "AccountId": account.record or None,
                    "FirstName": buyer.first,
                    "LastName": buyer.last,
                    "Title": buyer.title,
                    "Email": buyer.email,
                    "Phone": buyer.phone,
                    "OwnerId": self._user(life.owner),
                    "CreatedDate": stamp(life.created),
                },
            )
        return buyer.record

    def _audit_fields(self, life: Life) -> Row:
        shown = life.shown_activity or _shown_activity(life)
        modified = stamp(life.edited or self._modified(life))
        owner = self._user(life.owner)
        return {
            "CreatedDate": stamp(life.created),
            "CreatedById": owner,
            "LastModifiedDate": modified,
            "SystemModstamp": modified,
            "LastModifiedById": self._org.integration_user_id if life.edited else owner,
            "LastActivityDate": shown.isoformat() if shown else None,
        }

    def _modified(self, life: Life) -> datetime:
        """When somebody last edited the record, unless a bulk update came later: with the last stage or touch."""
        return max(life.entered, life.last_activity() or life.entered) + timedelta(minutes=7)


def _trimmed(text: str | None) -> str | None:
    """Salesforce trims what is typed and keeps no blank text."""
    return (text or "").strip() or None


def _forecast(stage: Stage) -> tuple[str, str]:
    return FORECASTS.get(stage.rung, ("Pipeline", "Pipeline"))


def _shown_activity(life: Life) -> Any:
    """What LastActivityDate shows: due dates of closed tasks and dates of events, those to come too."""
    return max((touch.at.date() for touch in life.touches if _moves_activity_date(touch)), default=None)


def _moves_activity_date(touch: Touch) -> bool:
    return touch.kind not in {"mail_in", "mail_out", "todo_open", "note"}
