"""Write docs/conformance.md from its template and the tables that the code reads: `make conformance`.

`<<name>>` in the template stands for a table or value of TABLES.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydicom.charset import python_encoding
from pydicom.tag import Tag
from pydicom.uid import UID

from dicom import association, association_policy, server, statuses, tls
from dicom.modality_policy import CHARACTER_SETS, ModalityPolicy
from dicom.models import Modality
from dicom.upper_layer import negotiation
from dicom.upper_layer.acceptor import Limits
from dicom.upper_layer.dimse import Status
from gateway_project.settings.base import SETTINGS
from images import configuration as images
from images import scp as image_scp
from worklist.models import MppsException
from worklist.performed_step import mpps
from worklist.performed_step.identity import ScheduledStep
from worklist.performed_step.item_state import STRONGEST_FIRST
from worklist.performed_step.linking import LINKING_ORDER
from worklist.performed_step.report import TABLE_F_7_2_1, AttributeFault
from worklist.query import query_plan
from worklist.query.information_model import NOT_KEYS, STATUS_WORDS, Attribute, Matching, WhenUnknown, rows
from worklist.query.response import FALLBACKS
from worklist.scp import SERVICES

LIMITS = Limits()
TEMPLATE = Path(__file__).parent / "conformance_template.md"
STATEMENT = Path("docs/conformance.md")

MEANINGS = {
    statuses.PENDING: "pending; every optional key is supported as the required ones are",
    statuses.PENDING_WITH_UNSUPPORTED_KEYS: "pending; a key is not matched on its value, is unknown, or is left out "
    "of this item",
    statuses.SUCCESS: "done; alone, when nothing matched",
    statuses.CANCELLED: "cancelled by a C-CANCEL",
    statuses.OUT_OF_RESOURCES: "more matches than `MWL_MAX_ROWS`, or than the modality's own limit; sent after as "
    "many responses",
    statuses.IDENTIFIER_DOES_NOT_MATCH: "a key is invalid: not a date or a time, or more than one item in the step "
    "sequence",
    statuses.INCOMPLETE_IDENTIFIER: "the identifier that was announced did not come, or not to its end",
    statuses.DATABASE_UNAVAILABLE: "the database is not available; the same query may be answered later",
    statuses.INTERNAL_ERROR: "a fault of the gateway; see its log",
    statuses.NOT_PERMITTED: "the calling AE title is no longer permitted: its configuration changed after the "
    "association was accepted",
    statuses.UNREADABLE_IDENTIFIER: "the identifier cannot be read as a whole",
}
#: Status → the fields that a failure has.
FIELDS = {
    statuses.IDENTIFIER_DOES_NOT_MATCH: "Offending Element (0000,0901), Error Comment (0000,0902)",
    **dict.fromkeys(
        (
            statuses.OUT_OF_RESOURCES,
            statuses.INCOMPLETE_IDENTIFIER,
            statuses.DATABASE_UNAVAILABLE,
            statuses.INTERNAL_ERROR,
            statuses.NOT_PERMITTED,
            statuses.UNREADABLE_IDENTIFIER,
        ),
        "Error Comment (0000,0902)",
    ),
}

#: N-CREATE and N-SET: status → when it is returned, and its fields. `strict`: to a strict modality only.
REPORTED: dict[int, tuple[str, str]] = {
    statuses.SUCCESS: ("stored, with the status of its items, in one committed transaction", ""),
    statuses.NO_SUCH_ATTRIBUTE: (
        "strict: an N-SET of an attribute that may not be set, or that was not created",
        "Attribute Identifier List (0000,1005), Error Comment",
    ),
    statuses.INVALID_ATTRIBUTE_VALUE: (
        "an N-CREATE with a status other than IN PROGRESS; an N-SET with an unknown status; strict: an invalid date "
        "or time",
        "Error Comment",
    ),
    statuses.PROCESSING_FAILURE: (
        "the step is completed or discontinued: Error ID A710; or the database is not available, the data set cannot "
        "be read, or a fault of the gateway: no Error ID; once the cause is gone, the same report may be accepted",
        "Error Comment, Error ID (0000,0903)",
    ),
    statuses.DUPLICATE_INSTANCE: (
        "the SOP Instance UID exists already; the first report is stored",
        "Error Comment",
    ),
    statuses.NO_SUCH_INSTANCE: (
        "an N-SET of a SOP Instance UID that has not been created",
        "Error Comment",
    ),
    statuses.INVALID_INSTANCE: ("the SOP Instance UID is absent or invalid", ""),
    statuses.NO_SUCH_CLASS: ("another SOP class in a presentation context of this one", ""),
    statuses.MISSING_ATTRIBUTE: (
        "an N-CREATE without PerformedProcedureStepStatus or ScheduledStepAttributesSequence; an N-SET that says "
        "nothing; strict: without a type 1 attribute",
        "Attribute Identifier List, Error Comment",
    ),
    statuses.MISSING_ATTRIBUTE_VALUE: (
        "an empty PerformedProcedureStepStatus; strict: an empty type 1 attribute, or an end without its date, its "
        "time or a series",
        "Error Comment",
    ),
    statuses.NOT_AUTHORIZED: (
        "the calling AE title is no longer permitted: its configuration changed after the association was accepted",
        "Error Comment",
    ),
    statuses.UNRECOGNIZED_OPERATION: ("any other operation: N-GET, N-EVENT-REPORT, N-ACTION, N-DELETE", ""),
}
#: C-STORE: status → when it is returned.
STORED: dict[int, str] = {
    statuses.SUCCESS: "the image is on disk and in the database",
    statuses.OUT_OF_RESOURCES: "fewer than `IMAGE_MIN_FREE_BYTES` of the disk are free, or it cannot be written to; "
    "the data set is longer than `IMAGE_MAX_BYTES`; more images came from its address than "
    "`IMAGE_MAX_PER_SECOND_PER_PEER` allows; the database is not available; the same may be accepted later",
    statuses.DATA_SET_DOES_NOT_MATCH: "the SOP Class or SOP Instance UID of the data set is not that of the command, "
    "or there is no data set",
    statuses.CANNOT_UNDERSTAND: "the data set cannot be read as a whole, has no Study or Series Instance UID, has not "
    "all of its Pixel Data, or did not come to its end in time",
    statuses.NOT_AUTHORIZED: "the calling AE title is no longer permitted: its configuration changed after the "
    "association was accepted",
    statuses.PROCESSING_FAILURE: "a fault of the gateway; see its log",
    Status.CLASS_NOT_SUPPORTED: "the command names another SOP class than the presentation context",
    statuses.UNRECOGNIZED_OPERATION: "any operation but C-STORE",
}
#: Numbers in that module that are not statuses.
ERROR_IDS = {statuses.MAY_NO_LONGER_BE_UPDATED}
KEYWORDS = {
    "study_instance_uid": "StudyInstanceUID",
    "scheduled_procedure_step_id": "ScheduledProcedureStepID",
    "accession_number": "AccessionNumber",
    "requested_procedure_id": "RequestedProcedureID",
    "patient_id": "PatientID",
}


def table(heads: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    """Format a Markdown table."""
    written = [heads, ("---",) * len(heads), *lines]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |".replace("|  |", "| |") for line in written)


def tag(attribute: Attribute) -> str:
    """Format a tag as `(0010,0010)`."""
    return f"({attribute.tag.group:04X},{attribute.tag.element:04X})"


def matched() -> list[tuple[int, Attribute]]:
    """List the matching keys with their depth."""
    return [
        (depth, row)
        for depth, row in rows()
        if row.matching not in (Matching.NONE, Matching.NOT_A_KEY, Matching.SEQUENCE)
    ]


def matching_keys() -> str:
    """Format the matching keys with the kind of matching."""
    lines = (
        (f"{'> ' * depth}{row.keyword}", tag(row), row.vr, "R" if row.required else "O", row.matching.value)
        for depth, row in matched()
    )
    return table(("attribute", "tag", "VR", "key", "matching"), lines)


def return_keys() -> str:
    """Format the whole information model: what is returned, and what if there is no value."""
    lines = ((f"{'> ' * depth}{row.keyword}", tag(row), row.vr, row.return_type, _filled(row)) for depth, row in rows())
    return table(("attribute", "tag", "VR", "type", "without a value"), lines)


def _filled(row: Attribute) -> str:
    if row.matching is Matching.NOT_A_KEY:
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
    """Format the keywords of the chosen rows, in table order."""
    return ", ".join(dict.fromkeys(row.keyword for _, row in rows() if choice(row)))


def status_table() -> str:
    """Format the statuses of C-FIND; every status in the code must have a meaning here."""
    known = {value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, int)}
    said = MEANINGS.keys() | REPORTED.keys() | (STORED.keys() - {Status.CLASS_NOT_SUPPORTED})
    assert known - ERROR_IDS == said, "tests/docs/conformance.py does not say what each status means"
    return table(
        ("status", "meaning", "fields"),
        ((f"{status:04X}", meaning, FIELDS.get(status, "")) for status, meaning in MEANINGS.items()),
    )


def reported_statuses() -> str:
    """Format the statuses of N-CREATE and N-SET."""
    assert set(mpps.STATUS_OF) == set(AttributeFault)
    return table(
        ("status", "when", "fields"),
        ((f"{status:04X}", *said) for status, said in REPORTED.items()),
    )


def report_attributes() -> str:
    """Format table F.7.2-1 as the code has it."""
    lines = (
        (row.keyword, str(Tag(row.keyword)), row.on_create, "may be set" if row.may_be_set else "may not be set")
        for row in TABLE_F_7_2_1
    )
    return table(("attribute", "tag", "N-CREATE", "N-SET"), lines)


def linking_order() -> str:
    """Format the keys by which an item is found, in order."""
    named = ScheduledStep("study", "accession", "procedure", "step")
    return "\n".join(
        f"{number}. {' and '.join(KEYWORDS[field] for field in keys_of(named, 'patient'))}"
        for number, keys_of in enumerate(LINKING_ORDER, 1)
    )


def states() -> str:
    """Format the facts that decide an item's status, the strongest first."""
    return "\n".join(
        f"{number}. {fact.status}, from {fact.source.value}" for number, fact in enumerate(STRONGEST_FIRST, 1)
    )


