"""Pull: what changed of all that the mapping names, or everything, from the CRM into the mirror."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from threading import Event

from msgspec import structs

from stagesync.agent.connection import Manner, Progress
from stagesync.connectors.base import Associations, ChangedRows, Increments, Lagging, Reader
from stagesync.errors import ConfigurationError, Interrupted, Problem
from stagesync.mirror import Held, Mirror, Snapshot
from stagesync.model.crm import Identity, NativeStage, Owner
from stagesync.model.tables import Table
from stagesync.policy.document import nearest
from stagesync.policy.mappings import EVERY_OTHER, CrmMapping, MappedObject

NOTHING: Mapping[str, Collection[str]] = {}


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What a pull brought besides the rows, which are in the mirror. ``stages`` are by object, ``labels`` of fields by
    ``Opportunity.NextStep``."""

    identity: Identity
    owners: Sequence[Owner]
    stages: Mapping[str, Sequence[NativeStage]]
    labels: Mapping[str, str]
    rows: Mapping[str, int]


def pull(
    *,
    name: str,
    reader: Reader,
    mapping: CrmMapping,
    mirror: Mirror,
    label: str,
    identity: Identity,
    progress: Progress,
    now: datetime,
    manner: Manner,
    stop: Event | None = None,
    watched: Mapping[str, Collection[str]] = NOTHING,
    written: Mapping[str, Collection[str]] = NOTHING,
    facts: Mapping[str, object] | None = None,
) -> Pulled:
    """Bring all tables of a mapping into a new snapshot of the mirror: by what changed where the reader can tell.

    Rows, cursors and ``facts`` become current together. Raises ConfigurationError when the mapping names a stage that
    the CRM does not have, and ConnectionFailed when the CRM cannot be read, and Interrupted between two pages once
    ``stop`` is set; the snapshot before stays current then. ``watched`` are records, by object, whose associations are
    asked for although no date says that they changed, and ``written`` those that StageSync itself changed lately: a CRM
    that does not say so at once is asked for them by id.
    """
    missing = reader.missing(mapping.tables)
    if isinstance(reader.increments, Lagging):
        reader.increments.include(written)
    stages = {mapped.name: reader.stages(mapped.table.name, mapped.stage_field) for mapped in mapping.objects}
    check_stages(mapping, stages)
    owners = reader.owners()
    labels = _labels(reader, mapping)
    with mirror.replace(name, label, identity.key) as snapshot:
        snapshot.expect(mapping.tables, missing)
        told = [structs.asdict(owner) for owner in owners]
        snapshot.facts = {"run": label, "org": identity.key, "owners": told, **(facts or {})}
        pulling = _Pulling(reader, snapshot, now, manner, partial(progress, name), stop, watched)
        for table in mapping.tables:
            progress(name, table.name, 0)
            pulling.table(table)
        pulling.relink()
        pulling.recheck()
    return Pulled(identity=identity, owners=owners, stages=stages, labels=labels, rows=dict(snapshot.rows))


def _labels(reader: Reader, mapping: CrmMapping) -> dict[str, str]:
    """What people see for the fields of the objects, and for those of other tables with the name of the table."""
    objects = {mapped.table.name for mapped in mapping.objects}
    return {
        f"{table.name}.{column}": label if table.name in objects else f"{table.name}: {label}"
        for table in mapping.tables
        for column, label in reader.labels(table).items()
    }


