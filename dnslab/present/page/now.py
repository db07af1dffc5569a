"""What to do now: steps with commands to copy, and what to know before."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator

from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.explain.ranking import KNOWN_BUG, Ranked, Word
from dnslab.explain.validity import voids
from dnslab.explain.verification import verify
from dnslab.plan.remedies import ClusterDns, Form, Remedy, Workload, remedy
from dnslab.plan.variants import BUILT_IN
from dnslab.present.page.context import Context
from dnslab.present.page.view import Card, Code, Now, Step
from dnslab.sentences import pictures, remedies, why
from dnslab.text import counted, time_ms

#: names to fill in
PLACEHOLDER = re.compile(r"\b(NAMESPACE|NAME|CONTAINER|CLUSTER-DNS-IP|CLUSTER-ZONE|RUN)\b")
_USUAL = "baseline,single-request,single-request-reopen,use-vc,node-local"


def now(context: Context) -> Now | None:
    """The section for the run's state."""
    state = context.findings.verdict.state
    heading, intro = "What to do now", str(pictures.NOW_HEAD)
    if state == "none":
        steps = list(_of_cause(context))
        return Now(heading, "", steps, []) if steps else None
    if state in ("void", "unknown"):
        return Now("Measure again", "", list(_again(context)), [])
    if state == "verified":
        return Now(heading, "", list(_after_patch(context)), [])
    if context.lacks_room:
        card = Card(str(remedies.NOT_SHORTER), [str(remedies.NOT_SHORTER_MORE)], "warn")
        return Now(heading, intro, [*_room(), *_verify(context, None)], [card])
    if context.picked:
        return _remedied(context, context.picked)
    return Now(heading, intro, list(_look(context)), [])


def code(kind: str, text: str) -> Code:
    """A block to copy, in which names to fill in are marked."""
    return Code(kind, text.strip("\n"))


def _shell(*lines: str) -> Code:
    return code("shell", "\n".join(lines))


def workload_of(context: Context) -> Workload:
    """The workload that the run measured, as far as the plan names it."""
    cluster = context.run.plan.cluster
    namespace = cluster.namespace or getattr(context.run.environment.backend, "namespace", None)
    in_cluster = context.summary.backend == "kubernetes"
    existing = cluster.existing if cluster.existing and "/" in cluster.existing else None
    return Workload(
        reference=cluster.like or existing or Workload.reference,
        namespace=str(namespace) if in_cluster and namespace else Workload.namespace,
        context=None,
    )


def _dns(context: Context) -> ClusterDns:
    dns = context.run.environment.backend.surroundings.dns
    service = getattr(dns, "service", None)
    addresses = service.get("cluster_ips") if isinstance(service, dict) else None
    zone = getattr(dns, "zone", None)
    usual = ClusterDns()
    return ClusterDns(
        str(addresses[0]) if isinstance(addresses, list) and addresses else usual.address,
        str(zone) if zone else usual.zone,
        context.run.plan.cluster.node_local or usual.node_local,
    )


def _remedied(context: Context, picked: Ranked) -> Now:
    """Steps to apply the recommended configuration."""
    variant = context.variants[picked.row.variant]
    workload = workload_of(context)
    found = remedy(variant, workload, _dns(context), "glibc" if picked.row.libc == "glibc" else "musl")
    form = found.forms[0]
    steps = [*_confirm(context), _apply(context, found, form), *_verify(context, workload), _undo(form)]
    cards = [Card(str(remedies.WHY_THIS), list(_why_this(context, picked)))]
    if variant.options and picked.row.libc == "glibc":
        fix = f"dnslab fix --variant node-local \\\n  --workload {workload.reference} --libc musl"
        cards.append(
            Card(str(remedies.MUSL), [str(remedies.MUSL_MORE)], "warn", _shell("dnslab node-cache status", fix))
        )
    mind = [caveat for caveat in (*form.caveats, *found.caveats) if "musl" not in caveat]
    return Now("What to do now", str(pictures.NOW_HEAD), steps, [*cards, Card(str(remedies.MIND), mind)])


def _confirm(context: Context) -> Iterator[Step]:
    if context.summary.backend == "kubernetes":
        return
    names = ",".join(name for name in context.variants if name in BUILT_IN)
    run = "dnslab run --backend kubernetes --namespace NAMESPACE"
    command = _shell(f"{run} \\\n  --like deploy/NAME --report \\\n  --variants {names}")
    yield Step(str(remedies.CONFIRM), [str(remedies.CONFIRM_MORE), command])


