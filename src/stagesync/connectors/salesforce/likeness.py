"""Which stage of a new org a stage of this org resembles: what an admin would guess from its name and its settings."""

from __future__ import annotations

from stagesync.connectors.likeness import by_probability, by_words
from stagesync.model.crm import Likeness, NativeStage

# The stages and statuses that every new org is given, the open stages with their probability in percent.
# help.salesforce.com, "Customize Opportunity Stages" and "Lead Fields"
OPEN_STAGES = {
    "Prospecting": 10,
    "Qualification": 10,
    "Needs Analysis": 20,
    "Value Proposition": 50,
    "Id. Decision Makers": 60,
    "Perception Analysis": 70,
    "Proposal/Price Quote": 75,
    "Negotiation/Review": 90,
}
WON, LOST = "Closed Won", "Closed Lost"
LEAD_STATUSES = (
    "Open - Not Contacted",
    "Working - Contacted",
    "Qualified",
    "Nurturing",
    "Closed - Not Converted",
    "Closed - Converted",
)
CONVERTED = "Closed - Converted"

# The first that is found in a name decides; English, German, French and Spanish.
STAGE_WORDS = (
    (r"negotiat|contract|legal|procure|verhandlung|vertrag|n[ée]goci|contrat", "Negotiation/Review"),
    (r"propos|quot|offer|bid|pricing|angebot|offerte|devis|propuesta|cotiza", "Proposal/Price Quote"),
    (r"evaluat|trial|pilot|proof|poc|test", "Perception Analysis"),
    (r"decision|stakeholder|sponsor|entscheid|d[ée]cision", "Id. Decision Makers"),
    (r"solution|value|demo|present|l[öo]sung|d[ée]mo", "Value Proposition"),
    (r"need|discover|analy|bedarf|besoin|necesidad", "Needs Analysis"),
    (r"qualif|calific", "Qualification"),
    (r"prospect|new|identif|neu|nouve|nuev", "Prospecting"),
)
LEAD_WORDS = (
    (
        r"unqualif|disqualif|not (?:qualif|conver)|reject|junk|spam|invalid|lost|dead|closed|verloren|perdu",
        "Closed - Not Converted",
    ),
    (r"nurtur|recycl|later|cold|hold|zur[üu]ckgestellt", "Nurturing"),
    (r"uncontact|not contact|not yet|new|open|unread|neu|offen|nouve|nuev|abiert", "Open - Not Contacted"),
    (r"qualif|sql|sal|accepted|meeting|calific", "Qualified"),
    (r"contact|work|attempt|engag|progress|called|mql|bearbeit|kontakt|cours", "Working - Contacted"),
)


def like_stage(stage: NativeStage) -> Likeness | None:
    """The standard opportunity stage that a stage resembles."""
    if stage.closed:
        meant = WON if stage.won else LOST
        return Likeness(value=meant, sure=True, why="the org says that it is closed")
    if same := _same_name(stage, OPEN_STAGES):
        return Likeness(value=same, sure=True, why="a stage of every new org")
    if words := by_words(stage, STAGE_WORDS):
        return Likeness(value=words, sure=False, why="its name")
    return by_probability(stage, OPEN_STAGES)


def like_status(stage: NativeStage) -> Likeness | None:
    """The standard lead status that a status resembles. Of a status the org says only whether it converts."""
    if stage.closed:
        return Likeness(value=CONVERTED, sure=True, why="the org says that it converts")
    if same := _same_name(stage, [name for name in LEAD_STATUSES if name != CONVERTED]):
        return Likeness(value=same, sure=True, why="a status of every new org")
    words = by_words(stage, LEAD_WORDS)
    return Likeness(value=words, sure=False, why="its name") if words else None


def _same_name(stage: NativeStage, names: dict[str, int] | list[str]) -> str | None:
    said = {stage.value.casefold(), stage.label.casefold()}
    return next((name for name in names if name.casefold() in said), None)