@dataclass
class _Pulling:
    """One pull under way."""

    reader: Reader
    snapshot: Snapshot
    now: datetime
    manner: Manner
    progress: Callable[[str, int], None]
    stop: Event | None
    watched: Mapping[str, Collection[str]]
    kept: list[Table] = field(default_factory=list)
    touched: dict[str, dict[str, None]] = field(default_factory=dict)
    """By table the records that changes were read of, and those that are gone."""

    def table(self, table: Table) -> None:
        """A table by what changed, or whole."""
        held = self._held(table)
        increments = self.reader.increments
        changes = increments.changes(table, held.cursor) if increments and held else None
        if changes is None or held is None:
            # Taken before the first page: what changes while the table is read is brought by the next pull.
            cursor = increments.cursor(table) if increments else None
            with closing(self.reader.pull(table)) as pages:
                for page in pages:
                    self._go_on()
                    self.snapshot.add(page)
                    self.progress(page.table, self.snapshot.rows[page.table])
            self.snapshot.mark(table.name, cursor=cursor, read=self.now.isoformat())
            return
        self.snapshot.keep(table.name)
        for changed in changes.pages:
            self._go_on()
            touched = self.touched.setdefault(table.name, {})
            touched.update(dict.fromkeys((*self._change(table, changed), *changed.gone)))
            self.snapshot.gone(table.name, changed.gone)
            self.progress(table.name, self.snapshot.rows[table.name])
        self.snapshot.mark(table.name, cursor=changes.cursor, read=held.read)
        self.kept.append(table)

    def relink(self) -> None:
        """Ask for the associations of changed records from their side too: when two contacts become one, or somebody
        ties a contact to a call, the call itself does not change.
        """
        increments = self.reader.increments
        if not isinstance(increments, Associations):
            return
        for table in self.kept:
            for link in table.links:
                watched = self.watched.get(link, ()) if link in increments.undated(table) else ()
                if ids := list(dict.fromkeys((*self.touched.get(link, ()), *watched))):
                    self._go_on()
                    self._relink(increments, table, link, ids)

    def _relink(self, increments: Associations, table: Table, link: str, ids: Sequence[str]) -> None:
        """Compare the associations that lead to these records with those held."""
        name = f"{table.name}~{link}"
        held = set(self.snapshot.linked(name, ids).rows())
        differing = held ^ set(increments.links_to(table, link, ids).rows())
        stale = sorted({near for near, _ in differing})
        if stale:
            self.snapshot.change_parts(name, stale, increments.links_from(table, link, stale))

    def _change(self, table: Table, changed: ChangedRows) -> Sequence[str]:
        """Records as they are now, with their associations; their ids."""
        ids = changed.records(table.record)
        if table.history_of is None:
            self.snapshot.change(table.name, changed.rows)
        else:
            self.snapshot.change_parts(table.name, ids, changed.rows)
        for link, rows in changed.links.items():
            self.snapshot.change_parts(f"{table.name}~{link}", ids, rows)
        return ids

    def recheck(self) -> None:
        """Look again at a share of the records that only changes were read of, going on where the last pull ended: at
        a portion of one table, or of several where there are more tables than pulls in a round.

        What is gone past the recycle bin, or was hidden or shown by sharing, leaves no trace that changes could bring.
        """
        increments, runs = self.reader.increments, self.manner.recheck_runs
        if increments is None or not runs or not self.kept:
            return
        looks = -(-len(self.kept) // runs)
        rows = portion_size([self.snapshot.size(table.name) for table in self.kept], looks * runs)
        names = [table.name for table in self.kept]
        place = self.snapshot.facts_before.get("recheck", {})
        known = place.get("table") in names
        position, after = (names.index(place["table"]), str(place["after"])) if known else (0, "")
        for _ in range(looks):
            ids = self._look_again(increments, self.kept[position], after, rows)
            ended = len(ids) < rows
            position, after = ((position + 1) % len(names), "") if ended else (position, ids[-1])
        self.snapshot.facts["recheck"] = {"table": names[position], "after": after}

    def _look_again(self, increments: Increments, table: Table, after: str, rows: int) -> list[str]:
        """Compare at most so many rows above an id with what is held; their ids."""
        ids: list[str] = []
        for changed in increments.portion(table, after, rows):
            self._go_on()
            ids += self._change(table, changed)
            self.snapshot.gone(table.name, changed.gone)
        upto = ids[-1] if len(ids) >= rows else None
        absent = self.snapshot.keys_between(table.name, after, upto) - set(ids)
        # Asked once more: an org that sorts ids otherwise than we do must not lose records here.
        gone = absent - increments.present(table, sorted(absent)) if absent else set()
        if gone:
            self.snapshot.gone(table.name, sorted(gone))
        return ids

    def _held(self, table: Table) -> Held | None:
        """The table in the last snapshot, unless it is time to read it whole."""
        held = self.snapshot.held(table.name)
        if held is None or self.manner.full:
            return None
        age = self.now - datetime.fromisoformat(held.read)
        return held if timedelta(0) <= age < self.manner.full_every else None

    def _go_on(self) -> None:
        if self.stop is not None and self.stop.is_set():
            raise Interrupted("stopped as asked while reading; nothing was changed")


def portion_size(sizes: Sequence[int], portions: int) -> int:
    """The fewest rows for each of so many portions that go through tables of these sizes; each is of one table.

    There are no fewer portions than tables.
    """
    least, enough = 1, max(sizes) + 1
    while least < enough:
        rows = (least + enough) // 2
        if sum(size // rows + 1 for size in sizes) <= portions:
            enough = rows
        else:
            least = rows + 1
    return enough


def check_stages(mapping: CrmMapping, stages: Mapping[str, Sequence[NativeStage]]) -> None:
    """Raise ConfigurationError, with file and line, for each mapped stage that the CRM does not have.

    Objects for which the source does not list its stages (exports) are not checked. Inactive stages count as
    existing: old records still hold them.
    """
    problems = [
        problem
        for mapped in mapping.objects
        for problem in _unknown_stages(mapping, mapped, stages.get(mapped.name, ()))
    ]
    if problems:
        count = f"{len(problems)} stage{'s' if len(problems) > 1 else ''}"
        raise ConfigurationError(
            f"{count} of the mapping '{mapping.name}' cannot be found in the CRM:", tuple(problems)
        )


def _unknown_stages(mapping: CrmMapping, mapped: MappedObject, known: Sequence[NativeStage]) -> list[Problem]:
    if not known:
        return []
    pipelines = {stage.pipeline for stage in known}
    problems = []
    for group, native in mapped.stages:
        # A CRM lists stages by pipeline, never by record type. "*" and a blank pipeline may hold any of them.
        pipeline = group if mapped.pipeline_field is not None else None
        anywhere = pipeline in (EVERY_OTHER, "")
        offered = [stage for stage in known if anywhere or stage.pipeline == pipeline]
        values = [stage.value for stage in offered]
        # "" stands for a record without a stage.
        if native == "" or native in values:
            continue
        line, column = mapped.stage_lines[group, native]
        if pipeline is not None and not anywhere and pipeline not in pipelines:
            message = f"{mapped.name} has no pipeline '{pipeline}'"
        elif shown := [stage.value for stage in offered if stage.label == native]:
            message = (
                f"'{native}' is only what {mapped.name} shows; write the value of that stage, {' or '.join(shown)}"
            )
        else:
            message = f"{mapped.name} has no stage '{native}'{nearest(native, values)}; it has {', '.join(values)}"
        problems.append(Problem(file=mapping.file, line=line, column=column, message=message))
    return problems
