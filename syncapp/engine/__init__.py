"""The one loop that serves every sync: read, compare, apply, checkpoint."""

from syncapp.engine.execute import execute
from syncapp.engine.runtime import Runtime

__all__ = ["Runtime", "execute"]
