"""Makes docs/conformance.md from its template and the tables that the code reads: `make conformance`.

In the template `<<name>>` is a table or a value of TABLES. What is in a table is in the statement, and nothing else.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pynetdicom
from pydicom.charset import python_encoding
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom import association_policy, pynetdicom_internals, server, statuses, tls
from dicom.modality_policy import CHARACTER_SETS, ModalityPolicy
from dicom.models import Modality
from gateway_project.settings.base import SETTINGS
from worklist.models import MppsException
from worklist.performed_step import mpps
from worklist.performed_step.item_state import STRONGEST_FIRST
from worklist.performed_step.linking import LINKING_ORDER
from worklist.performed_step.report import TABLE, Fault, ScheduledStep
from worklist.query.information_model import NOT_KEYS, STATUS_WORDS, Attribute, Matching, WhenUnknown, rows
from worklist.query.response import FALLBACKS
from worklist.scp import SERVICES

TEMPLATE = Path(__file__).parent / "conformance_template.md"
STATEMENT = Path("docs/conformance.md")

MEANINGS = {
    statuses.PENDING: "pending; every optional key is supported as the required ones are",
    statuses.PENDING_WITH_UNSUPPORTED_KEYS: "pending; a key has a value that is not matched on, or is not known, or "
    "is left out of this item",
    statuses.SUCCESS: "done; alone, when nothing matched",
    statuses.CANCELLED: "cancelled by a C-CANCEL",
    statuses.OUT_OF_RESOURCES: "more matches than `MWL_MAX_ROWS`, or than the modality's own limit, after so many "
    "were sent",
    statuses.IDENTIFIER_DOES_NOT_MATCH: "a key means nothing: a date or a time that is none, more than one item in the "
    "step sequence",
    statuses.DATABASE_AWAY: "the database is not available; the same query may be answered later",
    statuses.INTERNAL_ERROR: "a fault of the gateway; its log has it",
    statuses.MAY_NOT_ASK: "the calling AE title may not ask any more: it was let in before it was changed in the admin",
    statuses.CANNOT_BE_READ: "the identifier cannot be read",
}
#: Of a failure, which fields it has.
FIELDS = {
    statuses.IDENTIFIER_DOES_NOT_MATCH: "Offending Element (0000,0901), Error Comment (0000,0902)",
    **dict.fromkeys(
        (
            statuses.OUT_OF_RESOURCES,
            statuses.DATABASE_AWAY,
            statuses.INTERNAL_ERROR,
            statuses.MAY_NOT_ASK,
            statuses.CANNOT_BE_READ,
        ),
        "Error Comment (0000,0902)",
    ),
}

#: Of N-CREATE and N-SET: when, and which fields there are. `strict`: to a strict modality only.
REPORTED: dict[int, tuple[str, str]] = {
    statuses.SUCCESS: ("stored, and the items settled, in one transaction that is committed", ""),
    statuses.NO_SUCH_ATTRIBUTE: (
        "strict: an N-SET of an attribute that may not be set, or that was not created",
        "Attribute Identifier List (0000,1005), Error Comment",
    ),
    statuses.INVALID_ATTRIBUTE_VALUE: (
        "an N-CREATE in another state than IN PROGRESS; an N-SET to a state that there is not; strict: a date or a "
        "time that is none",
        "Error Comment",
    ),
    statuses.PROCESSING_FAILURE: (
        "the step is completed or discontinued: Error ID A710; or the database is not available, the data set cannot "
        "be read, or a fault of the gateway: without an Error ID, and the same report may be taken later",
        "Error Comment, Error ID (0000,0903)",
    ),
    statuses.DUPLICATE_INSTANCE: (
        "the SOP Instance UID has been created; the first report is stored",
        "Affected SOP Instance UID (0000,1000), Error Comment",
    ),
    statuses.NO_SUCH_INSTANCE: (
        "an N-SET of a SOP Instance UID that has not been created",
        "Affected SOP Instance UID, Error Comment",
    ),
    statuses.INVALID_INSTANCE: ("the SOP Instance UID is absent or none", ""),
    statuses.NO_SUCH_CLASS: ("another SOP class in a context of this one", ""),
    statuses.MISSING_ATTRIBUTE: (
        "an N-CREATE without PerformedProcedureStepStatus or ScheduledStepAttributesSequence; strict: without any of "
        "type 1",
        "Attribute Identifier List, Error Comment",
    ),
    statuses.MISSING_ATTRIBUTE_VALUE: (
        "an empty PerformedProcedureStepStatus; strict: any of type 1 that is empty, or an end without its date, its "
        "time or a series",
        "Error Comment",
    ),
    statuses.NOT_AUTHORIZED: (
        "the calling AE title may not ask any more: it was let in before it was changed in the admin",
        "Error Comment",
    ),
    statuses.UNRECOGNIZED_OPERATION: ("any other operation: N-GET, N-EVENT-REPORT, N-ACTION, N-DELETE", ""),
}
#: No statuses, though numbers in that module.
ERROR_IDS = {statuses.MAY_NO_LONGER_BE_UPDATED}
KEYWORDS = {
    "study_instance_uid": "StudyInstanceUID",
    "scheduled_procedure_step_id": "ScheduledProcedureStepID",
    "accession_number": "AccessionNumber",
    "requested_procedure_id": "RequestedProcedureID",
    "patient_id": "PatientID",
}


def table(heads: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    """As Markdown writes one."""
    written = [heads, ("---",) * len(heads), *lines]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |".replace("|  |", "| |") for line in written)


def tag(attribute: Attribute) -> str:
    """`(0010,0010)`."""
    return f"({attribute.tag.group:04X},{attribute.tag.element:04X})"


def matched() -> list[tuple[int, Attribute]]:
    """The matching keys."""
    return [
        (depth, row) for depth, row in rows() if row.matching not in (Matching.NONE, Matching.NEVER, Matching.SEQUENCE)
    ]


def matching_keys() -> str:
    """What is matched, and how."""
    lines = (
        (f"{'> ' * depth}{row.keyword}", tag(row), row.vr, "R" if row.required else "O", row.matching.value)
        for depth, row in matched()
    )
    return table(("attribute", "tag", "VR", "key", "matching"), lines)


def return_keys() -> str:
    """The whole information model: what is returned, and what of it where there is no value."""
    lines = ((f"{'> ' * depth}{row.keyword}", tag(row), row.vr, row.return_type, _filled(row)) for depth, row in rows())
    return table(("attribute", "tag", "VR", "type", "without a value"), lines)


def _filled(row: Attribute) -> str:
    if row.matching is Matching.NEVER:
        return "see character sets and time"
    if row.constant is not None:
        return f"always `{row.constant}`"
    if row.children:
        return "always one item" if row.return_type == "1" else "zero-length: one whole coded concept, or none"
    if not row.sources:
        return "never returned, and FF01" if row.when_unknown is WhenUnknown.WARNED else f"always {_unknown(row)}"
    return _unknown(row)


def _unknown(row: Attribute) -> str:
    return row.when_unknown.value


def _is_returned(row: Attribute) -> bool:
    return bool(row.sources or row.children or row.constant is not None)


def keywords(choice: Callable[[Attribute], bool]) -> str:
    """The keywords of some rows, in the table's order."""
    return ", ".join(dict.fromkeys(row.keyword for _, row in rows() if choice(row)))


