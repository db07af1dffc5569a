"""What imported data cannot show."""

from __future__ import annotations

from dnslab.sentences import Sentence

CANNOT_SHOW = Sentence("What this data cannot show:")
NO_CAUSE = Sentence(
    "These numbers name no cause. They do not tell which answers were lost, or what the DNS servers dropped. "
    "`dnslab run` records both."
)
MUSL_UNSEEN = Sentence(
    "With musl (Alpine images) a stall lasts only 2.5 s. A limit of {limit} does not count such stalls.", limit="4.9 s"
)
SAME_TABLE = Sentence(
    "Full receive buffers of the DNS servers give the same table without any race. To tell them apart, one must know "
    "which of the two answers was lost, and the RcvbufErrors of the servers."
)
INDEPENDENT = Sentence(
    "Bounds with * in the table of figures take all {what} as independent, because none was seen or there are fewer "
    "than three rounds. But {what} of one round are alike, so the true share can be higher than such a bound.",
    what="requests",
)
UNPAIRED = Sentence(
    "Rounds are not paired. Anything else that differed between them (hour, order, load, node) is part of each "
    "difference, too."
)
ROUNDS_ALONE = Sentence(
    "Faults come and go. Even one that is there {bound} of the time can stay away in {rounds} by chance. "
    "Measure more rounds, also at other hours of the day.",
    rounds="3 rounds",
    bound="63 %",
)
SERVICE = Sentence(
    "Latency counts from when a request was sent, not from when it was due. Time spent waiting before that is missing."
)
CLOSED = Sentence(
    "In a closed loop a stalled worker sends nothing, so shares and latencies also depend on the number of workers."
)
COUNTS_ONLY = Sentence("There are only counts, so there are no quantiles.")
FAILURES = Sentence("A failure without a latency counts as over the limit. It is not part of min, avg and max.")
NOT_A_LOOKUP = Sentence(
    "These are single queries, not lookups of an application. A lookup asks A and AAAA, walks the search list, and "
    "retries."
)
FEW_SOCKETS = Sentence(
    "They come from few sockets. The race needs a new flow, as a lookup opens one, so it hardly shows here."
)
STOPS_SENDING = Sentence("dnsperf sends no more while `-q` queries have no answer yet.")
TIMED_OUT = Sentence("{queries} timed out.", queries="2 queries")
IN_FLIGHT = Sentence(
    "{queries} had no answer yet when dnsperf was interrupted, and are not counted.", queries="2 queries"
)
NXDOMAIN = Sentence(
    "{answers} said NXDOMAIN. They count as answers, because the file does not tell what was expected.",
    answers="2 answers",
)
DNSPERF_COUNTS = Sentence(
    "Without `-v` dnsperf keeps only counts. So there are no quantiles, and lookups over the limit are known only if "
    "there can be none."
)
HISTOGRAM = Sentence(
    "The histogram leaves out queries that got no answer. With --json, dnspyre tells how many there were."
)
BUCKETS = Sentence("Latencies are known only by their bucket: min and max are its outer bounds.")
OVER_UNKNOWN = Sentence("One file does not tell how many took {limit} or more.", limit="4,900 ms")
STRESS_IN_FLIGHT = Sentence(
    "Requests under way at the end were never counted, and stalls are under way longer. So the shares are too low."
)
WHOLE_MS = Sentence("Latencies are whole milliseconds.")
WHICH_RESOLVER = Sentence(
    "The output does not tell which resolver the client used. Go's own asks A and AAAA from two ports, and cannot hit "
    "the race."
)
LIMIT_TOO_HIGH = Sentence("A limit of {limit} can miss stalls of 5 s, which may end just before.", limit="5,000 ms")
TABLE_ONLY = Sentence("The table does not tell how it was measured, and what was left out.")
ROWS_UNCLEAR = Sentence(
    "Each row counts as one lookup. The file does not tell whether it was only a single query, and who resolved it."
)
NO_OUTCOME = Sentence("No column tells the outcome, so all lookups count as answered.")
ROWS_LEFT_OUT = Sentence("Rows left out: {rows} of {why}.", rows="2", why="outcome 'fine'")
ALL_LEFT_OUT = Sentence("Rows left out in total: {rows}.", rows="17")
PAIRED = Sentence("Rounds are paired. That is right if the variants of a round were measured together.")
PAIRED_BY_ROUND = Sentence("paired by round, t")
UNPAIRED_SHARES = Sentence("of the rounds' mean shares, Welch's")
AGAINST = Sentence(
    "Against {base} (95 % intervals: {how}; verdicts with Holm's correction for all):",
    base="baseline",
    how="paired by round, t",
)
FEW_ROUNDS = Sentence(
    "{points}; too few rounds for an interval (each side needs {least})", points="+1.2 points", least="3"
)
