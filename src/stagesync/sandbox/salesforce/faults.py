"""Switches by which a test makes the org misbehave, as real ones do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Faults:
    """What goes wrong next. Counters count down by one each time they strike; flags stay until cleared.

    To expire sessions or query locators use ``Org.revoke_tokens()`` and ``Org.expire_locators()``.
    """

    permanent_401: bool = False
    """Every call answers 401 with ``permanent_401_message``, whatever the token."""
    permanent_401_message: str = "This session is not valid for use with the REST API"
    """Another one that no new token cures is "Connected app is not attached to Agent"."""
    login_refusal: tuple[str, str] | None = None
    """Every login answers 400 with this ``error`` and ``error_description``."""
    unapproved_users: set[str] = field(default_factory=set)
    """User names that the app is not approved for: their JWT logins answer "user hasn't approved this consumer"."""
    unavailable: int = 0
    """The next n calls answer 503 SERVER_UNAVAILABLE."""
    unavailable_html: bool = False
    """The 503 comes as a page in HTML instead of JSON."""
    retry_after: int | None = None
    """Seconds in the ``Retry-After`` header of the 503 and of the concurrent limit; None leaves the header out."""
    server_errors: int = 0
    """The next n calls answer 500 UNKNOWN_EXCEPTION."""
    daily_limit_reached: bool = False
    """Every call answers 403 REQUEST_LIMIT_EXCEEDED "TotalRequests Limit exceeded."."""
    concurrent_limit: int = 0
    """The next n calls answer 403 REQUEST_LIMIT_EXCEEDED "ConcurrentRequests ..."."""
    read_only: bool = False
    """Every write answers INSUFFICIENT_ACCESS_OR_READONLY."""
    hidden_fields: set[tuple[str, str]] = field(default_factory=set)
    """(object, field) pairs that field-level security hides: not in describe, INVALID_FIELD in queries."""
    hidden_objects: set[str] = field(default_factory=set)
    """Objects that the user cannot see: 404 in describe, INVALID_TYPE in queries."""
    read_only_fields: set[tuple[str, str]] = field(default_factory=set)
    """(object, field) pairs that field-level security shows but does not let the user edit."""
    read_only_objects: set[str] = field(default_factory=set)
    """Objects whose records the user may read and neither create nor edit."""
    hidden_records: set[str] = field(default_factory=set)
    """Records, by 18-character id, that sharing hides from the user: they stop coming and nothing else tells of it."""
    compares_system_stamp: bool = False
    """``If-Unmodified-Since`` of updates is held against SystemModstamp, as an article says, not LastModifiedDate."""
    commit_delay_seconds: float = 0.0
    """Writes carry a stamp this old: a long transaction stamps its rows when it saves, and they are seen at its end."""
    lock_failures: int = 0
    """The next n record writes fail with UNABLE_TO_LOCK_ROW."""
    locked_records: dict[str, int] = field(default_factory=dict)
    """The next n writes of one record, by 18-character id, fail with UNABLE_TO_LOCK_ROW."""
    validation_rules: dict[str, str] = field(default_factory=dict)
    """Writes of a record, by 18-character id, fail with FIELD_CUSTOM_VALIDATION_EXCEPTION and this message."""
    drop_before_commit: int = 0
    """The next n write calls are not carried out: the connection is closed without an answer."""
    drop_after_commit: int = 0
    """The next n write calls are carried out, then the connection is closed without an answer."""
    stale_describes: bool = False
    """A describe that asks for changes is answered 304, as if nothing told of what changed."""
    composite_forbids: set[str] = field(default_factory=set)
    """Composite calls that hold an address with one of these words are refused as a whole: 400."""
    limits_forbidden: bool = False
    """``/limits`` answers 403, as for a user without View Setup and Configuration."""
    ui_api_forbidden: bool = False
    """The UI API answers 403, so that nobody says what a record type offers."""
    heavy_queries: set[str] = field(default_factory=set)
    """Objects whose queries answer 400 QUERY_TIMEOUT; bulk jobs read them."""
    heavy_pages: set[str] = field(default_factory=set)
    """Objects of whose queries the first page comes, and all others answer 400 QUERY_TIMEOUT."""
    bulk_looks: int = 0
    """The next n looks at a bulk job find it InProgress."""
    bulk_end: tuple[str, str] | None = None
    """Every bulk job ends in this state, Failed or Aborted, with this message."""
    bulk_unsupported: set[str] = field(default_factory=set)
    """Objects that the Bulk API does not know: 400 when a job is made."""
    broken_results: int = 0
    """The connection breaks in the middle of each of the next n pages of bulk results."""
    short_results: int = 0
    """Something on the way ends each of the next n pages of bulk results early, and says that this is all."""
    page_for_results: int = 0
    """The next n pages of bulk results are a page in HTML, with status 200."""
    lost_result_locators: int = 0
    """The next n pages of bulk results that are asked for by locator answer 400 INVALID_QUERY_LOCATOR."""
    lost_results: int = 0
    """The next n pages of bulk results that are asked for by locator find their job gone: 404."""
    one_header: bool = False
    """Only the first page of bulk results begins with the names of the columns."""
    bulk_zulu: bool = False
    """Bulk results spell moments with a Z at the end instead of +0000."""
    latency_seconds: float = 0.0
    """Each call waits this long before it is answered."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def strikes(self, counter: str) -> bool:
        """Whether a counter is above 0; takes one from it."""
        with self._lock:
            left: int = getattr(self, counter)
            if left > 0:
                setattr(self, counter, left - 1)
            return left > 0

    def locks(self, record_id: str | None) -> bool:
        """Whether a write of this record meets a lock; takes one from the counter that struck."""
        with self._lock:
            left = self.locked_records.get(record_id or "", 0)
            if left > 0 and record_id:
                self.locked_records[record_id] = left - 1
                return True
        return self.strikes("lock_failures")

    def forbids(self, sobject: str, name: str | None = None) -> bool:
        """Whether the user may not write an object, or a field of it."""
        return self.read_only or sobject in self.read_only_objects or (sobject, name) in self.read_only_fields

    def hides(self, sobject: str, name: str) -> bool:
        """Whether field-level security hides a field."""
        return bool(self.hidden_fields) and (sobject, name) in self.hidden_fields
