"""Which rung each stage of an org stands for, as far as its name and its settings tell; the rest a person decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stagesync.connectors.base import Discovery
from stagesync.model.counting import counted
from stagesync.model.crm import NativeStage
from stagesync.onboarding.yaml_text import Block, Entry, Remark
from stagesync.policy.mappings import EVERY_OTHER, MappedObject

DECIDE = "decide: "
"""How every comment begins that wants a person's word."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A stage of the org and the place that it is taken for; ``doubt`` says on what the guess rests."""

    stage: NativeStage
    place: str
    doubt: str


def offers(discovery: Discovery, mapped: MappedObject, stages: Sequence[NativeStage]) -> list[Offer]:
    """A place for every active stage, in the org's order. ``mapped`` is the shipped mapping of the object, which knows
    the stages of a new org."""
    known = {native: place for (_, native), place in mapped.stages.items()}
    found: list[Offer] = []
    for stage in stages:
        if not stage.active:
            continue
        likeness = discovery.likeness(mapped.table.name, mapped.stage_field, stage)
        place = known.get(likeness.value) if likeness else None
        if likeness is None and stage.value in known:
            place, doubt = known[stage.value], ""
        elif likeness and place:
            doubt = "" if likeness.sure else f"taken for a stage like '{likeness.value}' by {likeness.why}"
        else:
            # No demand is the smallest harm: the place of the stage before, or the lowest one.
            place = found[-1].place if found else next(iter(known.values()))
            doubt = "nothing says what it means"
        found.append(Offer(stage=stage, place=place, doubt=doubt))
    return found


def stage_block(discovery: Discovery, mapped: MappedObject, stages: Sequence[NativeStage]) -> Block:
    """The value of ``stages:``, by pipeline or record type where the org has them."""
    found = offers(discovery, mapped, stages)
    counts = discovery.counts(mapped.table.name, mapped.stage_field, open_only=False)
    pipelines = list(dict.fromkeys(stage.pipeline for stage in stages if stage.pipeline is not None))
    if pipelines:
        return Block(
            [Entry(name, _plain(found, [stage for stage in stages if stage.pipeline == name])) for name in pipelines]
        )
    everything = Block([*_entries(found, counts), *_remarks(stages, counts)])
    types = discovery.record_types(mapped.table.name, mapped.stage_field)
    if not types:
        return everything
    entries: list[Entry | Remark] = []
    for one in types:
        if one.stages is None:
            entries.append(Remark(f"{one.name}: this user may not see its stages; list them here if they are fewer"))
            continue
        own = _plain(found, [stage for stage in stages if stage.value in one.stages])
        if own.entries:
            entries.append(Entry(one.name, own, one.label if one.label != one.name else ""))
    entries.append(Remark("records without a record type, and of those that are not named"))
    return Block([*entries, Entry(EVERY_OTHER, everything)])


def _plain(offers: Sequence[Offer], stages: Sequence[NativeStage]) -> Block:
    """The offers for some of the stages."""
    return Block(list(_entries([offer for offer in offers if offer.stage in stages], None)))


def _entries(offers: Sequence[Offer], counts: Mapping[str, int] | None) -> Iterator[Entry]:
    for offer in offers:
        stage = offer.stage
        said = [f"'{stage.label}' on the screen"] if _bare(stage.label) != _bare(stage.value) else []
        if offer.doubt:
            # How many records hold it helps to decide; where nothing is to be decided it would only be noise.
            held = [counted(counts.get(stage.value, 0), "record")] if counts is not None else []
            said = [DECIDE + offer.doubt, *said, *held]
        yield Entry(stage.value, offer.place, "; ".join(said))


def _bare(text: str) -> str:
    """A name as it is heard: without spaces and capitals."""
    return "".join(text.casefold().split())


def _remarks(stages: Sequence[NativeStage], counts: Mapping[str, int] | None) -> Iterator[Remark]:
    """Inactive stages, and values that records hold though the org does not list them."""
    for stage in stages:
        if not stage.active:
            held = f" ({counted(counts.get(stage.value, 0), 'record')})" if counts is not None else ""
            yield Remark(f"inactive{held}: {stage.value}")
    listed = {stage.value for stage in stages}
    for value, number in (counts or {}).items():
        if value and value not in listed:
            yield Remark(f"not in the org's list ({counted(number, 'record')}): {value}")
