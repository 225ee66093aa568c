"""Work out once what all queries with the same identifier have in common.

A modality asks for the same list every minute. What is made of its identifier is therefore kept for the next query. It
depends on nothing but the arguments it was made of, which are compared: a changed policy or setting is another
argument, so nothing that is kept can be out of date. The items are read from the database each time.

Where an operator types an accession number or a name, only the values are new: the responses' plan is that of the last
such query.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

from dicom.data_set_reading import read_data_set
from dicom.failures import UnreadableDataSet
from dicom.modality_policy import ModalityPolicy
from dicom.unreadable import UNREADABLE
from worklist.models.items import MatchingRows
from worklist.query.kept_keys import kept_keys, keyed_hash
from worklist.query.matching import apply_policy, parse_matching_keys
from worklist.query.response import ResponseOptions
from worklist.query.response_plan import ResponsePlan, ReturnKeys

#: The most identifiers that are kept, and the longest. Bytes.
KEPT, LONGEST_KEPT = 64, 4096
#: The longest identifier that is read. Those of modalities have less than a tenth, and reading a longer one takes long.
LONGEST = 1 << 16


class Identifier:
    """The decoded identifier of a query, and what the log may keep of its keys. Not changed once it is made."""

    def __init__(self, encoded: bytes, transfer_syntax: str, secret: str) -> None:
        """Decode the whole identifier; raise UnreadableDataSet if that is impossible."""
        self.transfer_syntax = transfer_syntax
        self.is_short = len(encoded) <= LONGEST_KEPT
        self.data_set = read_data_set(encoded, transfer_syntax, is_strict=True)
        try:
            self.data_set.decode()
        except UNREADABLE as error:
            raise UnreadableDataSet("The identifier cannot be read") from error
        self.kept_keys: Mapping[str, Any] = kept_keys(self.data_set, keyed_hash(secret))


class QueryPlan:
    """How the queries of one modality with one identifier are answered: which items, and with which responses."""

    def __init__(self, identifier: Identifier, policy: ModalityPolicy, options: ResponseOptions) -> None:
        """Work it out; raise BadKey if a key is not valid."""
        keys = parse_matching_keys(identifier.data_set, options.matching)
        self.key_names = [criterion.name for criterion in keys.criteria if criterion.query_value]
        data_set, transfer_syntax = identifier.data_set, identifier.transfer_syntax
        self.responses = (
            _kept_responses(ReturnKeys(data_set), transfer_syntax, options)
            if identifier.is_short
            else ResponsePlan(data_set, transfer_syntax, options)
        )
        keys = apply_policy(keys, policy, options.calling_ae_title)
        #: Named tuples that begin with what `responses` needs.
        self.items = MatchingRows(keys, *self.responses.fields, "pk", "correlation_id")


@lru_cache(KEPT)
def _kept_responses(keys: ReturnKeys, transfer_syntax: str, options: ResponseOptions) -> ResponsePlan:
    return ResponsePlan(keys.data_set, transfer_syntax, options)


_kept_identifier = lru_cache(KEPT)(Identifier)
_kept_plan = lru_cache(KEPT)(QueryPlan)


def read_identifier(encoded: bytes, transfer_syntax: str) -> Identifier:
    """Return the identifier; raise UnreadableDataSet unless the whole of it can be decoded, or if it is too long."""
    if len(encoded) > LONGEST:
        raise UnreadableDataSet(f"The identifier is longer than {LONGEST} bytes")
    read = _kept_identifier if len(encoded) <= LONGEST_KEPT else Identifier
    return read(encoded, transfer_syntax, settings.SECRET_KEY)


def query_plan(identifier: Identifier, policy: ModalityPolicy, options: ResponseOptions) -> QueryPlan:
    """Return how the query is answered; raise BadKey if a key is not valid."""
    make = _kept_plan if identifier.is_short else QueryPlan
    return make(identifier, policy, options)
