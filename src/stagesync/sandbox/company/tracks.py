"""The stages that each CRM has, and on which rung of the recommended ladder each of them stands."""

from __future__ import annotations

from dataclasses import dataclass

LADDER = ("lead", "prospect", "opportunity", "proposal", "customer")
IDLE_LIMITS = {"lead": 10, "prospect": 15, "opportunity": 14, "proposal": 10}  # business days
AGE_LIMITS = {"opportunity": 180, "proposal": 90}  # calendar days in one native stage

PASTED_RECORDS = 20  # a pain or a next step of 40 characters on so many records of one object says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One native stage; ``rung`` is None where the record is parked. ``probability`` is in percent."""

    native: str
    rung: str | None
    probability: int = 0
    closed: bool = False
    won: bool = False
    pipeline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The stages of one object in one pipeline, in the order in which records walk through them.

    ``begins_late`` where the CRM's history has no row for the stage in which a record was created.
    """

    crm: str
    object_name: str
    stages: tuple[Stage, ...]
    begins_late: bool = False

    def on(self, rung: str | None) -> tuple[Stage, ...]:
        """The native stages that stand on a rung; with None, those where records are parked."""
        return tuple(stage for stage in self.stages if stage.rung == rung)

    def named(self, native: str) -> Stage:
        """The stage with this native name."""
        return next(stage for stage in self.stages if stage.native == native)

    def before(self, stage: Stage) -> tuple[Stage, ...]:
        """The open stages that a record may have passed on its way to one."""
        stop = self.stages.index(stage)
        return tuple(earlier for earlier in self.stages[:stop] if not earlier.closed and earlier.rung is not None)


def _stage(native: str, rung: str | None, probability: int = 0) -> Stage:
    return Stage(native=native, rung=rung, probability=probability)


def _deal(native: str, rung: str | None, probability: int, pipeline: str = "") -> Stage:
    return Stage(
        native=native,
        rung=rung,
        probability=probability,
        pipeline=pipeline,
        closed=rung in {"customer", None},
        won=rung == "customer",
    )


LEADS = Track(
    crm="salesforce",
    object_name="Lead",
    begins_late=True,
    stages=(
        _stage("Open - Not Contacted", "lead"),
        _stage("Working - Contacted", "lead"),
        _stage("Qualified", "prospect"),
        _stage("Nurturing", None),
        _stage("Closed - Not Converted", None),
        _stage("Closed - Converted", None),
    ),
)

OPPORTUNITIES = Track(
    crm="salesforce",
    object_name="Opportunity",
    stages=(
        _deal("Prospecting", "opportunity", 10),
        _deal("Qualification", "opportunity", 10),
        _deal("Needs Analysis", "opportunity", 20),
        _deal("Value Proposition", "opportunity", 50),
        _deal("Id. Decision Makers", "opportunity", 60),
        _deal("Perception Analysis", "opportunity", 70),
        _deal("Proposal/Price Quote", "proposal", 75),
        _deal("Negotiation/Review", "proposal", 90),
        _deal("Closed Won", "customer", 100),
        _deal("Closed Lost", None, 0),
    ),
)

CONTACTS = Track(
    crm="hubspot",
    object_name="contacts",
    stages=(
        _stage("lead", "lead"),
        _stage("marketingqualifiedlead", "lead"),
        _stage("salesqualifiedlead", "prospect"),
        _stage("opportunity", "opportunity"),
        _stage("customer", "customer"),
        _stage("evangelist", "customer"),
        _stage("subscriber", None),
        _stage("other", None),
    ),
)

SALES_DEALS = Track(
    crm="hubspot",
    object_name="deals",
    stages=(
        _deal("appointmentscheduled", "opportunity", 20, "default"),
        _deal("qualifiedtobuy", "opportunity", 40, "default"),
        _deal("presentationscheduled", "opportunity", 60, "default"),
        _deal("decisionmakerboughtin", "proposal", 80, "default"),
        _deal("contractsent", "proposal", 90, "default"),
        _deal("closedwon", "customer", 100, "default"),
        _deal("closedlost", None, 0, "default"),
    ),
)

RENEWAL_PIPELINE = "139663272"
RENEWAL_DEALS = Track(
    crm="hubspot",
    object_name="deals",
    stages=(
        _deal("139663273", "opportunity", 50, RENEWAL_PIPELINE),
        _deal("139663274", "proposal", 70, RENEWAL_PIPELINE),
        _deal("139663275", "customer", 100, RENEWAL_PIPELINE),
        _deal("139663276", None, 0, RENEWAL_PIPELINE),
    ),
)

PEOPLE_TRACKS = {"salesforce": (LEADS,), "hubspot": (CONTACTS,)}
DEAL_TRACKS = {"salesforce": (OPPORTUNITIES,), "hubspot": (SALES_DEALS, SALES_DEALS, RENEWAL_DEALS)}
