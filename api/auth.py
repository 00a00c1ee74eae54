"""Who asks, and for which organization. Every route is closed unless it says otherwise."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, current_app, g, request

from api.context import EXTENSION, Services, caller, services
from api.errors import Malformed
from api.identity import IdentityProvider
from syncapp.commands import ORGANIZATION_ID, Caller, find_caller
from syncapp.errors import Forbidden, Unauthorized, ValidationFailed
from syncapp.queries import check_organization, is_active
from syncapp.registry import find_sync
from syncapp.scope import EVERYONE, Scope

HEADER = "X-Organization-ID"
PATH = "organization_id"
LONGEST_TOKEN = 8 * 1024
KNOWN_SECONDS, MOST_KNOWN = 3.0, 10_000
ENVIRONMENT = Caller(token_id=None, name="environment", role="admin", organization_id=None)

View = Callable[..., Any]


class KnownTokens:
    """Callers by their token's hash, for as long as a revoked token may go on working: a few seconds."""

    def __init__(self, provider: IdentityProvider | None) -> None:
        self._provider = provider
        self._found: dict[bytes, tuple[float, Caller]] = {}

    def find(self, token: str, services: Services) -> Caller | None:
        """None for a token that is unknown or revoked.

        Raises Unauthorized, Forbidden (the organization is not active), ConnectionFailed, DatabaseUnavailable.
        """
        key = hashlib.sha256(token.encode()).digest()
        if self._is_environment(key, services):
            return ENVIRONMENT
        expires, known = self._found.get(key, (0.0, None))
        if known is not None and expires > time.monotonic():
            return known
        found = self._look_up(token, services)
        if len(self._found) >= MOST_KNOWN:
            self._found.clear()
        if found is not None:
            self._found[key] = (time.monotonic() + KNOWN_SECONDS, found)
        else:
            self._found.pop(key, None)
        return found

    def _look_up(self, token: str, services: Services) -> Caller | None:
        if self._provider is None or not self._provider.may_have_made(token):
            return find_caller(services.database, token)
        found = self._provider.identify(token)
        if found.role == "member" and not is_active(services.database, str(found.organization_id)):
            raise Forbidden(
                f"The organization {found.organization_id} is not known here, or not active",
                error_code="ORGANIZATION_INACTIVE",
            )
        return found

    @staticmethod
    def _is_environment(key: bytes, services: Services) -> bool:
        secret = services.settings.syncapp_admin_token
        if secret is None:
            return False
        return hmac.compare_digest(key, hashlib.sha256(secret.get_secret_value().encode()).digest())


def open_to_all(view: View) -> View:
    """Marks a route that needs no token."""
    view.is_open = True  # type: ignore[attr-defined]
    return view


def admin_only(view: View) -> View:
    """Marks a route that members may not use."""
    view.is_admin_only = True  # type: ignore[attr-defined]
    return view


def require_tokens(app: Flask) -> None:
    """Closes every route, and bounds how often a token triggers. Call it after the request id is set.

    What a path says of an organization is checked here too, for every route that has such a parameter.
    """
    known = KnownTokens(IdentityProvider.of(app.extensions[EXTENSION].settings))

    def authenticate() -> None:
        if request.url_rule is None or request.method == "OPTIONS":
            return
        view = current_app.view_functions[request.url_rule.endpoint]
        if getattr(view, "is_open", False):
            return
        g.caller = _identify(known)
        structlog.contextvars.bind_contextvars(actor=g.caller.token_id or g.caller.name, **(request.view_args or {}))
        if getattr(view, "is_admin_only", False) and g.caller.role != "admin":
            raise Forbidden("Only an admin may do this")
        named_organization()
        if getattr(view, "is_trigger", False) or getattr(view, "is_counted", False):
            services().limit.check(g.caller.token_id or g.caller.name)

    app.before_request(authenticate)


def _identify(known: KnownTokens) -> Caller:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("Send a token: Authorization: Bearer <token>", error_code="TOKEN_MISSING")
    if len(token) > LONGEST_TOKEN:
        raise Unauthorized("The token is longer than any of ours", error_code="TOKEN_TOO_LONG")
    found = known.find(token, services())
    if found is None:
        raise Unauthorized("The token is unknown or was revoked", error_code="TOKEN_UNKNOWN")
    return found


def named_organization(**also: str | None) -> str | None:
    """The organization the request names: in its header, its path, and in `also` (body or query, by the field's name).

    Raises ValidationFailed (not an id), Malformed (two that disagree), Forbidden (a member names another).
    """
    places = [(HEADER, request.headers.get(HEADER)), (PATH, (request.view_args or {}).get(PATH)), *also.items()]
    found = [(name, value) for name, value in places if value is not None]
    wrong = [name for name, value in found if not ORGANIZATION_ID.fullmatch(value)]
    if wrong:
        rule = ["Must be 1 to 64 letters, digits, - or _."]
        raise ValidationFailed("That is no organization id", details={"fields": dict.fromkeys(wrong, rule)})
    if len({value for _, value in found}) > 1:
        names = " and ".join(dict(found))
        raise Malformed(f"The request names two organizations: {names} disagree", error_code="ORGANIZATIONS_DISAGREE")
    named = found[0][1] if found else None
    if named is not None and not caller_is_admin() and named != caller().organization_id:
        raise Forbidden("The token belongs to another organization")
    return named


def caller_is_admin() -> bool:
    return caller().role == "admin"


def organization(**also: str | None) -> Scope:
    """The one organization that the request is for. Raises as `named_organization`."""
    return Scope(_organization_id(**also))


def existing_organization(**also: str | None) -> Scope:
    """As `organization`, for what only reads. Raises NotFound too: a trigger finds that out by itself."""
    found = _organization_id(**also)
    check_organization(services().database, found)
    return Scope(found)


def _organization_id(**also: str | None) -> str:
    found = named_organization(**also) or caller().organization_id or services().settings.default_organization_id
    structlog.contextvars.bind_contextvars(organization_id=found)
    return found


def visible(**also: str | None) -> Scope:
    """What the caller may see: a member its organization, an admin the one it names, else all.

    Raises as above, NotFound (an admin names one that does not exist).
    """
    named = named_organization(**also)
    if caller_is_admin():
        if named is None:
            return EVERYONE
        check_organization(services().database, named)
    return Scope(named or caller().organization_id)


def default_organization() -> Scope:
    """The default organization, for routes of systems that belong to it alone.

    Raises Forbidden (a member of another), Malformed (an admin names another), and as `named_organization`.
    """
    default = services().settings.default_organization_id
    _check_not_foreign(default)
    if named_organization() not in (None, default):
        raise Malformed(
            f"These syncs belong to the default organization: name {default} in {HEADER}, or none",
            error_code="NOT_THE_DEFAULT_ORGANIZATION",
        )
    structlog.contextvars.bind_contextvars(organization_id=default)
    return Scope(default)


def check_sync(name: str) -> None:
    """Raises NotFound, and Forbidden where a member would have the default organization's source read, or one that is
    for admins alone."""
    sync = find_sync(name)
    if sync.admins_only and not caller_is_admin():
        raise Forbidden(f"The sync {name} is for admins")
    if sync.provider is None:
        _check_not_foreign(services().settings.default_organization_id)


def _check_not_foreign(default: str) -> None:
    if not caller_is_admin() and caller().organization_id != default:
        raise Forbidden("This belongs to the default organization")
