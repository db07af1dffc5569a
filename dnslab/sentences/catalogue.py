"""The catalogue of causes as people read it."""

from __future__ import annotations

from dnslab.sentences import Sentence

MADE_BY = Sentence("Made by `python -m dnslab.explain.catalogue_page > docs/causes.md` from the data that dnslab uses.")
HEAD = Sentence(
    "Why lookups are lost, late or wrong. `dnslab causes` lists these causes, and `dnslab causes NAME` prints one. "
    "A run's signs decide how sure a cause is. A sign with `!` before it was looked for and not seen."
)
WORDS = Sentence(
    "**Shown**: its signs were seen, nothing else is left, and a kernel's counter or raw queries show it. "
    "**Likely**: its signs were seen. **Possible**: some of them were seen, or other causes fit as well. "
    "**Ruled out**: a sign speaks against it. **Not tested**: none of its signs was looked at."
)
MECHANISMS = Sentence("Mechanisms")
MECHANISMS_HEAD = Sentence("How lookups suffer can be shown where the cause of it is still open.")
WHAT = Sentence("What happens")
HOW = Sentence("How lookups suffer")
SIGNS = Sentence("Signs that it needs")
NOT_SIGNS = Sentence("Signs against it")
SHOWN_BY = Sentence("Shown by")
TELLS = Sentence("What tells it from look-alikes")
CHANGE = Sentence("What helps")
WHERE = Sentence("Where")
COST = Sentence("What it costs")
WATCH = Sentence("What to watch then")
FAULTS = Sentence("Imitated in the lab by")
SOURCES = Sentence("Sources")
NO_CAUSE = Sentence("there is no cause {name}{hint}", name="'rac'", hint=": did you mean 'conntrack-race'?")