def exception_reasons() -> str:
    """Format the reasons of exceptions."""
    return "\n".join(f"- {label}." for label in MppsException.Reason.labels)


def rejections() -> str:
    """Format the rejections of associations, in the order of the rules."""
    rules = (*association_policy.PERMISSION_RULES, *association_policy.LIMIT_RULES)
    refusals = [*negotiation.REJECTIONS, *(refusal for refusal, _ in rules)]
    return table(
        ("when", "result", "source", "reason"),
        ((one.sentence, one.result, one.source, one.reason) for one in refusals),
    )


def policies() -> str:
    """Format what can be configured for an AE title."""
    fields = [Modality._meta.get_field(name) for name in vars(ModalityPolicy()) if name != "is_known"]
    return table(
        ("policy", "default", "what it does"),
        (
            (field.verbose_name, _shown(getattr(ModalityPolicy(), field.name)), field.help_text)  # type: ignore[union-attr]
            for field in fields
        ),
    )


def settings_table() -> str:
    """Format the servers' settings, with their explanations from docs/configuration.md."""
    described = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", Path("docs/configuration.md").read_text(), re.M))
    names = [name for name in SETTINGS if name.startswith(("MWL_", "IMAGE")) or name == "TIME_ZONE"]
    return table(
        ("setting", "default", "what it is"),
        ((f"`{name}`", _shown(SETTINGS[name][1]), described[name]) for name in names),
    )


