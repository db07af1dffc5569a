"""What to do now: steps with commands to copy, and what to know before."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.explain.mending import LOGS, SERVERS
from dnslab.explain.patched import dns_of, workload_of
from dnslab.explain.ranking import KNOWN_BUG, WORTH_A_WORD, Ranked, Word, recommended
from dnslab.explain.validity import voids
from dnslab.explain.verification import verify
from dnslab.plan.model import Trouble
from dnslab.plan.remedies import Form, Remedy, Workload, remedy
from dnslab.plan.schedule import forecast
from dnslab.plan.variants import BUILT_IN
from dnslab.present.page.context import Context
from dnslab.present.page.view import Card, Code, Now, Step
from dnslab.sentences import Sentence, pictures, remedies, why
from dnslab.text import counted, listed, lowered, time_ms

#: names to fill in
PLACEHOLDER = re.compile(r"\b(NAMESPACE|NAME|CONTAINER|CLUSTER-DNS-IP|CLUSTER-ZONE|RUN|NUMBER)\b")
#: letters of a line of commands that fit on a phone
MOST_WIDE = 40
_USUAL = "baseline,single-request,single-request-reopen,use-vc,node-local"
_KUBECTL = "kubectl -n kube-system"
#: by the verdict's state; stalls in all others
_TROUBLES: Mapping[str, Sentence] = {
    "failing": remedies.TROUBLE_FAILED,
    "partial": remedies.TROUBLE_PARTIAL,
    "slow": remedies.TROUBLE_SLOW,
    "delayed": remedies.TROUBLE_SLOW,
}
_NONE_SEEN: Mapping[Trouble, Sentence] = {
    "stalls": remedies.WHY_NONE_SEEN,
    "failed": remedies.WHY_NO_FAILURE,
    "slow": remedies.WHY_NO_SLOW,
}


def now(context: Context) -> Now | None:
    """The section for the run's state."""
    state = context.findings.verdict.state
    heading, intro = str(remedies.NOW_HEADING), str(pictures.NOW_HEAD)
    if state == "none":
        steps = list(_of_cause(context))
        return Now(heading, "", steps, []) if steps else None
    if state in ("void", "unknown"):
        return Now(str(remedies.AGAIN_HEADING), "", list(_again(context)), [])
    if state == "verified":
        return Now(heading, "", list(_after_patch(context)), [])
    if context.lacks_room:
        card = Card(str(remedies.NOT_SHORTER), [str(remedies.NOT_SHORTER_MORE)], "warn")
        return Now(heading, intro, _if_there(context, [*_confirm(context), *_room(context)]), [card])
    if context.picked:
        return _remedied(context, context.picked)
    return Now(heading, intro, _if_there(context, [*_confirm(context), *_look(context)]), [])


def _if_there(context: Context, steps: Sequence[Step]) -> list[Step]:
    """The steps after a run in the lab: all after the first are for a cluster that has the same trouble."""
    if not context.in_lab:
        return list(steps)
    confirm, second, *rest = steps
    step = lowered(second.title)
    if any(cause.kind for cause in context.findings.diagnosis.causes):
        title, other = remedies.IF_SAME_CAUSE(step=step), [str(remedies.IF_OTHER_CAUSE)]
    else:
        trouble = _TROUBLES.get(context.findings.verdict.state, remedies.TROUBLE_STALLS)
        title, other = remedies.IF_THERE(trouble=str(trouble), step=step), []
    return [confirm, replace(second, title=title, blocks=[*other, *second.blocks]), *rest]


def code(kind: str, text: str) -> Code:
    """A block to copy, in which names to fill in are marked."""
    return Code(kind, text.strip("\n"))


def _shell(*commands: str) -> Code:
    return code("shell", "\n".join(narrow(line) for command in commands for line in command.splitlines()))


def narrow(line: str) -> str:
    """A line of a command, continued before each option that would make it too wide for a phone. Left as it is where it
    has quotes, in which nothing may be broken."""
    if "'" in line or '"' in line:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    first, *options = re.split(r" (?=--)", line.lstrip())
    lines = [indent + first]
    for option in options:
        if len(lines[-1]) + 1 + len(option) <= MOST_WIDE:
            lines[-1] += f" {option}"
        else:
            lines.append(f"  {option}")
    return " \\\n".join(lines)


