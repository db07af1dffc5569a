"""``python -m bench.confusion > docs/diagnosis.md``: record what is missing, then print the page."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence

from bench.confusion import cases
from bench.confusion.cases import NOTHING, Case
from bench.confusion.record import Batch, Task

#: in each repetition: a bound of 1 % takes 299 healthy runs
N_NOTHING = 100
HELD_OUT = ("second injector", "outside")
KINDS = ("none", "learnt", "pair", *HELD_OUT)


def tasks(of: Sequence[Case], kinds: Sequence[str], repetitions: int) -> Iterator[Task]:
    """What to record, each repetition in an order of its own, so that no kind meets the machine's busy hour alone."""
    for repetition in range(1, repetitions + 1):
        here = [Task(case, repetition) for case in of if case.kind in kinds]
        if "none" in kinds:
            here += [Task(NOTHING, (repetition - 1) * N_NOTHING + i) for i in range(1, N_NOTHING + 1)]
        random.Random(repetition).shuffle(here)
        yield from here


def main() -> None:
    """Record and print, as the command line says."""
    given = _parsed()
    chosen = cases.listed() if given.seed is None else cases.drawn(given.seed)
    if set(given.only) & set(HELD_OUT):
        chosen += cases.held_out()
    wanted = list(tasks(chosen, given.only, given.repetitions))
    began_s = time.monotonic()

    def on_done(task: Task, seconds: float) -> None:
        n_there = sum(one.path.exists() for one in wanted)
        print(f"{n_there} of {len(wanted)}: {task.case.fault} {task.repetition}, {seconds:.0f} s", file=sys.stderr)

    Batch(given.labs, began_s + given.hours * 3_600, on_done).record(wanted)
    if given.page:
        from bench.confusion.page import lines

        for line in lines([task for task in wanted if task.path.exists()], given.seed):
            print(line)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.confusion", description=main.__doc__)
    parser.add_argument("--seed", type=int, help="draw other strengths and pairs than those that are listed")
    parser.add_argument("--hours", type=float, default=5.0, help="start no diagnosis after these hours (default 5)")
    parser.add_argument("--labs", type=int, default=4, help="labs side by side (default 4)")
    parser.add_argument("--repetitions", type=int, default=3, help="recordings of each case (default 3)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--no-page", dest="page", action="store_false", help="record alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
