"""Edits a pod's /etc/resolv.conf for one trial, and restores it however the connection ends.

The edited text holds the original as comment lines: the file outlives a container that is killed, and whatever is
saved beside it in the container does not. It is a bind mount: it can be rewritten, not replaced.
"""

from __future__ import annotations

import shlex

from dnslab.errors import NotAble, ProbeFailed
from dnslab.measure.kubernetes.pods.pod_facts import RESOLV_CONF
from dnslab.measure.kubernetes.pods.shell import Shell, octal
from dnslab.plan.resolvconf import ResolverOptions, parse, render
from dnslab.plan.variants import Variant

MARKER = "# dnslab edited this file; the original's lines follow, and `dnslab clean --in` puts them back"
#: an original that ends without a newline says so in its last saved line
SAVED, SAVED_UNENDED = "#dnslab|", "#dnslab!"


def edited(original: str, variant: Variant) -> str:
    """``original`` with ``variant`` in it, after the original as comment lines.

    The original's lines stay, but for its nameservers where the variant has others. Options and search list are added:
    of two the resolver takes the last.

    >>> print(edited("nameserver 10.0.0.1\\noptions ndots:5\\n", Variant("t", "", timeout_s=1)), end="")
    # dnslab edited this file; the original's lines follow, and `dnslab clean --in` puts them back
    #dnslab|nameserver 10.0.0.1
    #dnslab|options ndots:5
    nameserver 10.0.0.1
    options ndots:5
    options timeout:1
    """
    *lines, unended = original.split("\n")
    saved = [f"{SAVED}{line}" for line in lines] + ([f"{SAVED_UNENDED}{unended}"] if unended else [])
    kept = lines + ([unended] if unended else [])
    searched = parse(original).search if variant.root_first else ()
    changes = variant.applied_to(ResolverOptions(search=searched))
    if changes.nameservers:
        kept = [line for line in kept if line.split()[:1] != ["nameserver"]]
    added = render(changes).strip("\n")
    return "\n".join([MARKER, *saved, *kept, *([added] if added else [])]) + "\n"


def restored(text: str) -> str | None:
    """The original of an edited text; None if the text was not edited."""
    lines = text.split("\n")
    if MARKER not in lines:
        return None
    ended = "".join(f"{line.removeprefix(SAVED)}\n" for line in lines if line.startswith(SAVED))
    return ended + "".join(line.removeprefix(SAVED_UNENDED) for line in lines if line.startswith(SAVED_UNENDED))


def read(shell: Shell) -> str:
    """The file's text, read by the shell alone since an image may lack ``cat``.

    Raises
    ------
    NotAble
        The file cannot be read.
    """
    loop = 'while IFS= read -r l; do printf "%s\\n" "$l"; done; printf %s "$l"'
    code, text = shell.ask(f"{{ {loop}; }} <{RESOLV_CONF}")
    if code:
        raise NotAble(f"cannot read {RESOLV_CONF} in pod {shell.pod}")
    return text


def refuse_edited(shell: Shell) -> str:
    """The file's text.

    Raises
    ------
    NotAble
        An earlier edit is still in the file.
    """
    text = read(shell)
    if restored(text) is not None:
        raise NotAble(
            f"{RESOLV_CONF} of pod {shell.pod} is still edited by a run that was killed or is still running: "
            f"`dnslab clean --in {shlex.quote(f'pod/{shell.pod}')}` restores the original"
        )
    return text


def check_can_edit(shell: Shell) -> None:
    """Check that the container can write the file.

    Raises
    ------
    NotAble
        It may not.
    """
    code, output = shell.ask(f"( : >>{RESOLV_CONF} ) 2>&1")
    if code:
        raise NotAble(
            f"container {shell.container} of pod {shell.pod} may not write {RESOLV_CONF} "
            f"({' '.join(output.split()) or 'read-only'}): without --edit-resolv-conf nothing needs to be edited"
        )


def begin(shell: Shell, original: str, variant: Variant) -> None:
    """Write ``variant`` into the file, until ``end`` is called or the session ends.

    Raises
    ------
    NotAble
        The file is no longer the ``original``, so someone else edits it, or its bytes could not be put back.
    """
    if "\N{REPLACEMENT CHARACTER}" in original:
        raise NotAble(f"{RESOLV_CONF} of pod {shell.pod} is not UTF-8, so it could not be restored: nothing was edited")
    if refuse_edited(shell) != original:
        raise NotAble(f"{RESOLV_CONF} of pod {shell.pod} has changed since the run began: nothing was edited")
    shell.on_leaving({"resolv.conf": _writing(original)})
    _write(shell, edited(original, variant))


def end(shell: Shell, original: str) -> None:
    """Restore ``original``.

    Raises
    ------
    ProbeFailed
        It could not be written, or the session has ended.
    """
    _write(shell, original)
    shell.on_leaving({"resolv.conf": ""})


def _write(shell: Shell, text: str) -> None:
    code, output = shell.ask(f"( {_writing(text)} ) 2>&1")
    if code:
        raise ProbeFailed(f"cannot write {RESOLV_CONF} in pod {shell.pod}: {' '.join(output.split())}")
    if parse(read(shell)) != parse(text):
        raise ProbeFailed(f"{RESOLV_CONF} in pod {shell.pod} does not contain what was written to it")


def _writing(text: str) -> str:
    return f"printf '{octal(text.encode())}' >{RESOLV_CONF}"
