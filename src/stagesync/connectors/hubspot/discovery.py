"""What a portal is made of: for setting up a configuration, and for checking one against the portal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stagesync.connectors.base import Reader
from stagesync.connectors.hubspot.reader import HubSpotReader
from stagesync.model.crm import (
    BlindSpot,
    FieldFacts,
    Likeness,
    NativeStage,
    ObjectFacts,
    Organization,
    RecordType,
    Service,
)

# The stages of the pipeline that every portal is given, by id: developers.hubspot.com, "Pipelines".
DEFAULT_STAGES = (
    "appointmentscheduled",
    "qualifiedtobuy",
    "presentationscheduled",
    "decisionmakerboughtin",
    "contractsent",
    "closedwon",
    "closedlost",
)


class HubSpotDiscovery:
    """The :class:`~stagesync.connectors.base.Discovery` of one portal. HubSpot does not say what a token may write,
    so that a property counts as writable unless it is read-only for everybody."""

    currency_field = "deal_currency_code"

    def __init__(self, reader: HubSpotReader, api_version: str) -> None:
        self.reader: Reader = reader
        self._portal = reader
        self._version = api_version

    def service(self) -> Service:
        """The version of the settings; HubSpot lists none."""
        return Service(version=self._version)

    def organization(self) -> Organization:
        """Not asked for."""
        return Organization()

    def facts(self, object_name: str) -> ObjectFacts | None:
        """The properties of an object."""
        known = self._portal.properties(object_name)
        if not known:
            return None
        fields = {
            name: FieldFacts(
                name=name,
                label=name,
                type="property",
                creatable=True,
                editable=True,
                unique=answer.has_unique_value,
                external_id=answer.has_unique_value,
            )
            for name, answer in known.items()
        }
        return ObjectFacts(name=object_name, fields=fields, creatable=True, editable=True)

    def record_types(self, _object_name: str, _stage_field: str) -> Sequence[RecordType]:
        """HubSpot has pipelines instead, which its stages name."""
        return ()

    def likeness(self, _object_name: str, _stage_field: str, stage: NativeStage) -> Likeness | None:
        """The stages of the default pipeline, and what is closed in any."""
        if stage.value in DEFAULT_STAGES:
            return Likeness(value=stage.value, sure=True, why="a stage of every new portal")
        if stage.closed:
            return Likeness(
                value="closedwon" if stage.won else "closedlost", sure=True, why="the portal says it is closed"
            )
        return None

    def counts(self, _object_name: str, _field: str, *, open_only: bool) -> Mapping[str, int] | None:
        """HubSpot counts by one search for each value, which is not cheap; ``open_only`` changes nothing."""
        del open_only
        return None

    def blind_spots(self) -> Sequence[BlindSpot]:
        """None is looked for."""
        return ()

    def close(self) -> None:
        """Give connections back."""
        self.reader.close()
