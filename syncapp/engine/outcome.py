"""How a run can end without an error."""

from __future__ import annotations


class Cancelled(Exception):
    """Somebody asked the run to stop."""


class Released(Exception):
    """The process was asked to end; the run goes on elsewhere."""


class Yielded(Exception):
    """The run's slice is over and others wait; it goes on after them."""
