"""Addresses that an API hands over: next pages and redirects. None of them leads to another host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit

from syncapp.connectors.rest.config import ApiKey, RestConfig
from syncapp.connectors.rest.messages import Messages

PORTS: Mapping[str, int] = {"http": 80, "https": 443}
LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[^;,="\s]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^;,"\s]*))?)*)')
PARAMETER = re.compile(r';\s*([^;,="\s]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]*)))?')
SAFE = "/:?#[]@!$&'()*+,;=%~-._"  # what stands in an address as it is


def link_header(text: str | None) -> dict[str, str]:
    """The addresses of a Link header (RFC 8288) by their relation; of two with the same relation the first."""
    links: dict[str, str] = {}
    for match in LINK.finditer(text or ""):
        for parameter, quoted, plain in PARAMETER.findall(match[2]):
            if parameter.lower() == "rel":
                for name in (quoted or plain).lower().split():
                    links.setdefault(name, match[1].strip())
                break  # RFC 8288: of several rel parameters the first counts
    return links


def next_target(config: RestConfig, messages: Messages, current: str, link: str) -> str:
    """Path and query of a next page. Only these are taken from the link: the host is always our own.

    Raises InvalidData where the link leads to another host, and the API is not known to write that one.
    """
    target = _own_target(config, current, link, config.link_hosts)
    if target is None:
        raise messages.invalid("FOREIGN_LINK", f"the next page of {config.path} is said to be on another host; refused")
    return target


def redirect_target(config: RestConfig, messages: Messages, current: str, location: str | None) -> str:
    """Path and query of a redirect. Raises RequestRejected where it leads to another host or off TLS, or nowhere."""
    if not location:
        raise messages.rejected("REDIRECT_REFUSED", f"{messages.path} redirects to nowhere")
    scheme = urlsplit(urljoin(config.base_url, location)).scheme
    target = _own_target(config, current, location)
    if target is None or scheme != urlsplit(config.base_url).scheme:
        raise messages.rejected("REDIRECT_REFUSED", f"{messages.path} redirects to another host or scheme; refused")
    return target


def _own_target(config: RestConfig, current: str, link: str, others: tuple[str, ...] = ()) -> str | None:
    """Path and query of an address on our own host, or, whatever the port, one of the others; None for any else."""
    own = urlsplit(config.base_url)
    try:
        parts = urlsplit(urljoin(f"{own.scheme}://{own.netloc}{current}", link.strip()))
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None
    is_other = (parts.hostname or "").lower() in {name.lower() for name in others}
    if parts.scheme not in PORTS or not (is_other or _is_own(own, parts, port)):
        return None
    target = quote(parts.path or "/", safe=SAFE)
    query = _without_key(config, parts.query)
    return f"{target}?{query}" if query else target


def _is_own(own: SplitResult, parts: SplitResult, port: int | None) -> bool:
    """An API behind a proxy often writes http:// into its links; the default ports stand for each other then."""
    if (parts.hostname or "").lower() != (own.hostname or "").lower():
        return False
    own_port = own.port or PORTS[own.scheme]
    return port == own_port or (port == PORTS[parts.scheme] and own_port == PORTS[own.scheme])


def _without_key(config: RestConfig, query: str) -> str:
    """An API that repeats our key in its links must not bring it into a checkpoint."""
    query = quote(query, safe=SAFE)
    auth = config.auth
    if not (isinstance(auth, ApiKey) and auth.place == "query"):
        return query
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != auth.name]
    return urlencode(kept)
