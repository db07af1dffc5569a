"""What is wrong with a plan, a flag or a notebook's parameter. Its key stands before the sentence."""

from __future__ import annotations

from dnslab.sentences import Sentence

_SAW = {"value": "'fast'"}

# A value of the wrong kind.
WHOLE_NUMBER = Sentence("expected a whole number, saw {value}", value="1.5")
NUMBER = Sentence("expected a number, saw {value}", **_SAW)
FINITE = Sentence("expected a finite number, saw {value}", value="inf")
TEXT = Sentence("expected a text, saw {value}", value="20260101")
YES_OR_NO = Sentence("expected true or false, saw {value}", value="'perhaps'")
LIST = Sentence("expected a list, saw {value}", **_SAW)
KEYS = Sentence("expected keys with their values, saw {value}", value="5")
OTHER = Sentence("dnslab cannot read {value} here", value="2026-01-01")

# A value out of range.
ABOVE = Sentence("expected more than {limit}, saw {value}", limit="0", value="-5")
AT_LEAST = Sentence("expected {limit} or more, saw {value}", limit="1", value="0")
BELOW = Sentence("expected less than {limit}, saw {value}", limit="1,000", value="5,000")
AT_MOST = Sentence("expected {limit} or less, saw {value}", limit="1,000", value="5,000")
TOO_MANY = Sentence("expected at most {limit} items, saw {value}", limit="1,000", value="1,001")
TOO_FEW = Sentence("expected {limit} or more items, saw {value}", limit="1", value="0")
TOO_LONG = Sentence("expected a text of at most {limit} characters, saw {value}", limit="1,000", value="5,000")
ONE_OF = Sentence("expected {names}, saw {value}{hint}", names="lab, local or kubernetes", value="'labs'", hint="")

# A key.
UNKNOWN_KEY = Sentence("unknown key{hint}", hint=": did you mean 'rate_per_s'?")
KEY_NOT_TEXT = Sentence("expected a text as the key, saw {value}", value="7")
MISSING = Sentence("this key is missing: give it a value")

# A name that is not known.
DID_YOU_MEAN = Sentence(": did you mean {near}?", near="'race'")
KNOWN_ARE = Sentence("; known are {known}", known="none, race, loss")
UNKNOWN_VARIANT = Sentence("unknown variant {name}{hint}", name="'use-cv'", hint=": did you mean 'use-vc'?")
UNKNOWN_FAULT = Sentence("unknown fault {name}{hint}", name="'rase'", hint=": did you mean 'race'?")
UNKNOWN_PARAMETER = Sentence(
    "the fault {fault} has no parameter {key}; it has {known}", fault="'race'", key="'q'", known="p"
)
PARAMETER_RANGE = Sentence("{name} should be {low} to {high}, is {value}", name="race:p", low="0", high="1", value="7")
PARAMETER_CHOICE = Sentence(
    "{name} should be one of {choices}, is {value}", name="rcode:code", choices="2, 4, 5", value="3"
)
NOT_LOOKED_UP = Sentence("the plan does not look up {name}: add it to names", name="'web.test'")
NOT_IN_PLAN = Sentence(
    "target {target} has the variant {name}, which the plan does not: add it to variants",
    target="'glibc'",
    name="'use-vc'",
)

# A fault's text.
FAULT_FORM = Sentence("the fault {text} is not of the form name:key=number, as in race:p=0.05", text="'race:often'")
FAULT_TWICE = Sentence("the fault {text} gives {key} twice", text="'race:p=0.1,p=0.2'", key="p")
FAULT_NO_TIME = Sentence(
    "the fault {text}: {key} is no time in s, give a number without a unit", text="'race:p=0.1s'", key="p"
)
TOO_MANY_FAULTS = Sentence("expected at most {most} faults, saw {n}", most="4", n="5")
SAME_FAULT = Sentence("it is the same fault twice")
WITH_NONE = Sentence("none means that nothing is injected")
BOTH_DECIDE = Sentence("both decide {what}", what="when servers answer")
CAPTURED = Sentence("with redirect no query leaves the client, so nothing else would be met")
NOT_TOGETHER = Sentence(
    "{one} and {other} cannot be injected together: {reason}",
    one="slow-answer",
    other="slow-aaaa",
    reason="both decide when servers answer",
)
FAULT_NAME = Sentence("expected a fault's name of a-z, 0-9 and -, saw {text}", text="'Race'")

