"""What differs between two documents, field by field, and how one becomes the other.

Equal things come in other clothes: `""` for what is absent, 1.0 for 1, a list in another order that never meant one.
`canonical` takes the clothes off; `compare` names what is left; `apply` puts differences into a document, or, turned
round by `inverse`, takes them out again.
"""

from syncapp.comparison.difference import Difference, Mismatch, apply, compare, compare_canonical, inverse
from syncapp.comparison.field import keys_of, top
from syncapp.comparison.place import Lists
from syncapp.comparison.value import canonical

__all__ = [
    "Difference",
    "Lists",
    "Mismatch",
    "apply",
    "canonical",
    "compare",
    "compare_canonical",
    "inverse",
    "keys_of",
    "top",
]
