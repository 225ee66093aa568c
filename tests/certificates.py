"""Certificates with a fault, such as a wrong name or an expired date."""

import ssl
from datetime import UTC, datetime, timedelta

import trustme

from nonprod.relay_emulator.certificates import Certificate


def certificate_for(authority: trustme.CA, *names: str, begins: int = -10, ends: int = 10) -> Certificate:
    """Issue a certificate for these names; `begins` and `ends` are days from now."""
    context, now = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), datetime.now(UTC)
    first, last = now + timedelta(days=begins), now + timedelta(days=ends)
    authority.issue_cert(*names, not_before=first, not_after=last).configure_cert(context)
    return Certificate(context, authority)
