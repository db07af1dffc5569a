"""A run as data frames with one row for each lookup. Never reads the ground truth of a fault."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse import facts
from dnslab.analyse.labels import labels, with_label, with_labels
from dnslab.analyse.lookups import OUTCOMES, SLOW_MS, Lookups, decode, error_name
from dnslab.errors import DnslabError, RunInvalid
from dnslab.plan.model import MAX_CLIENTS, Plan
from dnslab.plan.resolvconf import parse
from dnslab.plan.schedule import TargetInfo, trials
from dnslab.plan.variants import BEFORE
from dnslab.sentences import checks, files as file_sentences
from dnslab.sentences.notebook import RUN
from dnslab.store.bundle import open_bundle
from dnslab.store.client import ClientName, ClientRecord
from dnslab.store.contents import Environment
from dnslab.store.folder import RunFolder, latest_run_path, results_folder
from dnslab.text import Facts, Table

T = TypeVar("T")

#: of decoded trials that a run keeps: about eight million lookups
KEPT_BYTES = 512 * 2**20
#: what is said of a trial by its status, see ``ClientRecord.status``; of any other, that it failed
_STATUS = {
    "missing": checks.TRIAL_MISSING,
    "interrupted": checks.TRIAL_INTERRUPTED,
    "stopped": checks.TRIAL_STOPPED,
    "workers lost": checks.TRIAL_LOST_WORKERS,
}
#: trials decoded at a time, beside the one that is worked on
N_AT_ONCE = 2


class _Kept:
    """Decoded trials in memory, by the file of each, up to ``KEPT_BYTES``. Trials come in order: the first are kept."""

    def __init__(self) -> None:
        self._lookups: dict[Path, Lookups] = {}
        self._n_bytes = 0

    def get(self, client: ClientRecord) -> Lookups | None:
        return self._lookups.get(client.stream)

    def keep(self, client: ClientRecord, lookups: Lookups) -> None:
        if client.stream not in self._lookups and self._n_bytes + lookups.n_bytes <= KEPT_BYTES:
            self._n_bytes += lookups.n_bytes
            self._lookups[client.stream] = lookups


class Run:
    """A run folder, opened for reading. ``left_out`` are clients that it is read without (``without``)."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.plan: Plan = folder.plan
        self.left_out: frozenset[ClientName] = frozenset()
        self._kept = _Kept()
        self._measured: dict[tuple[str, Path], Any] = {}

    def without(self, clients: Collection[ClientName]) -> Run:
        """The same run, read without these clients. They are then no ``problems`` either."""
        other = Run(self.folder)
        other.left_out = self.left_out | frozenset(clients)
        other._kept, other._measured = self._kept, self._measured
        return other

    @cached_property
    def environment(self) -> Environment:
        """The content of environment.json: what the run was measured on, with the targets' names for people."""
        return with_labels(self.folder.environment, self._labels)

    @cached_property
    def _labels(self) -> Mapping[str, str]:
        return labels(self.plan, self.folder.environment) if self.plan.cluster.like else {}

    @cached_property
    def targets(self) -> list[TargetInfo]:
        """The run's targets. Raises RunInvalid if the plan has too many trials on them."""
        targets = [TargetInfo(**target.model_dump()) for target in self.environment.targets]
        if self.plan.n_trials * len(targets) > MAX_CLIENTS:
            raise RunInvalid(file_sentences.TOO_MANY_TRIALS(path=str(self.path), most=f"{MAX_CLIENTS:,}"))
        return targets

    @property
    def images(self) -> list[str]:
        """Image and digest of each container in which lookups were made; empty where there were no containers."""
        names = {place.target: place.image for place in self.environment.backend.places or ()}
        images = set()
        for client in self._clients:
            container = client.start.extra
            digest = container.debug_image_id or container.image
            name = container.debug_image or names.get(client.target)
            if digest:
                images.add(f"{name} ({digest})" if name else digest)
        return sorted(images)

    @cached_property
    def _clients(self) -> list[ClientRecord]:
        clients = [with_label(client, self._labels) for client in self.folder.last_clients()]
        return [client for client in clients if client.name not in self.left_out]

    def clients(self) -> list[ClientRecord]:
        """One record for each trial on each target: its last attempt."""
        return self._clients

    @property
    def problems(self) -> list[str]:
        """One line for each trial that is missing or incomplete."""
        return list(self.incomplete.values())

    @cached_property
    def incomplete(self) -> Mapping[ClientName, str]:
        """The clients that are missing or incomplete, with a line on each."""
        done = {(client.number, client.target): client for client in self._clients}
        lines: dict[ClientName, str] = {}
        for trial in trials(self.plan, self.targets):
            for target in trial.targets:
                name = (trial.variant, target, trial.load, trial.round)
                client = done.get((trial.number, target))
                status = client.status if client else "missing"
                if status != "complete" and name not in self.left_out:
                    reason = client.end.error if client and client.end else None
                    where = {"number": f"{trial.number:,}", "variant": trial.variant, "round": f"{trial.round:,}"}
                    said = _STATUS.get(status, checks.TRIAL_FAILED)(trial=checks.TRIAL(target=target, **where))
                    lines[name] = said + (f": {reason}" if reason else "")
        return lines

    @property
    def unknown_names(self) -> tuple[str, ...]:
        """Names of which it was not known what they should resolve to."""
        first = next(iter(self.clients()), None)
        expected = first.start.expected if first else []
        return tuple(name for name, counts in zip(self.plan.names, expected, strict=False) if not any(counts))

    @property
    def unpatched(self) -> bool:
        """Of a verifying run: whether baseline's resolv.conf still says what the old configuration said."""
        if self.plan.verifies is None:
            return False
        now = [parse(client.start.resolv_conf) for client in self.clients() if client.start.variant == "baseline"]
        return bool(now) and all(options == self.plan.variant(BEFORE).whole for options in now)

    def trials(self) -> pd.DataFrame:
        """One row for each trial on each target: number, round, group, variant, load, target, libc, attempt, status."""
        rows = [
            {
                "trial": client.number,
                **{key: getattr(client.start, key) for key in ("round", "group", "variant", "load", "target", "libc")},
                "attempt": client.attempt,
                "status": client.status,
            }
            for client in self._clients
        ]
        return pd.DataFrame(rows)

    def decoded(self) -> Iterator[Lookups]:
        """The lookups of each trial in turn, so that a long run need not fit into memory.

        The first trials are kept in memory, up to half a GiB, because a report reads a run several times.
        """
        return self.each(lambda lookups: lookups)

    def once(self, name: str, measure: Callable[[Lookups], T]) -> list[T]:
        """What ``measure`` makes of the lookups of each trial, in order.

        It is kept under ``name`` for this run and all its parts, so that raw bytes are decoded once however often a
        report asks.
        """
        missing = [client for client in self._clients if (name, client.stream) not in self._measured]
        for client, measured in zip(missing, self._each(missing, measure), strict=True):
            self._measured[name, client.stream] = measured
        return [self._measured[name, client.stream] for client in self._clients]

    def each(self, measure: Callable[[Lookups], T]) -> Iterator[T]:
        """Call ``measure`` with the lookups of each trial, and yield its results in order."""
        return self._each(self._clients, measure)

    def _each(self, clients: Sequence[ClientRecord], measure: Callable[[Lookups], T]) -> Iterator[T]:
        """The same of these clients.

        Two trials are decoded at a time while the caller works on an earlier one: numpy releases the interpreter lock
        for most of its work.
        """

        def work(client: ClientRecord) -> tuple[Lookups, T]:
            lookups = self._kept.get(client) or decode(client)
            if ("codes", client.stream) not in self._measured:  # frames need those of all trials before their first
                self._measured["codes", client.stream] = lookups.codes
            return lookups, measure(lookups)

        with ThreadPoolExecutor(max_workers=N_AT_ONCE) as pool:
            coming: deque[Future[tuple[Lookups, T]]] = deque()
            for index in range(len(clients) + N_AT_ONCE):
                if index < len(clients):
                    coming.append(pool.submit(work, clients[index]))
                if index >= N_AT_ONCE:
                    lookups, measured = coming.popleft().result()
                    self._kept.keep(clients[index - N_AT_ONCE], lookups)
                    yield measured

    def lookups(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Every measured lookup, one row each, warm-up excluded.

        Returns
        -------
        DataFrame
            ``trial`` int32, ``round`` int16, ``load`` int8; ``variant``, ``target``, ``libc``, ``name`` category (the
            name as asked); ``worker`` uint32; ``intended_s`` float64, since the trial's start; ``response_ms``,
            ``service_ms`` float64 (end - intended start, end - actual start); ``outcome`` category (answered,
            partial, negative, failed); ``error`` category (``""``, ``EAI_AGAIN``, ``abandoned``, ...); ``stall``,
            ``slow``, ``over_limit``, ``half_lost``, ``workers_exhausted`` bool; ``n_a``, ``n_aaaa`` uint16. For
            engine wire a row is a query, and ``worker`` holds its port and id: low and high 16 bits.
        """
        frames = [frame[list(columns)] if columns else frame for frame in self.frames()]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns or ()))

    def frames(self) -> Iterator[pd.DataFrame]:
        """``lookups`` in one frame for each trial, with the same columns and categories in all."""
        categories = self._categories()
        for lookups in self.decoded():
            yield self._frame(lookups, categories)

    def codes(self) -> list[dict[int, int]]:
        """For each trial, how many lookups ended with each code (``lookups.ERRORS``)."""
        return self.once("codes", lambda lookups: lookups.codes)

    def _categories(self) -> dict[str, pd.CategoricalDtype[str]]:
        """The categories of the text columns, over all trials."""
        texts_of: dict[str, set[str]] = {name: set() for name in ("variant", "target", "libc", "name", "error")}
        for client, codes in zip(self._clients, self.codes(), strict=True):
            start = client.start
            texts_of["variant"].add(start.variant)
            texts_of["target"].add(client.target)
            texts_of["libc"].add(start.libc)
            texts_of["name"].update(start.names)
            texts_of["error"].update(map(error_name, codes))
        return {column: pd.CategoricalDtype(pd.Index(sorted(texts), dtype="str")) for column, texts in texts_of.items()}

    def _frame(self, lookups: Lookups, categories: Mapping[str, pd.CategoricalDtype[str]]) -> pd.DataFrame:
        client, raw, n = lookups.client, lookups.raw, len(lookups.raw)
        codes, inverse = np.unique(raw["outcome"], return_inverse=True)

        def text(column: str, texts: Sequence[str], codes_of: npt.NDArray[Any]) -> pd.Categorical[Any]:
            dtype = categories[column]
            return pd.Categorical.from_codes(dtype.categories.get_indexer(pd.Index(texts))[codes_of], dtype=dtype)

        same = np.zeros(n, np.intp)
        return pd.DataFrame(
            {
                "trial": np.full(n, client.number, np.int32),
                "round": np.full(n, client.start.round, np.int16),
                "load": np.full(n, client.start.load, np.int8),
                "variant": text("variant", [client.start.variant], same),
                "target": text("target", [client.target], same),
                "libc": text("libc", [client.start.libc], same),
                "name": text("name", client.start.names, raw["name"] // client.start.entries_per_name),
                "worker": raw["worker"],
                "intended_s": lookups.intended_s,
                "response_ms": lookups.response_ms,
                "service_ms": lookups.service_ms,
                "outcome": pd.Categorical.from_codes(lookups.outcome, dtype=pd.CategoricalDtype(list(OUTCOMES))),
                "error": text("error", [error_name(code) for code in codes.tolist()], inverse),
                "stall": lookups.stall,
                "slow": lookups.service_ms >= SLOW_MS,
                "over_limit": lookups.service_ms >= self.plan.limit_ms,
                "half_lost": lookups.half_lost,
                "workers_exhausted": lookups.exhausted,
                "n_a": (raw["answers"] & 0xFFFF).astype(np.uint16),
                "n_aaaa": (raw["answers"] >> 16).astype(np.uint16),
            }
        )

    def first(self, n: int = 5) -> Table:
        """The first ``n`` lookups as a table to look at; ``lookups`` has all of them, and all columns."""
        columns = ["trial", "variant", "target", "name", "intended_s", "service_ms", "outcome", "stall", "half_lost"]
        frame = next(self.frames(), pd.DataFrame(columns=columns))[columns].head(n)
        return Table(frame.round(6).astype(str), "the first lookups")

    @property
    def facts(self) -> Facts:
        """What was measured, where, when and how much, in a few lines."""
        lines = dict(self.plan.outline)
        try:
            lines["where"] = facts.where(self.plan, self.environment, self.clients())
            lines["when"] = facts.when(self.environment)
            lines["size"] = facts.size(self.clients())
            n_all = sum(len(trial.targets) for trial in trials(self.plan, self.targets)) - len(self.left_out)
            lines["state"] = facts.state(self.path, n_all, self.incomplete, len(self.left_out))
        except DnslabError as error:
            lines["state"] = facts.unreadable(error)
        return Facts(RUN(name=self.path.name), lines)

    def __repr__(self) -> str:
        return str(self.facts)

    def _repr_html_(self) -> str:
        return self.facts._repr_html_()


def open_run(path: Path | str = "latest", results: Path | str | None = None) -> Run:
    """Open a run for reading.

    Parameters
    ----------
    path
        The folder, or a bundle of it, or ``"latest"``: the newest folder in ``results``.
    results
        Default ``store.folder.results_folder()``.

    Raises
    ------
    RunNotFound
    RunInvalid
        A bundle is damaged, or holds more than a run.
    """
    if str(path) == "latest":
        return Run(RunFolder(latest_run_path(Path(results or results_folder()))))
    return Run(open_bundle(Path(path)) if Path(path).is_file() else RunFolder(Path(path)))