def _remedied(context: Context, picked: Ranked) -> Now:
    """Steps to apply the recommended configuration."""
    variant = context.variants[picked.row.variant]
    workload = workload_of(context.run)
    found = remedy(variant, workload, dns_of(context.run), "glibc" if picked.row.libc == "glibc" else "musl")
    form = found.forms[0]
    apply = _apply(context, found, form)
    steps = [*_confirm(context), *_fix_servers(context), apply, _verify(context, workload), _undo(form)]
    cards = [Card(str(remedies.WHY_THIS), list(_why_this(context, picked)))]
    if variant.options and picked.row.libc == "glibc":
        fix = f"dnslab fix --variant node-local \\\n  --workload {workload.reference} \\\n"
        fix += f"  --namespace {workload.namespace} --libc musl"
        cards.append(Card(str(remedies.MUSL), [str(remedies.MUSL_MORE)], "warn", _shell(fix)))
    mind = [caveat for caveat in (*form.caveats, *found.caveats) if "musl" not in caveat]
    cards.append(Card(str(remedies.MIND), mind))
    return Now(str(remedies.NOW_HEADING), str(pictures.NOW_HEAD), _if_there(context, steps), cards)


def _confirm(context: Context) -> Iterator[Step]:
    if context.summary.backend == "kubernetes":
        return
    names = ",".join(name for name in context.variants if name in BUILT_IN)
    run = "dnslab run --backend kubernetes --namespace NAMESPACE"
    command = _shell(f"{run} \\\n  --like deploy/NAME --report \\\n  --variants {names}")
    yield Step(str(remedies.CONFIRM), [str(remedies.CONFIRM_MORE), command])


def _fix_servers(context: Context) -> Iterator[Step]:
    """Where what helps only hides what the servers do wrong."""
    if context.hides_errors:
        blocks: list[str | Code] = [str(remedies.FIX_SERVERS_MORE), _shell(LOGS)]
        if context.findings.seen.external:  # the cluster's own names are not asked of an upstream
            forward = _shell(f"{_KUBECTL} get configmap coredns -o yaml")
            blocks += [str(remedies.SERVERS_UPSTREAM), forward]
        yield Step(str(remedies.FIX_SERVERS), blocks)


def _apply(context: Context, found: Remedy, form: Form) -> Step:
    blocks: list[str | Code] = []
    if found.variant.node_local:
        blocks += [str(remedies.CACHE_FIRST), *_cache()]
    blocks += [str(remedies.APPLY_MORE), code("YAML, in the workload", form.text)]
    blocks += [str(remedies.APPLY_NOW), _shell(*map(folded, form.apply))]
    fix = f"dnslab fix --variant {shlex.quote(found.variant.name)} \\\n  --workload {found.workload.reference}"
    blocks += [str(remedies.READ_FIRST), _shell(f"{fix} --namespace {found.workload.namespace}")]
    title = remedies.UNTIL_THEN if context.hides_errors else remedies.APPLY
    return Step(title(name=found.variant.name), blocks)


def folded(command: str) -> str:
    """A long kubectl command on several lines."""
    return command.replace(" --type strategic -p ", " \\\n  --type strategic -p \\\n  ")


def run_path(context: Context) -> str:
    """The run's folder as a command names it."""
    path = context.run.path
    return f"results/{path.name}" if path.parent.name == "results" else path.name


def _cache() -> list[str | Code]:
    """How to see whether the cache is there, and to install it: apart, because one click selects a whole block."""
    return [_shell("dnslab node-cache status"), str(remedies.CACHE_IF_MISSING), _shell("dnslab node-cache install")]


def _verify(context: Context, workload: Workload) -> Step:
    """The step after a patch. Where servers are to be mended first, two runs tell more: ``dnslab verify`` takes an old
    configuration that is better, too, for a fault that is not here today."""
    plan = context.run.plan
    like = "" if plan.cluster.like or plan.cluster.existing else f" \\\n  --like {workload.reference}"
    if context.hides_errors:
        return _measure_again(context, like)
    run = shlex.quote(run_path(context)) if context.summary.backend == "kubernetes" else "latest"
    return Step(str(remedies.VERIFY), [str(remedies.VERIFY_MORE), _shell(f"dnslab verify {run} --report{like}")])


