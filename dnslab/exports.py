"""A run's lookups as one file, for other programs: CSV or parquet, one row a lookup. Overwrites nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dnslab.dataset import Run
from dnslab.errors import UsageError

Form = Literal["csv", "parquet"]


def export(run: Run, path: Path, form: Form = "csv") -> int:
    """Write every measured lookup of ``run`` to ``path``; columns are those of ``Run.lookups``.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    UsageError
        ``path`` is there already, or its folder is not.
    """
    lookups = run.lookups()
    try:
        with path.open("xb") as file:
            try:
                if form == "csv":
                    lookups.to_csv(file, index=False)
                else:
                    lookups.to_parquet(file, compression="zstd", index=False)
            except BaseException:  # half a file would look like a whole one
                path.unlink()
                raise
    except FileExistsError:
        raise UsageError(f"{path} is there already, and nothing is overwritten: name another file") from None
    except FileNotFoundError:
        raise UsageError(f"{path.parent} is not a folder: make it, or name another file") from None
    return len(lookups)