def status_table() -> str:
    """Every status that there is, and no other."""
    known = {value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, int)}
    said = MEANINGS.keys() | REPORTED.keys()
    assert known - ERROR_IDS == said, "tests/docs/conformance.py does not say what each status means"
    return table(
        ("status", "meaning", "fields"),
        ((f"{status:04X}", meaning, FIELDS.get(status, "")) for status, meaning in MEANINGS.items()),
    )


def reported_statuses() -> str:
    """Every status of N-CREATE and N-SET."""
    assert set(mpps.STATUS_OF) == set(Fault)
    return table(
        ("status", "when", "fields"),
        ((f"{status:04X}", *said) for status, said in REPORTED.items()),
    )


def report_attributes() -> str:
    """What a report has, and what of it may change."""
    lines = (
        (row.keyword, str(Tag(row.keyword)), row.on_create, "may be set" if row.may_be_set else "not any more")
        for row in TABLE
    )
    return table(("attribute", "tag", "N-CREATE", "N-SET"), lines)


def linking_order() -> str:
    """By what an item is found, each time together."""
    named = ScheduledStep("study", "accession", "procedure", "step")
    return "\n".join(
        f"{number}. {' and '.join(KEYWORDS[field] for field in keys_of(named, 'patient'))}"
        for number, keys_of in enumerate(LINKING_ORDER, 1)
    )