def _measure_again(context: Context, like: str = "") -> Step:
    """The same plan once more after a change, compared with the run before it."""
    run, more = "RUN", str(remedies.AFTER_EACH_LAB)
    if not context.in_lab:
        run, more = run_path(context), remedies.AFTER_EACH_MORE(run=run_path(context))
    plan = shlex.quote(f"{run}/plan.yaml")
    again = _shell(f"dnslab run {plan} --report{like}", f"dnslab compare {shlex.quote(run)} latest")
    return Step(str(remedies.AFTER_EACH), [more, again])


def measured_elsewhere() -> Now:
    """The step after another tool's measurement: one of dnslab's own."""
    where = "--backend kubernetes --namespace NAMESPACE"
    cluster = f"dnslab run {where} \\\n  --like deploy/NAME --report \\\n  --variants {_USUAL}"
    return Now(
        str(remedies.NOW_HEADING),
        str(pictures.NOW_HEAD),
        [
            Step(str(remedies.MEASURE_WITH_DNSLAB), [str(remedies.MEASURE_WITH_DNSLAB_MORE), _shell(cluster)]),
            Step(
                str(remedies.SEE_FIRST),
                [str(remedies.SEE_FIRST_MORE), _shell("dnslab run --fault race:p=0.05 --report")],
            ),
        ],
        [],
    )


def _undo(form: Form) -> Step:
    return Step(str(remedies.UNDO), [str(remedies.UNDO_MORE), _shell(*map(folded, form.undo))])


def _why_this(context: Context, picked: Ranked) -> Iterator[str]:
    variant = context.variants[picked.row.variant]
    yield _NONE_SEEN[context.count](n=counted(picked.row.n, "lookup"))
    if context.hides_errors:
        n = len(context.run.plan.names)
        yield remedies.WHY_HIDES(names=counted(n, "name was", "names were"))
    cache = remedies.WHY_CACHE_HIDES if context.hides_errors else remedies.WHY_CACHE
    yield str(cache if variant.node_local else remedies.WHY_ONE_WORKLOAD)
    yield from _next_best(context, picked)
    cost = picked.row.effects.get("p50_ms")
    least = WORTH_A_WORD * context.baseline.p50_ms if context.baseline else math.inf
    for one in context.rows(picked.row.libc):
        theirs = one.row.effects.get("p50_ms")
        if one.word is not Word.CLEARS or one == picked or not (cost and theirs):
            continue
        cheaper = cost.estimate - theirs.estimate
        if one.row.variant in KNOWN_BUG:
            yield remedies.WHY_BUG(name=one.row.variant)
        elif least <= cheaper < math.inf and theirs.high < cost.low and not one.row.variant.startswith("node-local+"):
            yield remedies.WHY_CHEAPER(name=one.row.variant, ms=time_ms(cheaper))
    if not variant.node_local and "node-local" in context.variants:
        there = "node-local" in context.cleared("musl")
        yield str(remedies.WHY_NODE_LOCAL if there else remedies.WHY_NODE_LOCAL_ELSE)


def _next_best(context: Context, picked: Ranked) -> Iterator[str]:
    """Why not the next one by the same rule, where only the median decides between them."""
    rest = [one for one in context.rows(picked.row.libc) if one != picked]
    second = recommended(rest, context.variants)
    if second is None or second.row.variant in KNOWN_BUG:
        return
    cost, theirs = (one.row.effects.get("p50_ms") for one in (picked, second))
    alike = context.variants[second.row.variant].node_local == context.variants[picked.row.variant].node_local
    if not (cost and theirs and alike and 0 < theirs.estimate - cost.estimate < math.inf):
        return
    sure = cost.high < theirs.low
    sentence = remedies.WHY_CHEAPEST if sure else remedies.WHY_CHEAPEST_HARDLY
    yield sentence(names=second.row.variant, picked=picked.row.variant, ms=time_ms(theirs.estimate - cost.estimate))


