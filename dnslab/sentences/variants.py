"""What each built-in configuration changes, and why a C library cannot follow it."""

from __future__ import annotations

from dnslab.sentences import Sentence

BASELINE = Sentence("changes nothing")
USE_VC = Sentence("asks over TCP")
SINGLE_REQUEST = Sentence("asks A first, then AAAA, from one socket")
SINGLE_REQUEST_REOPEN = Sentence("asks A first, then AAAA, from a new socket")
NO_AAAA = Sentence("asks only A")
NODE_LOCAL = Sentence("asks the node-local cache at {address}", address="169.254.20.10")
NODE_LOCAL_REOPEN = Sentence("asks the node-local cache: A first, then AAAA from a new socket")
DIRECT = Sentence("asks CoreDNS directly (kube-dns-upstream), not a node-local cache")
NDOTS_1 = Sentence("tries a name with a dot as it is first")
ROOT_FIRST = Sentence("tries each name as it is first (`search .`)")
ABSOLUTE = Sentence("asks for the full name with its final dot, without the search list")
TIMEOUT_1 = Sentence("waits 1 s for an answer, 3 times (timeout:1 attempts:3)")

# Why a configuration is not applicable: these stand after a colon.
IGNORED = Sentence("{libc} ignores {what}", libc="musl", what="use-vc")
DOT_IN_SEARCH = Sentence("`.` in a search list")
TOO_OLD = Sentence(
    "{option} needs glibc {since}, but the target has {version}", option="no-aaaa", since="2.36", version="2.31"
)
FILE_ONLY = Sentence(
    "{libc} reads only resolv.conf, so nothing can be changed in a process that already runs", libc="musl"
)
NO_NEW_SEARCH = Sentence("the search list cannot be changed in a process that already runs")
ONE_NAMESERVER = Sentence("a process that already runs can be given only one nameserver")
