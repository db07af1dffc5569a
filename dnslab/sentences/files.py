"""What is wrong with a run folder, a bundle or another file. Each is one line, without a full stop."""

from __future__ import annotations

from dnslab.sentences import Sentence

# Any file
NOT_REGULAR = Sentence(
    "{path} is {kind}, but a run folder holds only regular files: move it away",
    path="run/plan.yaml",
    kind="a symbolic link",
)
SYMBOLIC_LINK = Sentence("a symbolic link")
NAMED_PIPE = Sentence("a named pipe")
SOCKET = Sentence("a socket")
DEVICE = Sentence("a device")
FOLDER = Sentence("a folder")
NO_FILE = Sentence("no file")
CHANGED_KIND = Sentence("no regular file")
TOO_LARGE = Sentence("{path} is too large: expected at most {most} MiB (docs/limits.md)", path="plan.yaml", most="8")
LINE_TOO_LONG = Sentence(
    "{path} line {number}: expected a line of at most {most} bytes", path="a.csv", number="7", most="65,536"
)
NOT_UTF_8 = Sentence(
    "{path} is not UTF-8 text (byte {position} cannot be read): save it as UTF-8", path="plan.yaml", position="12"
)
UNREADABLE = Sentence("{path}: {why}", path="plan.yaml", why="permission denied")
CANNOT_BE_READ = Sentence("cannot be read")
DISK_FULL = Sentence("the disk is full at {path}: free some space", path="results/latest")
NOT_WRITTEN = Sentence("{path} cannot be written ({why})", path="results/latest", why="File too large")
NO_OVERWRITING = Sentence("{path} already exists, and dnslab does not overwrite files", path="run/plan.yaml")

NO_SUCH_FILE = Sentence("there is no file {path}", path="plan.yaml")
IS_A_FOLDER = Sentence("expected a file, saw the folder {path}; a run goes on with --resume", path="results/latest")

OUT_IS_A_FOLDER = Sentence("{path} is a folder: name a file with --out", path="results")
NOT_WRITABLE = Sentence("{path} cannot be written to: name another place with --out", path="results")

# What the operating system refuses
NO_MEMORY = Sentence("there is too little free memory: free some of it")
NO_THREADS = Sentence(
    "no more threads can be started: raise the limit of processes (`ulimit -u`, or that of the container)"
)
NO_TEMPORARY_FOLDER = Sentence("there is no folder for temporary files: set TMPDIR to one that can be written to")
REFUSED = Sentence("refused")

# A run folder
NOT_A_RUN = Sentence("{path} is not a run folder: it has no plan.yaml", path="results")
HOLDS_RUNS = Sentence("{path} holds runs: name one of them, such as {example}", path="results", example="results/x")
IS_A_DIAGNOSIS = Sentence(
    "{path} is a diagnosis, not a run: read it with `dnslab diagnose --from`, or name one of its rungs",
    path="results/20261124T101500Z-diagnose",
)
NOT_A_DIAGNOSIS = Sentence("{path} is not a diagnosis: it has no asked.json and no rungs", path="results/latest")
NO_LADDER = Sentence("{path} does not say what was asked: it was changed, or is damaged", path="asked.json")
NO_SUCH_RUN = Sentence(
    "there is no {path}: name a run folder, a bundle or `latest`{hint}",
    path="nowhere",
    hint=": did you mean 'results/20261129T120000Z-compare'?",
)
NO_RUNS = Sentence("no run in {folder}: make one with `dnslab run`", folder="results")
NO_ENVIRONMENT = Sentence(
    "{path} has no environment.json: dnslab did not write it, or it was changed", path="results/latest"
)
PLAN_TOO_LARGE = Sentence("the plan is larger than {most} MiB: use fewer names", most="8")
RUN_EXISTS = Sentence(
    "{path} already exists: set another --out, or continue that run with {command}",
    path="out",
    command="`dnslab run --resume out`",
)
EXISTS = Sentence("{path} already exists", path="out")
BUSY = Sentence("another dnslab process is writing to {path}: wait until it has ended", path="out")
OTHER_ENVIRONMENT = Sentence(
    "cannot resume: {key} was {was} and is now {now}", key="kernel", was="'Linux 6.1'", now="'Linux 6.12'"
)
OTHER_TRIAL = Sentence(
    "{path} belongs to another trial or target (trial {number})", path="trials/0001/glibc.start.json", number="2"
)
NOT_IN_PLAN = Sentence(
    "{path}: its variant or load is not in the plan: the file was changed, or is damaged",
    path="trials/0001/glibc.start.json",
)
TOO_MANY_TRIALS = Sentence(
    "{path}: its plan has more than {most} trials on its targets (docs/limits.md)", path="run", most="200,000"
)

