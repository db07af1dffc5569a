"""What to do after a diagnosis: the remedy of what was found, or how to find out more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dnslab.explain.diagnosed import Diagnosed
from dnslab.explain.ladder import Named
from dnslab.explain.mending import Mending
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.ladder import IN_CLUSTER as CLUSTER, START_PER_S
from dnslab.present.page.diagnosis_why import is_open
from dnslab.present.page.now import code, folded
from dnslab.present.page.view import Card, Code, Now, Step
from dnslab.sentences import diagnosis as said, ladder, pictures, remedies
from dnslab.text import duration, lowered

_KUBECTL = "kubectl -n kube-system"
#: how much more a diagnosis gets that was too short, or that found nothing
_MORE_TIME, _MORE_QUERIES = 3, 4
#: for trouble that comes and goes, s
WAIT_S = 21_600.0
#: characters of a line of a command
WIDTH = 64


def diagnosis_now(diagnosed: Diagnosed) -> Now:
    """The section."""
    status = diagnosed.answer.status
    heading, intro = str(remedies.NOW_HEADING), str(pictures.NOW_HEAD)
    if status == "nothing found":
        return Now(str(said.STILL_HEADING), str(said.STILL_HEAD), list(_still(diagnosed)), [])
    if status in ("cause", "two causes"):
        return Now(heading, intro, list(_mend(diagnosed)), list(_cards(diagnosed)))
    steps = {"none fits": _look_further, "stopped": _when_back}.get(status, _more_time)
    return Now(heading, intro, list(steps(diagnosed)), [])


def in_short(diagnosed: Diagnosed, now: Now) -> tuple[str, str]:
    """What to do in a few words, and what comes before or with it."""
    found = leading(diagnosed)
    if not found:
        first = now.steps[0]
        return first.title, first.blocks[0] if isinstance(first.blocks[0], str) else ""
    more = [said.AND_THEN(step=lowered(_title(cause))) for cause in found[1:]]
    if not _in_cluster(diagnosed):
        more.append(str(said.CONFIRM_FIRST))
    elif not more and found[0].remedy:
        more.append(found[0].remedy.detail)
    return _title(found[0]), " ".join(more)


def leading(diagnosed: Diagnosed) -> tuple[Named, ...]:
    """What the answer is about: one cause, or two."""
    return diagnosed.answer.causes[: diagnosed.answer.n_named]


def _again(diagnosed: Diagnosed, nodes: str = "", budget_s: float = 0.0, most_per_s: float = 0.0) -> Code:
    """The command that makes the same diagnosis again; from other ``nodes``, with more time or at another rate if
    these are given."""
    asked = diagnosed.asked
    if nodes:
        cluster = asked.base.cluster.model_copy(update={"nodes": nodes})
        asked = replace(asked, base=asked.base.model_copy(update={"cluster": cluster}))
    budget_s, most_per_s = budget_s or asked.budget_s, most_per_s or asked.most_per_s
    return _shell(f"{replace(asked, budget_s=budget_s, most_per_s=most_per_s, wait_s=0.0).command} --report")


def _shell(command: str) -> Code:
    """A command to copy, of which a long one breaks before an option."""
    lines: list[str] = []
    for part in command.replace(" --", "\n--").split("\n"):
        if lines and len(lines[-1]) + len(part) < WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return code("shell", " \\\n  ".join(lines))


def _in_cluster(diagnosed: Diagnosed) -> bool:
    return diagnosed.asked.base.backend in IN_CLUSTER


def _confirm(diagnosed: Diagnosed) -> Iterator[Step]:
    if not _in_cluster(diagnosed):
        yield Step(str(remedies.CONFIRM), [str(said.CONFIRM_MORE), _shell(f"{CLUSTER} --report")])


def _mend(diagnosed: Diagnosed) -> Iterator[Step]:
    """What mends what was found: first in the cluster, then for all, then for one workload."""
    yield from _confirm(diagnosed)
    for cause in leading(diagnosed):
        title = _title(cause)
        there = title if _in_cluster(diagnosed) else said.IF_SAME(step=lowered(title))
        yield Step(there, list(_blocks(cause)))
        if cause.remedy and cause.remedy.patch:
            yield from _patch(cause.remedy)
    after = next((cause.remedy.command for cause in leading(diagnosed) if cause.remedy and cause.remedy.command), "")
    again = (
        _shell(after) if after else _shell(f"{CLUSTER} --report") if not _in_cluster(diagnosed) else _again(diagnosed)
    )
    yield Step(str(said.AFTERWARDS), [str(ladder.AFTERWARDS), again])


def _title(cause: Named) -> str:
    return cause.remedy.change.rstrip(".") if cause.remedy else str(said.FIND_CAUSE)


def _blocks(cause: Named) -> Iterator[str | Code]:
    """What to change and where; where the cause is open, what tells it from others."""
    if cause.remedy:
        yield cause.remedy.detail
        if cause.remedy.commands:
            yield str(ladder.FOR_ALL)
            yield from map(_shell, cause.remedy.commands)
    else:
        yield cause.summary
    if is_open(cause) and cause.experiment:
        yield str(said.FIND_CAUSE_MORE)
        yield _shell(cause.experiment)


def _patch(remedy: Mending) -> Iterator[Step]:
    """A configuration that spares one workload: apply it, and undo it."""
    blocks: list[str | Code] = [str(remedies.APPLY_MORE), code("YAML, in the workload", remedy.patch)]
    if remedy.apply:
        blocks += [str(remedies.APPLY_NOW), *map(_folded, remedy.apply)]
    if remedy.fix:
        blocks += [str(remedies.READ_FIRST), _shell(remedy.fix)]
    yield Step(said.FOR_ONE(name=remedy.variant), blocks)
    if remedy.undo:
        yield Step(str(remedies.UNDO), [str(remedies.UNDO_MORE), *map(_folded, remedy.undo)])


def _folded(command: str) -> Code:
    return code("shell", folded(command))


def _cards(diagnosed: Diagnosed) -> Iterator[Card]:
    """What to be careful about with a patch."""
    caveats = [
        caveat for cause in leading(diagnosed) if cause.remedy and cause.remedy.patch for caveat in cause.remedy.caveats
    ]
    if caveats:
        yield Card(str(remedies.MIND), list(dict.fromkeys(caveats)))


def _still(diagnosed: Diagnosed) -> Iterator[Step]:
    if not _in_cluster(diagnosed):
        yield Step(str(said.IN_YOUR_CLUSTER), [str(said.CONFIRM_MORE), _shell(f"{CLUSTER} --report")])
        return
    waiting = replace(diagnosed.asked, wait_s=WAIT_S).command
    yield Step(str(said.WHILE_IT_LASTS), [str(said.WHILE_IT_LASTS_MORE), _shell(f"{waiting} --report")])
    yield from _elsewhere(diagnosed)
    most_per_s = _MORE_QUERIES * diagnosed.asked.most_per_s
    more = said.MORE_QUERIES_MORE(rate=f"{most_per_s:g}")
    again = _again(diagnosed, most_per_s=most_per_s, budget_s=_MORE_TIME * diagnosed.asked.budget_s)
    yield Step(str(said.MORE_QUERIES), [more, again])


def _elsewhere(diagnosed: Diagnosed) -> Iterator[Step]:
    cluster = diagnosed.asked.base.cluster
    if not cluster.existing and cluster.nodes != "all":
        yield Step(str(said.ELSEWHERE), [str(said.ELSEWHERE_MORE), _again(diagnosed, nodes="all")])


def _look_further(diagnosed: Diagnosed) -> Iterator[Step]:
    yield from _confirm(diagnosed)
    if _in_cluster(diagnosed):
        yield from _elsewhere(diagnosed)
    yield from _servers()


def _servers() -> Iterator[Step]:
    pods, logs = f"{_KUBECTL} get pods -l k8s-app=kube-dns -o wide", f"{_KUBECTL} logs -l k8s-app=kube-dns --tail 50"
    both = code("shell", f"{pods}\n{logs}")
    yield Step(str(remedies.LOOK_AT_SERVERS), [str(remedies.LOOK_AT_SERVERS_MORE), both])


def _more_time(diagnosed: Diagnosed) -> Iterator[Step]:
    budget_s = _MORE_TIME * diagnosed.asked.budget_s
    again = _again(diagnosed, budget_s=budget_s)
    yield Step(str(said.MORE_TIME), [said.MORE_TIME_MORE(time=duration(budget_s)), again])
    yield from _confirm(diagnosed)


def _when_back(diagnosed: Diagnosed) -> Iterator[Step]:
    if not diagnosed.answer.trouble:  # what stopped it was not DNS
        yield Step(str(said.ONCE_MORE), [str(said.ONCE_MORE_MORE), _again(diagnosed)])
        return
    yield from _servers()
    yield Step(str(said.WHEN_BACK), [str(said.WHEN_BACK_MORE), _again(diagnosed, most_per_s=START_PER_S)])
