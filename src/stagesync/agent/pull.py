"""Pull: everything that the mapping names, from the CRM into the mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from threading import Event

from stagesync.agent.connection import Progress
from stagesync.connectors.base import Reader
from stagesync.errors import ConfigurationError, Interrupted, Problem
from stagesync.mirror import Mirror
from stagesync.model.crm import Identity, NativeStage, Owner
from stagesync.policy.document import nearest
from stagesync.policy.mappings import EVERY_OTHER, CrmMapping, MappedObject


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What a pull brought besides the rows, which are in the mirror. ``stages`` are by object."""

    identity: Identity
    owners: Sequence[Owner]
    stages: Mapping[str, Sequence[NativeStage]]
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
    stop: Event | None = None,
) -> Pulled:
    """Read all tables of a mapping into a new snapshot of the mirror.

    Raises ConfigurationError when the mapping names a stage that the CRM does not have, and ConnectionFailed when
    the CRM cannot be read, and Interrupted between two pages once ``stop`` is set; the snapshot before stays current
    then.
    """
    stages = {mapped.name: reader.stages(mapped.table.name, mapped.stage_field) for mapped in mapping.objects}
    check_stages(mapping, stages)
    missing = reader.missing(mapping.tables)
    owners = reader.owners()
    with mirror.replace(name, label) as snapshot:
        snapshot.expect(mapping.tables, missing)
        snapshot.facts = {"run": label, "org": identity.key, "owners": [asdict(owner) for owner in owners]}
        for table in mapping.tables:
            progress(name, table.name, 0)
            for page in reader.pull(table):
                if stop is not None and stop.is_set():
                    raise Interrupted("stopped as asked while reading; nothing was changed")
                snapshot.add(page)
                progress(name, page.table, snapshot.rows[page.table])
    return Pulled(identity=identity, owners=owners, stages=stages, rows=dict(snapshot.rows))


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
        values = [stage.value for stage in known if anywhere or stage.pipeline == pipeline]
        # "" stands for a record without a stage.
        if native == "" or native in values:
            continue
        line, column = mapped.stage_lines[group, native]
        if pipeline is not None and not anywhere and pipeline not in pipelines:
            message = f"{mapped.name} has no pipeline '{pipeline}'"
        else:
            message = f"{mapped.name} has no stage '{native}'{nearest(native, values)}; it has {', '.join(values)}"
        problems.append(Problem(file=mapping.file, line=line, column=column, message=message))
    return problems