# A file of a run
NEWER_FORMAT = Sentence(
    "{path} has format version {version}, but this dnslab reads version {known}",
    path="environment.json",
    version="2",
    known="1",
)
TOO_MANY_VALUES = Sentence(
    "{path} holds more than {values} values, or {containers} lists and objects (docs/limits.md)",
    path="environment.json",
    values="500,000",
    containers="200,000",
)
NOT_JSON = Sentence(
    "{path} is not JSON that dnslab writes ({why}): it was changed, or is damaged", path="end.json", why="EOF"
)
NOT_AN_OBJECT = Sentence(
    "{path} is not what dnslab writes there: expected an object, saw {saw}", path="end.json", saw="a list"
)
KEY_MISSING = Sentence(
    "{path}: the key {key} is missing: the file was changed, or is damaged", path="end.json", key="'status'"
)

# A bundle
OUT_EXISTS = Sentence("{path} already exists: name another place with --out", path="run.dnslab.zip")
OUT_NOT_WRITTEN = Sentence(
    "{path} cannot be written ({why}): name another place with --out", path="run.dnslab.zip", why="Is a directory"
)
NEITHER = Sentence(
    "{path} is neither a run folder nor a complete bundle ({suffix}){hint}",
    path="results/latest/report.html",
    suffix=".dnslab.zip",
    hint=": did you mean 'results/latest'?",
)
DAMAGED = Sentence("the bundle {path} is damaged: {why}", path="run.dnslab.zip", why="it ends early")
ENDS_EARLY = Sentence("it ends early")
NOT_UNPACKED = Sentence(
    "the bundle {path} cannot be unpacked to {folder}: {why}",
    path="run.dnslab.zip",
    folder="/tmp",
    why="No space left on device",
)
BUNDLE_REFUSED = Sentence(
    "the bundle {path} is refused: {why}", path="run.dnslab.zip", why="expected one run, with each file once"
)
STRANGE_MEMBER = Sentence("{member} is not a file of a run", member="'../evil'")
PACKED_OTHERWISE = Sentence("{member} is encrypted, or packed in another way", member="'plan.yaml'")
ONE_RUN = Sentence("expected one run or one diagnosis, with each file once")
UNPACKS_TOO_LARGE = Sentence(
    "it unpacks to more than {gib} GiB or {files} files. If you trust it, unzip it yourself and open the folder",
    gib="4",
    files="500,000",
)
MEMBER_TOO_LARGE = Sentence("{member} is larger than allowed (docs/limits.md)", member="'plan.yaml'")
UNPACKS_TOO_FAR = Sentence("it unpacks to more than {ratio} times its size, which no run does", ratio="100")

# A probe's stream
STREAM_VERSION = Sentence(
    "the stream has format version {version}, but this dnslab reads version {known}: use a {which} dnslab",
    version="9",
    known="7",
    which="newer",
)
NEWER = Sentence("newer")
MATCHING = Sentence("matching")
PROBE_REFUSED = Sentence("the probe refused its job: {why}", why="no more threads")
CHECKSUM = Sentence("frame {number} fails its checksum: the bytes were changed on the way", number="12")
STREAM_CUT = Sentence("the stream ends without its trailer, after {records}", records="120 whole records")
BROKEN_FRAME = Sentence("{cut} and {pending} bytes of a broken frame", cut="the stream ends early", pending="9")
EXTRA_BYTES = Sentence("{pending} bytes follow the trailer", pending="9")
WRONG_FRAME = Sentence("expected frame {number}, saw {saw}: a block is missing or doubled", number="12", saw="14")
RECORDS_LOST = Sentence(
    "the trailer counts {counted} records, but {came} came: some were lost or changed", counted="120", came="90"
)
