"""What a REST source is, as data."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

from syncapp.ports import Pace

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer <token>`, or another scheme such as `Token`."""

    token: str = field(repr=False)
    scheme: str = "Bearer"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in a header or in the query."""

    value: str = field(repr=False)
    name: str = "X-API-Key"
    place: Literal["header", "query"] = "header"


@dataclass(frozen=True, slots=True)
class Basic:
    """User name and password. Some APIs take a key as the user name: without a password, that is the secret."""

    username: str = field(repr=False)
    password: str = field(default="", repr=False)

    @property
    def pair(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


Auth = Bearer | ApiKey | Basic


@dataclass(frozen=True, slots=True)
class Auto:
    """Asks for `page` and `per_page` and finds out from the first answer how the API pages."""

    page_param: str = "page"
    size_param: str | None = "per_page"
    first_page: int = 1


@dataclass(frozen=True, slots=True)
class PageNumber:
    """Numbered pages. Ends where the total is reached, else at the first empty page."""

    page_param: str = "page"
    size_param: str | None = "per_page"
    first_page: int = 1


@dataclass(frozen=True, slots=True)
class Offset:
    """`offset` and `limit`. Ends where the total is reached, else at the first empty page."""

    offset_param: str = "offset"
    limit_param: str = "limit"


@dataclass(frozen=True, slots=True)
class Cursor:
    """An opaque cursor in the body, at a dotted path, sent back as a parameter. Ends where there is none."""

    cursor_path: str = "next_cursor"
    cursor_param: str = "cursor"
    size_param: str | None = "per_page"


@dataclass(frozen=True, slots=True)
class JsonLink:
    """The next page's address in the body, at a dotted path. Ends where there is none."""

    next_url_path: str = "links.next"
    size_param: str | None = "per_page"


@dataclass(frozen=True, slots=True)
class HeaderLink:
    """The next page's address in the Link header (RFC 8288), rel="next". Ends where there is none."""

    size_param: str | None = "per_page"


@dataclass(frozen=True, slots=True)
class SinglePage:
    """Everything in one answer."""


Paginator = Auto | PageNumber | Offset | Cursor | JsonLink | HeaderLink | SinglePage


@dataclass(frozen=True, slots=True)
class RestConfig:
    """One resource of one API.

    base_url         http(s) address without credentials; `resource` is its path below it, `clients`
    name             how messages name the API
    code_prefix      of the error codes: API_TIMEOUT
    selector         dotted path of the array in an object; None looks under the resource's name and `data`
    params           sent with every request for a first page, beside those of the paginator
    since_param      the parameter that carries `ReadRequest.since`; None sends none and always reads everything
    since_format     rfc3339, date, epoch, epoch_ms or a strftime format
    timeout          seconds without a byte; connecting may take 10 at most, an answer four times as long in all
    retries          how often a request is sent again after a failed connection, a timeout or a 5xx
    backoff          seconds before the first of these; doubled each time up to backoff_max, less up to a half of it
    concurrency      requests under way at once where pages can be addressed, else one; 0 sends none ahead
    pace             how often the API may be asked, by all runs together; None asks without a limit
    rate_limit_key   under which the shared rate limit knows the API, never a secret; None stands for the host
    link_hosts       further hosts that the API's own links may name (it stands behind a proxy); none of them is asked
    max_pages        a read that is longer is taken for an endless one
    ca_file          PEM file of a private certificate authority
    """

    base_url: str
    resource: str
    auth: Auth | None = None
    name: str = "the external API"
    code_prefix: str = "API"
    paginator: Paginator = field(default_factory=Auto)
    page_size: int = 100
    selector: str | None = None
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    since_param: str | None = "updated_since"
    since_format: str = "rfc3339"
    timeout: float = 30.0
    retries: int = 3
    backoff: float = 0.5
    backoff_max: float = 30.0
    concurrency: int = 8
    pace: Pace | None = None
    rate_limit_key: str | None = None
    link_hosts: tuple[str, ...] = ()
    max_body_bytes: int = 64 * MEBIBYTE
    max_pages: int = 1_000_000
    user_agent: str = "syncapp"
    ca_file: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("base_url must be an http:// or https:// address")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("base_url must hold neither credentials nor a query")
        for secret in self.secrets:  # said here, without repeating the value
            if not secret.isascii() or not secret.isprintable():
                raise ValueError("the credentials hold line breaks, control characters or letters outside ASCII")

    @property
    def path(self) -> str:
        return f"{urlsplit(self.base_url).path.rstrip('/')}/{self.resource.strip('/')}"

    @property
    def limit_key(self) -> str:
        return self.rate_limit_key or str(urlsplit(self.base_url).hostname)

    @property
    def resource_name(self) -> str:
        return self.resource.rstrip("/").rpartition("/")[2]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be said, in every form in which it travels."""
        match self.auth:
            case Bearer(token=secret) if secret.strip():
                return (secret.strip(),)
            case ApiKey(value=secret) if secret.strip():
                return (secret.strip(), quote(secret.strip(), safe=""))
            case Basic() as basic if secret := basic.password or basic.username:
                return (basic.pair, secret)
        return ()
