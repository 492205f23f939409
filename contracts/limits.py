"""The limits of the contract, each with where its number comes from."""

from datetime import timedelta
from typing import Final

REQUEST_ID_LENGTH: Final = 50
"""Characters of a client_request_id: the width of MLflow's column ``trace_info.client_request_id``."""

REQUEST_ID_PATTERN: Final = r"[A-Za-z0-9\-_.:/=+@]+"
"""Nothing here needs escaping in an MLflow search filter; a test holds us to that."""

TRACE_ID_LENGTH: Final = 50
"""Characters of a trace id: the width of MLflow's column ``trace_info.request_id``."""

SPAN_ID_LENGTH: Final = 50
"""Characters of a span id: the width of MLflow's column ``assessments.span_id``."""

NAME_LENGTH: Final = 250
"""Characters of names and ids: the width of MLflow's column ``assessments.name``."""

RATIONALE_BYTES: Final = 16 * 1024
"""Bytes of a rationale in UTF-8."""

VALUE_BYTES: Final = 60 * 1024
"""Bytes of a value as JSON: MLflow keeps it in a TEXT column, 64 KiB on MySQL."""

METADATA_BYTES: Final = 32 * 1024
"""Bytes of an event's metadata as JSON: it shares a TEXT column with what we add."""

ASSESSMENTS: Final = 32
"""Assessments in one event."""

INTEGER: Final = 2**53
"""Largest integer, either sign: MLflow's REST API carries numbers as doubles."""

NESTING: Final = 32
"""Levels in an expectation's value."""

CLOCK_SKEW: Final = timedelta(minutes=10)
"""How far submitted_at may lie ahead of the record's own time: a clock in the future would win for ever."""

RESERVED_METADATA: Final = ("mlflow.", "feedback.")
"""Prefixes of metadata keys that belong to MLflow and to this pipeline."""

FIRST_YEAR: Final = 1970
"""First year of a time: MLflow counts milliseconds from its beginning."""

LAST_YEAR: Final = 9998
"""Last year of a time: the one after ends within an offset of what a datetime holds."""