def _room(context: Context) -> Iterator[Step]:
    """Where a server lacks room: more of it for all pods, or else what spares the server or one workload."""
    if not context.in_lab:
        rate, less = context.run.plan.loads[0].rate_per_s, "NUMBER"
        sent = str(remedies.OWN_LOAD_CLOSED)
        if rate:
            at_a_time = forecast(context.run.plan, context.run.targets).peak_lookups_per_s or rate
            sent, less = remedies.OWN_LOAD_MORE(all=f"{at_a_time:,.0f} lookups/s", rate=f"{rate:g}"), f"{rate / 4:g}"
        plan = shlex.quote(f"{run_path(context)}/plan.yaml")
        yield Step(str(remedies.OWN_LOAD), [sent, _shell(f"dnslab run {plan} --report --rate {less}")])
    look = _shell(f"{_KUBECTL} get deploy coredns")
    scale = _shell(f"{_KUBECTL} scale deploy/coredns --replicas=NUMBER")
    room: list[str | Code] = [str(remedies.SERVERS_ROOM_MORE), look, str(remedies.SERVERS_ROOM_SCALE), scale]
    yield Step(str(remedies.SERVERS_ROOM), room)
    yield Step(str(remedies.FEWER_QUERIES), [str(remedies.FEWER_QUERIES_MORE), *_cache()])
    libc = context.libcs[0]
    best = recommended(context.rows(libc), context.variants)
    if best and not context.variants[best.row.variant].node_local:
        workload = workload_of(context.run)
        fix = f"dnslab fix --variant {shlex.quote(best.row.variant)} \\\n  --workload {workload.reference}"
        blocks: list[str | Code] = [str(remedies.INSTEAD_ONE_MORE), _shell(f"{fix} --namespace {workload.namespace}")]
        yield Step(remedies.INSTEAD_ONE(name=best.row.variant), blocks)
    yield _measure_again(context)


def _of_cause(context: Context) -> Iterator[Step]:
    """What removes the cause that was found, and how to see that it is gone."""
    cause = context.findings.diagnosis.leading
    if cause and cause.remedy and not cause.emulated:
        again = _shell(cause.remedy.command)
        yield Step(cause.remedy.change, [f"{cause.remedy.detail} {why.REMEDY_VERIFY}", again])


def _look(context: Context) -> Iterator[Step]:
    """Where no remedy is shown."""
    state = context.findings.verdict.state
    yield from _of_cause(context)
    if state in ("slow", "delayed"):
        yield from _where_it_is_slow(context)
        return
    if state in ("failing", "partial"):
        yield Step(str(remedies.LOOK_AT_SERVERS), [str(remedies.LOOK_AT_SERVERS_MORE), _shell(SERVERS, LOGS)])
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
    usage = f"{_KUBECTL} top pods -l k8s-app=kube-dns"
    yield Step(str(remedies.LOOK_AT_SERVERS), [str(remedies.SLOW_SERVERS_MORE), _shell(usage, LOGS)])
    yield _measure_again(context)


def _again(context: Context) -> Iterator[Step]:
    """What a void run asks for: its own plan again, with what its checks advise; and what is changed is said."""
    void = voids(context.findings.vetoes)
    plan = context.run.plan
    command, changes = f"dnslab run {shlex.quote(f'{run_path(context)}/plan.yaml')}", []
    rate = plan.loads[0].rate_per_s
    if rate and len(plan.loads) == 1 and any("--rate" in veto.advice for veto in void):
        command += f" --rate {rate / 2:g}"
        changes.append(str(remedies.AT_HALF_RATE))
    if plan.rounds < MIN_ROUNDS:
        command += f" --rounds {MIN_ROUNDS}"
        changes.append(remedies.WITH_ROUNDS(rounds=counted(MIN_ROUNDS, "round")))
    end = ""
    if "baseline" not in plan.variants:
        end = f" \\\n  --variants {','.join(['baseline', *plan.variants])}"
        changes.append(str(remedies.WITH_BASELINE))
    same = remedies.MEASURE_AGAIN_BUT(changes=listed(changes)) if changes else str(remedies.MEASURE_AGAIN_SAME)
    text = f"{remedies.MEASURE_AGAIN_VOID} {same}" if void else same
    yield Step(str(remedies.MEASURE_AGAIN), [text, _shell(f"{command} \\\n  --report{end}")])


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