def _shown(value: Any) -> str:
    return "" if value in (None, "") else f"`{value}`"


def contexts() -> str:
    """Format the accepted presentation contexts."""
    accepted = [
        (UID(sop_class).name, sop_class, syntax.name, syntax, "SCP")
        for sop_class, syntaxes in (
            (each.sop_class, each.transfer_syntaxes) for each in (*SERVICES, server.VERIFICATION)
        )
        for syntax in map(UID, syntaxes)
    ]
    return table(("abstract syntax", "UID", "transfer syntax", "UID", "role"), accepted)


def image_contexts() -> str:
    """Format the Storage SOP classes, with the setting that each needs."""
    needs = {
        image_scp.BREAST_TOMOSYNTHESIS: "with `IMAGE_TOMOSYNTHESIS`",
        image_scp.SECONDARY_CAPTURE: "with `IMAGE_SECONDARY_CAPTURE`",
    }
    classes = (image_scp.MAMMOGRAPHY_FOR_PRESENTATION, image_scp.MAMMOGRAPHY_FOR_PROCESSING, *needs)
    lines = ((UID(each).name, each, "SCP", needs.get(each, "always")) for each in classes)
    return table(("abstract syntax", "UID", "role", "accepted"), lines)


def image_syntaxes() -> str:
    """Format the transfer syntaxes of images, the preferred one first."""
    return table(("transfer syntax", "UID"), ((UID(each).name, each) for each in image_scp.TRANSFER_SYNTAXES))


def store_statuses() -> str:
    """Format the statuses of C-STORE."""
    return table(("status", "when"), ((f"{status:04X}", when) for status, when in STORED.items()))


def character_sets() -> str:
    """Format the defined terms that are read."""
    return ", ".join(f"`{term}`" for term in python_encoding if term)


TABLES: dict[str, Callable[[], str]] = {
    "contexts": contexts,
    "image contexts": image_contexts,
    "image syntaxes": image_syntaxes,
    "store statuses": store_statuses,
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
    "longest data set": lambda: f"{association_policy.ServerConfig('').max_data_set_bytes:,}",
    "unanswered": lambda: str(association.MAX_UNANSWERED),
    "longest identifier": lambda: f"{query_plan.LONGEST:,}",
    "longest pdu": lambda: str(LIMITS.pdu_length),
    "data set seconds": lambda: f"{association_policy.ServerConfig('').data_set_seconds:g}",
    "bytes per second": lambda: str(LIMITS.bytes_per_second),
    "offered pdu": lambda: str(association_policy.ServerConfig("").max_pdu_bytes),
    "offered image pdu": lambda: str(images.MAX_PDU_BYTES),
    "image seconds": lambda: f"{images.DATA_SET_SECONDS:g}",
    "image bytes per second": lambda: str(images.MIN_BYTES_PER_SECOND),
    "max rows": lambda: str(SETTINGS["MWL_MAX_ROWS"][1]),
    "implementation class": lambda: association.IMPLEMENTATION.class_uid,
    "implementation version": lambda: association.IMPLEMENTATION.version_name,
}


def statement() -> str:
    """The whole document."""
    return re.sub(r"<<([a-z 3]+)>>", lambda found: TABLES[found[1]](), TEMPLATE.read_text())


def write() -> None:
    """Bring docs/conformance.md up to date."""
    STATEMENT.write_text(statement())