def _apply(context: Context, found: Remedy, form: Form) -> Step:
    blocks: list[str | Code] = []
    if found.variant.node_local:
        blocks += [str(remedies.CACHE_FIRST), _shell("dnslab node-cache status", "dnslab node-cache install")]
    blocks += [str(remedies.APPLY_MORE), code("YAML, in the workload", form.text)]
    blocks += [str(remedies.APPLY_NOW), _shell(*map(_folded, form.apply))]
    fix = f"dnslab fix --variant {shlex.quote(found.variant.name)} \\\n  --workload {found.workload.reference}"
    blocks += [str(remedies.READ_FIRST), _shell(f"{fix} --namespace {found.workload.namespace}")]
    return Step(remedies.APPLY(name=found.variant.name), blocks)


def _folded(command: str) -> str:
    """A long kubectl command on several lines."""
    return command.replace(" --type strategic -p ", " \\\n  --type strategic -p \\\n  ")


def _verify(context: Context, workload: Workload | None) -> Iterator[Step]:
    path = context.run.path
    name = f"results/{path.name}" if path.parent.name == "results" else path.name
    run = shlex.quote(name) if context.summary.backend == "kubernetes" else "latest"
    like = ""
    if workload is None or not context.run.plan.cluster.like:
        like = f" \\\n  --like {workload.reference if workload else 'deploy/NAME'}"
    yield Step(str(remedies.VERIFY), [str(remedies.VERIFY_MORE), _shell(f"dnslab verify {run} --report{like}")])


def _undo(form: Form) -> Step:
    return Step(str(remedies.UNDO), [str(remedies.UNDO_MORE), _shell(*map(_folded, form.undo))])


def _why_this(context: Context, picked: Ranked) -> Iterator[str]:
    variant = context.variants[picked.row.variant]
    yield remedies.WHY_NONE_SEEN(n=counted(picked.row.n, "lookup"))
    yield str(remedies.WHY_CACHE if variant.node_local else remedies.WHY_ONE_WORKLOAD)
    cost = picked.row.effects.get("p50_ms")
    for one in context.rows(picked.row.libc):
        theirs = one.row.effects.get("p50_ms")
        if one.word is not Word.CLEARS or one == picked or not (cost and theirs):
            continue
        cheaper = cost.estimate - theirs.estimate
        if one.row.variant in KNOWN_BUG:
            yield remedies.WHY_BUG(name=one.row.variant)
        elif math.isfinite(cheaper) and theirs.high < cost.low and not one.row.variant.startswith("node-local+"):
            yield remedies.WHY_CHEAPER(name=one.row.variant, ms=time_ms(cheaper))
    if not variant.node_local and "node-local" in context.variants:
        there = "node-local" in context.cleared("musl")
        yield str(remedies.WHY_NODE_LOCAL if there else remedies.WHY_NODE_LOCAL_ELSE)


def _room() -> Iterator[Step]:
    scale = _shell("kubectl -n kube-system scale deploy/coredns --replicas=4")
    yield Step(str(remedies.SERVERS_ROOM), [str(remedies.SERVERS_ROOM_MORE), scale])
    cache = _shell("dnslab node-cache status", "dnslab node-cache install")
    yield Step(str(remedies.FEWER_QUERIES), [str(remedies.FEWER_QUERIES_MORE), cache])


def _of_cause(context: Context) -> Iterator[Step]:
    """What removes the cause that was found, and how to see that it is gone."""
    for cause in context.findings.diagnosis.causes[:1]:
        if cause.remedy and not cause.emulated:
            again = _shell(cause.remedy.command)
            yield Step(cause.remedy.change, [f"{cause.remedy.detail} {why.REMEDY_VERIFY}", again])


