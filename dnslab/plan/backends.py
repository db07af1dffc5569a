"""Names of the backends, and which of them load DNS that others use too. Imports nothing, so that --help stays quick.

``measure.backends`` knows how each is opened.
"""

from __future__ import annotations

from typing import Literal, get_args

BackendName = Literal["lab", "local", "kubernetes"]
BACKEND_NAMES: tuple[BackendName, ...] = get_args(BackendName)
#: those whose DNS others use too
IN_CLUSTER: frozenset[str] = frozenset({"kubernetes"})
