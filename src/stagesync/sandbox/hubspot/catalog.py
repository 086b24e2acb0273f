"""Which objects a portal has and which association types HubSpot itself defines between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ObjectType:
    """A CRM object: ``name`` is the path segment, ``code`` the number after ``0-``."""

    name: str
    singular: str
    code: int
    scope: str
    modified: str = "hs_lastmodifieddate"
    created: str = "hs_createdate"
    defaults: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    stage: str | None = None
    pipeline: str | None = None
    first_id: int = 1
    history_depth: int = 20

    @property
    def type_id(self) -> str:
        """The fully qualified id, such as ``0-3``."""
        return f"0-{self.code}"

    @property
    def is_activity(self) -> bool:
        """Whether records of this object are things that happened, and carry ``hs_timestamp``."""
        return self.name in ACTIVITIES


ACTIVITIES = frozenset({"tasks", "calls", "emails", "meetings", "notes", "communications"})

OBJECT_TYPES = (
    ObjectType(
        name="contacts",
        singular="contact",
        code=1,
        scope="crm.objects.contacts",
        modified="lastmodifieddate",
        created="createdate",
        defaults=("email", "firstname", "lastname"),
        searched=("firstname", "lastname", "email", "phone", "company"),
        stage="lifecyclestage",
        first_id=25_118_400_151,
        history_depth=45,
    ),
    ObjectType(
        name="companies",
        singular="company",
        code=2,
        scope="crm.objects.companies",
        created="createdate",
        defaults=("domain", "name"),
        searched=("name", "domain", "phone", "website"),
        stage="lifecyclestage",
        first_id=9_315_220_401,
    ),
    ObjectType(
        name="deals",
        singular="deal",
        code=3,
        scope="crm.objects.deals",
        created="createdate",
        defaults=("amount", "closedate", "dealname", "dealstage", "pipeline"),
        searched=("dealname", "dealtype", "description"),
        stage="dealstage",
        pipeline="pipeline",
        first_id=18_402_770_211,
    ),
    ObjectType(
        name="leads",
        singular="lead",
        code=136,
        scope="crm.objects.leads",
        defaults=("hs_lead_name",),
        searched=("hs_lead_name",),
        stage="hs_pipeline_stage",
        pipeline="hs_pipeline",
        first_id=411_902_600_301,
    ),
    ObjectType(
        name="tasks",
        singular="task",
        code=27,
        scope="crm.objects.contacts",
        searched=("hs_task_subject", "hs_task_body"),
        first_id=64_501_330_107,
    ),
    ObjectType(
        name="calls",
        singular="call",
        code=48,
        scope="crm.objects.contacts",
        searched=("hs_call_title", "hs_call_body"),
        first_id=53_208_140_113,
    ),
    ObjectType(
        name="emails",
        singular="email",
        code=49,
        scope="crm.objects.contacts",
        searched=("hs_email_subject",),
        first_id=58_660_910_129,
    ),
    ObjectType(
        name="meetings",
        singular="meeting",
        code=47,
        scope="crm.objects.contacts",
        searched=("hs_meeting_title", "hs_meeting_body"),
        first_id=55_017_820_131,
    ),
    ObjectType(
        name="notes",
        singular="note",
        code=46,
        scope="crm.objects.contacts",
        searched=("hs_note_body",),
        first_id=61_744_250_137,
    ),
    ObjectType(
        name="communications",
        singular="communication",
        code=18,
        scope="crm.objects.contacts",
        searched=("hs_communication_body",),
        first_id=67_390_580_139,
    ),
)

_BY_NAME = {
    alias: kind
    for kind in OBJECT_TYPES
    for alias in (kind.name, kind.singular, kind.type_id, kind.name.upper(), kind.singular.upper())
}
BY_CODE = {kind.code: kind for kind in OBJECT_TYPES}


def object_type(name: str) -> ObjectType | None:
    """The object for ``deals``, ``deal``, ``DEAL`` or ``0-3``; None when the portal has no such object."""
    return _BY_NAME.get(name) or _BY_NAME.get(name.lower())


@dataclass(frozen=True, kw_only=True)
class AssociationType:
    """One direction of a relation. ``label`` is null for the plain one; ``primary`` marks the main company."""

    source: str
    target: str
    type_id: int
    inverse_id: int
    label: str | None = None
    category: str = "HUBSPOT_DEFINED"

    @property
    def primary(self) -> bool:
        """Whether this is the one main company of a record."""
        return self.label == "Primary"


# (from, to, type id, inverse type id, label). The numbers of HubSpot's client enums where they have one;
# those of leads and communications come from its guides and are to be asked for, not built in.
_PAIRS: tuple[tuple[str, str, int, int, str | None], ...] = (
    ("contacts", "companies", 279, 280, None),
    ("contacts", "companies", 1, 2, "Primary"),
    ("deals", "contacts", 3, 4, None),
    ("deals", "companies", 341, 342, None),
    ("deals", "companies", 5, 6, "Primary"),
    ("leads", "contacts", 608, 609, None),
    ("leads", "contacts", 578, 579, "Primary"),
    ("leads", "companies", 610, 611, None),
    ("leads", "companies", 580, 581, "Primary"),
    ("leads", "calls", 596, 597, None),
    ("leads", "emails", 598, 599, None),
    ("leads", "meetings", 600, 601, None),
    ("leads", "communications", 602, 603, None),
    ("leads", "tasks", 646, 647, None),
    ("leads", "notes", 854, 855, None),
    ("companies", "calls", 181, 182, None),
    ("companies", "emails", 185, 186, None),
    ("companies", "meetings", 187, 188, None),
    ("companies", "notes", 189, 190, None),
    ("companies", "tasks", 191, 192, None),
    ("companies", "communications", 88, 87, None),
    ("contacts", "calls", 193, 194, None),
    ("contacts", "emails", 197, 198, None),
    ("contacts", "meetings", 199, 200, None),
    ("contacts", "notes", 201, 202, None),
    ("contacts", "tasks", 203, 204, None),
    ("contacts", "communications", 82, 81, None),
    ("deals", "calls", 205, 206, None),
    ("deals", "emails", 209, 210, None),
    ("deals", "meetings", 211, 212, None),
    ("deals", "notes", 213, 214, None),
    ("deals", "tasks", 215, 216, None),
    ("deals", "communications", 86, 85, None),
    ("contacts", "contacts", 449, 449, None),
    ("companies", "companies", 450, 450, None),
    ("deals", "deals", 451, 451, None),
)


def _both_directions() -> tuple[AssociationType, ...]:
    found: list[AssociationType] = []
    for source, target, type_id, inverse_id, label in _PAIRS:
        found.append(AssociationType(source=source, target=target, type_id=type_id, inverse_id=inverse_id, label=label))
        if source != target:
            found.append(
                AssociationType(source=target, target=source, type_id=inverse_id, inverse_id=type_id, label=label)
            )
    return tuple(found)


ASSOCIATION_TYPES = _both_directions()


def association_types(source: str, target: str) -> list[AssociationType]:
    """All types from one object to another, the plain one first; empty when they cannot be associated."""
    return [kind for kind in ASSOCIATION_TYPES if kind.source == source and kind.target == target]


def association_name(kind: AssociationType, *, has_primary: bool) -> str:
    """The v3 name: ``deal_to_contact``; the plain type is ``…_unlabeled`` where a primary one exists."""
    source, target = _BY_NAME[kind.source].singular, _BY_NAME[kind.target].singular
    plain = f"{source}_to_{target}"
    return f"{plain}_unlabeled" if has_primary and not kind.primary else plain
