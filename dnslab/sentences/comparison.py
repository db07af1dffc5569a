"""What changed between runs, and why some of it cannot be compared."""

from __future__ import annotations

from dnslab.sentences import Sentence

VOID = Sentence(
    'Cannot tell: run "{label}" is void. {why}', label="after", why="Trials missing: Trial 4 was interrupted."
)
LEFT_OUT = Sentence(
    'Left out of run "{label}": {parts}.', label="after", parts="node-3 (CPU saturated in 9 of its 15 trials)"
)

NOT_COMPARED = Sentence("Not compared")
IN_ONE_RUN = Sentence("Measured in one run only")
ALSO_DIFFERENT = Sentence("Other differences between the runs, which may have caused the changes")
NOTHING_COMPARED = Sentence("Nothing was compared.")

REFUSED = Sentence(
    "{reason} This concerns {rows}.", reason="The rate_per_s of the load differs.", rows="baseline on glibc"
)
REFUSED_VOID = Sentence('Run "{label}" is void. {why}', label="after", why="Trials missing: Trial 4 was interrupted.")
CLOSED_LOOP = Sentence("A closed loop shows only throughput and the slowest lookup.")
DIFFERS = Sentence("The {what} differs: {values}.", what="list of names", values="a.test. before, b.test. after")
OF_THE_LOAD = Sentence("{setting} of the load", setting="rate_per_s")
NAMES = Sentence("list of names")
MEANING = Sentence("meaning of {variant}", variant="mine")
C_LIBRARY = Sentence("C library")

TARGET_ALONE = Sentence(
    'Target {target} ({libc}) is only in run "{label}".', target="node-3", libc="glibc", label="before"
)
ROW_ALONE = Sentence(
    '{variant} on {target}, load {load}, is only in run "{label}".',
    variant="use-vc",
    target="glibc",
    load="100/s (poisson)",
    label="before",
)

CONDITION = Sentence("{what}: {values}", what="kernel", values="Linux 6.1 before, Linux 6.12 after")
VALUES = Sentence("{one} {label}, {other} {later}", one="Linux 6.1", label="before", other="Linux 6.12", later="after")
HIDDEN_DIFFERENCE = Sentence(
    "{values} (the difference is in the part not shown)", values="a, b and 7 more before, a, b and 7 more after"
)
OWNS_CLUSTER_IP = Sentence("node-local cache at the cluster IP")
UNKNOWN = Sentence("not known")
MATCHED = Sentence("target, matched by its workload or C library")
LIBC_VERSION = Sentence("C library version of {target}", target="glibc")
STALL_LIMITS = Sentence(
    "The limit of a stall differs for {variant} on {target}: {values}. Compare the lookups of 1 s or longer instead.",
    variant="timeout-1",
    target="glibc",
    values="4,500 ms before, 900 ms after",
)