# Values that do not go together.
VARIANTS_ONCE = Sentence("expected at least one variant, and each only once{twice}", twice="; 'use-vc' is there twice")
TARGETS_ONCE = Sentence("expected each target only once; {name} is there twice", name="'glibc'")
TOO_MANY_TRIALS = Sentence(
    "variants, loads and rounds make {n} trials: expected at most {limit}", n="201,000", limit="200,000"
)
TYPE_OF_SINGLE = Sentence("record_type is for single queries of engine wire: a pair asks for A and AAAA")
SERVER_OF_WIRE = Sentence("server is for engine wire: lookups of the C library ask the nameservers of resolv.conf")
TOGETHER_IS_PACED = Sentence("loads that run together need rates: remove the closed loop, or name another schedule")
WHOLE_FILE = Sentence("resolv_conf says everything: remove options, nameservers and search beside it")
EXISTING_HAVE_IMAGES = Sentence(
    "existing pods (--in) have their own image: remove images (--image) and like (--like), or measure no existing pods"
)
LIKE_HAS_IMAGE = Sentence("like (--like) takes the workload's image: remove either like or images (--image)")
CONTAINER_OF = Sentence(
    "container (--container) is for existing pods (--in), and for pods like a workload's (--like): add one of them"
)
EXISTING_ONLY = Sentence(
    "{key} ({flag}) is for existing pods: add --in", key="debug_image", flag="--ephemeral-container"
)

# A text that is not what the key needs.
NOT_THIS = Sentence("expected {what}, saw {text}", what="deploy/NAME or pod/NAME", text="'x'")
ONE_LINE = Sentence("expected one line of printable characters, saw {text}", text="'two\\nlines'")
NO_NAMESERVER = Sentence("expected a resolv.conf that names a nameserver, saw none")

# Text that is not YAML, after the line.
NOT_YAML = Sentence("not YAML: {why}", why="a quote is opened and not closed")
TAB = Sentence("not YAML: this line begins with a tab; YAML is indented with spaces")
UNCLOSED_QUOTE = Sentence("not YAML: a quote is opened and not closed")
UNCLOSED_LIST = Sentence("not YAML: {bracket} is opened and not closed, or a comma is missing", bracket="[")
COLON = Sentence(
    "not YAML: a colon cannot stand here; look in this line and the one above for a missing `: `, for another "
    "indentation, and for a text with a colon that is not in quotes"
)
LIST_ITEM = Sentence("not YAML: an item of a list (-) cannot stand here; begin a new line for it")
TRAILING = Sentence("not YAML: {rest} cannot follow here; put the whole text in quotes", rest="'s'")
ESCAPE = Sentence("not YAML: a backslash stands in double quotes; use single quotes")
NO_COLON = Sentence("not YAML: expected a key, a colon and a space, as in `rounds: 9`")
INDENTATION = Sentence("not YAML: this line is not indented like those it belongs to")
FIRST_CHARACTER = Sentence("not YAML: {character} cannot begin a value; put the text in quotes", character="'@'")
CONTROL_CHARACTER = Sentence("not YAML: there is a control character; remove it")
SEVERAL_DOCUMENTS = Sentence("not YAML: expected one plan, saw a second one after ---")

# A file as a whole.
NOT_A_PLAN = Sentence(
    "{source}: expected keys with their values, as `dnslab run --dry-run` prints them", source="plan.yaml"
)
OTHER_VERSION = Sentence(
    "{source}: the plan has format version {version}, this dnslab reads version {ours}",
    source="plan.yaml",
    version="2",
    ours="1",
)
AND_MORE = Sentence("and {n} more problems", n="12")