def _look(context: Context) -> Iterator[Step]:
    """Where no remedy is shown."""
    state = context.findings.verdict.state
    yield from _of_cause(context)
    yield from _confirm(context)
    if state in ("slow", "delayed"):
        yield from _where_it_is_slow(context)
        return
    if state in ("failing", "partial"):
        pods = "kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide"
        logs = "kubectl -n kube-system logs -l k8s-app=kube-dns --tail 50"
        yield Step(str(remedies.LOOK_AT_SERVERS), [str(remedies.LOOK_AT_SERVERS_MORE), _shell(pods, logs)])
    if state == "failing":
        name = shlex.quote(context.run.plan.names[0])
        check = _shell(f"kubectl -n NAMESPACE exec deploy/NAME -- getent ahosts {name}")
        yield Step(str(remedies.CHECK_NAMES), [str(remedies.CHECK_NAMES_MORE), check])
    backend = "--backend kubernetes --namespace NAMESPACE" if context.summary.backend != "local" else "--backend local"
    measured = {one.row.variant for libc in context.libcs for one in context.rows(libc)}
    if state == "stalls" and not {"single-request", "node-local"} <= measured:
        command = _shell(f"dnslab run {backend} --report \\\n  --variants {_USUAL}")
        yield Step(str(remedies.TRY_OTHERS), [str(remedies.TRY_OTHERS_MORE), command])
    rounds = max(9, 2 * context.summary.n_rounds)
    again = _shell(f"dnslab run {backend} --report --rounds {rounds}")
    yield Step(str(remedies.MORE_ROUNDS), [str(remedies.MORE_ROUNDS_MORE), again])


def _where_it_is_slow(context: Context) -> Iterator[Step]:
    """Nothing is lost, and no configuration helps: what to measure, and what to look at."""
    run = "dnslab run --backend kubernetes --namespace NAMESPACE"
    names = _shell(f"{run} --report \\\n  --name kubernetes.default \\\n  --name example.org --allow-external")
    yield Step(str(remedies.SLOW_NAMES), [str(remedies.SLOW_NAMES_MORE), names])
    kubectl = "kubectl -n kube-system"
    usage = f"{kubectl} top pods -l k8s-app=kube-dns"
    logs = f"{kubectl} logs -l k8s-app=kube-dns --tail 50"
    yield Step(str(remedies.LOOK_AT_SERVERS), [str(remedies.SLOW_SERVERS_MORE), _shell(usage, logs)])
    again = _shell(f"{run} --report", f"dnslab compare {shlex.quote(context.run.path.name)} latest")
    yield Step(str(remedies.AFTER_EACH), [str(remedies.AFTER_EACH_MORE), again])


def _again(context: Context) -> Iterator[Step]:
    """What a void run asks for: the same again, as its checks advise."""
    void = voids(context.findings.vetoes)
    plan = context.run.plan
    where = "" if plan.backend == "lab" else f" --backend {plan.backend}"
    variants = dict.fromkeys(["baseline", *plan.variants])
    names = ",".join(name for name in variants if name in BUILT_IN)
    fault = f" --fault {shlex.quote(str(plan.fault))}" if context.emulated else ""
    rate = plan.loads[0].rate_per_s
    busy = rate and any("--rate" in veto.advice for veto in void)
    slower = f" --rate {rate / 2:g}" if rate and busy else ""
    rounds = f" --rounds {max(MIN_ROUNDS, plan.rounds)}"
    command = f"dnslab run{where}{fault}{slower}{rounds} \\\n  --report --variants {names}"
    changes = remedies.MEASURE_AGAIN_SLOWER if slower else remedies.MEASURE_AGAIN_SAME
    text = f"{remedies.MEASURE_AGAIN_VOID} {changes}" if void else str(changes)
    yield Step(str(remedies.MEASURE_AGAIN), [text, _shell(command)])


def _after_patch(context: Context) -> Iterator[Step]:
    word = verify(context.summary)[0].word
    again = _shell("dnslab verify RUN --report")
    if word == "gone":
        yield Step(str(remedies.KEEP_IT), [str(remedies.KEEP_IT_MORE)])
    elif word in ("not enough data", "not here today"):
        title = remedies.MORE_ROUNDS if word == "not enough data" else remedies.LATER
        more = remedies.MORE_ROUNDS_MORE if word == "not enough data" else remedies.LATER_MORE
        yield Step(str(title), [str(more), again])
    else:
        command = _shell(f"dnslab run --backend kubernetes --namespace NAMESPACE --report \\\n  --variants {_USUAL}")
        yield Step(str(remedies.NEXT_REMEDY), [str(remedies.NEXT_REMEDY_MORE), command])
