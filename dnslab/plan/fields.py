"""The texts of a plan, each checked as what it is.

A plan may be a stranger's, and its texts reach shells, files, objects and pages. Pure. Types for pydantic's models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from dnslab.errors import UsageError
from dnslab.plan.resolvconf import check_address, check_domain, parse, parse_endpoint, read_option
from dnslab.sentences import plan_errors as said


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """``check`` as a pydantic validator, so that its message names the line of the plan."""

    def validated(text: str) -> str:
        try:
            check(text)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(validated)


def _check_line(text: str) -> None:
    if not text.isprintable():
        raise UsageError(said.ONE_LINE(text=repr(text[:80])))


def _check_resolv_conf(text: str) -> None:
    """Names and addresses reach files and objects that others read: each is checked as what it is."""
    options = parse(text)
    if not options.nameservers:
        raise UsageError(said.NO_NAMESERVER())
    for domain in options.search:
        check_domain(domain)


def _matching(pattern: str, expected: str) -> AfterValidator:
    """A text that ``pattern`` matches as a whole. An error says ``expected`` in place of the pattern."""

    def check(text: str) -> None:
        if not re.fullmatch(pattern, text):
            raise UsageError(said.NOT_THIS(what=expected, text=repr(text[:80])))

    return _checked(check)


Line = Annotated[str, StringConstraints(max_length=1_000), _checked(_check_line)]
Domain = Annotated[str, _checked(check_domain)]
Address = Annotated[str, _checked(check_address)]
Endpoint = Annotated[str, _checked(parse_endpoint)]
Option = Annotated[str, _checked(read_option)]
#: a whole file
ResolvConf = Annotated[str, StringConstraints(max_length=10_000), _checked(_check_resolv_conf)]
Image = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,511}", "an image as NAME, NAME:TAG or NAME@DIGEST")]
#: RFC 1123, as Kubernetes asks of namespaces and containers
Label = Annotated[
    str, _matching(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "at most 63 of a-z, 0-9 and -, no - at either end")
]
#: of a variant, a target or a fault: it names files, and stands in commands and tables
Name = Annotated[
    str,
    _matching(r"[A-Za-z0-9_][A-Za-z0-9._+@:-]{0,252}", "at most 253 letters, digits and . _ + @ : -, a letter first"),
]
#: of a run: it names a folder
RunName = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "at most 64 letters, digits and . _ -, a letter or digit first")
]
Workload = Annotated[
    str,
    _matching(
        r"(deploy|deployment|sts|statefulset|ds|daemonset|job|cj|cronjob|pod)/[a-z0-9.-]+",
        "deploy/NAME, sts/, ds/, job/, cronjob/ or pod/NAME",
    ),
]
Nodes = Annotated[str, _matching(r"[a-z0-9][a-z0-9.-]*", "a number of nodes, `all`, or a node's name")]