def states() -> str:
    """What decides how an item stands, the strongest first."""
    return "\n".join(
        f"{number}. {fact.status}, from {fact.source.value}" for number, fact in enumerate(STRONGEST_FIRST, 1)
    )


def exception_reasons() -> str:
    """What leaves an exception."""
    return "\n".join(f"- {label}." for label in MppsException.Reason.labels)


def rejections() -> str:
    """How an association is rejected, in the order in which it is looked at."""
    refusals = [refusal for refusal, _ in (*association_policy.PERMISSION_RULES, *association_policy.LIMIT_RULES)]
    return table(
        ("when", "result", "source", "reason"),
        ((one.sentence, one.result, one.source, one.reason) for one in refusals),
    )


def policies() -> str:
    """What is settable for each AE title."""
    fields = [Modality._meta.get_field(name) for name in vars(ModalityPolicy()) if name != "is_known"]
    return table(
        ("policy", "unless set", "what it does"),
        (
            (field.verbose_name, _shown(getattr(ModalityPolicy(), field.name)), field.help_text)  # type: ignore[union-attr]
            for field in fields
        ),
    )


def settings_table() -> str:
    """The settings of the worklist, as docs/configuration.md explains them."""
    described = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", Path("docs/configuration.md").read_text(), re.M))
    names = [name for name in SETTINGS if name.startswith("MWL_") or name == "TIME_ZONE"]
    return table(
        ("setting", "unless set", "what it is"),
        ((f"`{name}`", _shown(SETTINGS[name][1]), described[name]) for name in names),
    )


def _shown(value: Any) -> str:
    return "" if value in (None, "") else f"`{value}`"


def contexts() -> str:
    """The presentation contexts that are accepted."""
    accepted = [
        (UID(sop_class).name, sop_class, syntax.name, syntax, "SCP")
        for sop_class in (*(service.sop_class for service in SERVICES), Verification)
        for syntax in server.TRANSFER_SYNTAXES
    ]
    return table(("abstract syntax", "UID", "transfer syntax", "UID", "role"), accepted)


def character_sets() -> str:
    """The defined terms that are read."""
    return ", ".join(f"`{term}`" for term in python_encoding if term)


TABLES: dict[str, Callable[[], str]] = {
    "contexts": contexts,
    "rejections": rejections,
    "matching keys": matching_keys,
    "return keys": return_keys,
    "optional matching keys": lambda: keywords(lambda row: not row.required and row in [one for _, one in matched()]),
    "type 3 return keys": lambda: keywords(lambda row: row.return_type == "3" and _is_returned(row)),
    "keys without values": lambda: keywords(lambda row: not _is_returned(row) and row.matching is Matching.NONE),
    "names": lambda: keywords(lambda row: row.matching is Matching.NAME),
    "no keys": lambda: ", ".join(sorted(NOT_KEYS)),
    "statuses": status_table,
    "reported statuses": reported_statuses,
    "report attributes": report_attributes,
    "linking order": linking_order,
    "states": states,
    "exceptions": exception_reasons,
    "policies": policies,
    "settings": settings_table,
    "character sets": character_sets,
    "forced character sets": lambda: ", ".join(f"`{name}`" for name in CHARACTER_SETS),
    "fallbacks": lambda: ", then ".join(f"`{terms[0]}`" for terms in FALLBACKS),
    "status words": lambda: ", ".join(
        f"{kept} as {words[0]}" for kept, words in STATUS_WORDS.items() if kept != words[0]
    ),
    "ciphers": lambda: f"`{tls.CIPHERS}`",
    "greeting seconds": lambda: f"{server.ARTIM_SECONDS:g}",
    "longest pdu": lambda: f"{pynetdicom_internals.MAX_PDU_LENGTH}",
    "offered pdu": lambda: str(pynetdicom.AE().maximum_pdu_size),
    "max rows": lambda: str(SETTINGS["MWL_MAX_ROWS"][1]),
    "implementation class": lambda: str(pynetdicom.PYNETDICOM_IMPLEMENTATION_UID),
    "implementation version": lambda: str(pynetdicom.PYNETDICOM_IMPLEMENTATION_VERSION),
}


def statement() -> str:
    """The whole document."""
    return re.sub(r"<<([a-z 3]+)>>", lambda found: TABLES[found[1]](), TEMPLATE.read_text())


def write() -> None:
    """Bring docs/conformance.md up to date."""
    STATEMENT.write_text(statement())
