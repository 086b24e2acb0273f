"""Which stage of a new portal a stage of this one resembles: what an admin would guess from label and settings."""

from __future__ import annotations

import re

from stagesync.connectors.likeness import by_probability, by_words
from stagesync.model.crm import Likeness, NativeStage

# The open stages of every new portal, with their probability in percent: knowledge.hubspot.com, "Deal stages".
OPEN_STAGES = {
    "appointmentscheduled": 20,
    "qualifiedtobuy": 40,
    "presentationscheduled": 60,
    "decisionmakerboughtin": 80,
    "contractsent": 90,
}
WON, LOST = "closedwon", "closedlost"
LIFECYCLE = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)

# The first that is found in a label decides; English, German, French and Spanish.
STAGE_WORDS = (
    (r"contract|negotiat|legal|procure|propos|quot|offer|vertrag|verhandlung|angebot|contrat|devis", "contractsent"),
    (r"decision|stakeholder|bought|commit|entscheid|d[ée]cision", "decisionmakerboughtin"),
    (r"present|demo|trial|pilot|solution|value|d[ée]mo", "presentationscheduled"),
    (r"qualif|calific|need|discover|bedarf|besoin", "qualifiedtobuy"),
    (r"appointment|meeting|new|contact|prospect|termin|neu|nouve|nuev", "appointmentscheduled"),
)
LIFECYCLE_WORDS = (
    (r"unqualif|disqualif|partner|vendor|supplier|competitor|employee|other|former|churn", "other"),
    (r"evangel|advocate|promot", "evangelist"),
    (r"customer|client|kunde|cliente", "customer"),
    (r"opportun|deal|pipeline|chance", "opportunity"),
    (r"sales qualif|sql|sal\b|sales accept|prospect|meeting|interessent", "salesqualifiedlead"),
    (r"marketing qualif|mql|engag|nurtur", "marketingqualifiedlead"),
    (r"subscri|newsletter|abonn", "subscriber"),
    (r"lead|new|neu|nouve|nuev", "lead"),
)


def like_stage(stage: NativeStage) -> Likeness | None:
    """The stage of a new portal that a deal's stage resembles. The id of a stage says nothing once its label was
    changed, but whether it is closed the portal itself says.
    """
    if stage.closed:
        return Likeness(value=WON if stage.won else LOST, sure=True, why="the portal says that it is closed")
    if stage.value in OPEN_STAGES and _words(stage.label) & _words(_LABELS[stage.value]):
        return Likeness(value=stage.value, sure=True, why="a stage of every new portal")
    if found := by_words(stage, STAGE_WORDS):
        return Likeness(value=found, sure=False, why="its label")
    return by_probability(stage, OPEN_STAGES)


def like_lifecycle(stage: NativeStage) -> Likeness | None:
    """The lifecycle stage of a new portal that an option resembles; those of a portal's own are numbers."""
    if stage.value in LIFECYCLE:
        return Likeness(value=stage.value, sure=True, why="a stage of every new portal")
    found = by_words(stage, LIFECYCLE_WORDS)
    return Likeness(value=found, sure=False, why="its label") if found else None


_LABELS = {
    "appointmentscheduled": "appointment scheduled",
    "qualifiedtobuy": "qualified to buy",
    "presentationscheduled": "presentation scheduled",
    "decisionmakerboughtin": "decision maker bought in",
    "contractsent": "contract sent",
}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{5,}", text.casefold()))
