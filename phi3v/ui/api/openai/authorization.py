"""Checks the login that a client of /v1 sends in its Authorization header."""

import base64
import binascii
import secrets


def is_authorized(header: str | None, auth: str | None) -> bool:
    """True if `auth`, user:password, is in the header: `Bearer user:password`, or basic.

    Also true if no login is required, which auth is None says; then any key is accepted.
    """
    if auth is None:
        return True
    scheme, _, sent = (header or "").partition(" ")
    given = sent.strip().encode("latin-1")  # starlette decodes headers as latin-1
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return secrets.compare_digest(given, auth.encode())
