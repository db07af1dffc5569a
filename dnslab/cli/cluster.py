"""What prepares a cluster, changes it or cleans up in it: ``manifests``, ``fix``, ``node-cache``, ``clean``."""

from __future__ import annotations

import sys
from typing import Any

import click

from dnslab.errors import Interrupted, UsageError
from dnslab.sentences import terminal as said
from dnslab.text import counted, echo, echo_text, first_of

_CONTEXT = click.option("--context", metavar="NAME", help="Context of the kubeconfig (default the current one).")


@click.group()
def manifests() -> None:
    """Print what a cluster needs before a run, as YAML."""


@manifests.command()
@click.option("--namespace", default="default", show_default=True, metavar="NAME", help="Namespace for the pods.")
def rbac(namespace: str) -> None:
    """Print the rights that dnslab needs in a namespace.

    Those of each optional part come separately.
    """
    from dnslab.measure.kubernetes import rights as access

    echo(said.RIGHTS_NEEDED(namespace=namespace))
    echo_text(f"{access.role_yaml(namespace)}---")
    echo(said.RIGHTS_OPTIONAL)
    echo_text(access.cluster_role_yaml(namespace))


@click.command()
@click.option(
    "--variant",
    "variant_name",
    required=True,
    metavar="NAME",
    help="Configuration to apply. `dnslab variants` lists them.",
)
@click.option(
    "--workload",
    "reference",
    metavar="deploy/NAME",
    help="Read this workload from the cluster and keep its settings. Without it no cluster is asked.",
)
@_CONTEXT
@click.option("--namespace", metavar="NAME", help="Namespace of the workload (default that of the context).")
@click.option(
    "--libc", type=click.Choice(["glibc", "musl"]), help="C library of the workload. Shows only what holds for it."
)
def fix(variant_name: str, reference: str | None, context: str | None, namespace: str | None, libc: Any) -> None:
    """Print how to give a workload a variant. Changes nothing.

    It also says what to be careful about, and how to undo it.
    """
    from dnslab.plan.remedies import Workload, remedy
    from dnslab.plan.variants import find

    variant = find(variant_name)
    if reference is None:
        unread = Workload(context=context, namespace=namespace or Workload.namespace)
        echo_text(str(remedy(variant, unread, libc=libc)))
        return
    from dnslab.measure.kubernetes.api.client import connect
    from dnslab.measure.kubernetes.node_cache import detect as caches

    client = connect(context, namespace)
    workload = caches.read_workload(client, reference)
    dns, cache = caches.dns_and_cache(client)
    known, not_here = caches.for_remedy(variant, dns, cache)
    echo_text(str(remedy(variant, workload, known, libc, not_here=not_here)))
    for line in (said.LOOKED_AT, *dns.lines, *(cache.lines if variant.node_local else [])):
        echo(line)


@click.group(name="node-cache")
def node_cache() -> None:
    """Find, install or remove a node-local DNS cache."""


_IMAGE = click.option(
    "--image",
    metavar="IMAGE",
    help="Image of the cache (default the newest, from the registry that CoreDNS came from).",
)
_ADDRESS = click.option(
    "--address",
    metavar="ADDRESS,...",
    help="Addresses to listen on. With the cluster IP among them, every pod becomes a client.",
)
_YES = click.option("--yes", is_flag=True, help="Do it without asking.")


@node_cache.command()
@_CONTEXT
def status(context: str | None) -> None:
    """Say whether a node-local cache answers.

    It names the evidence, and what could not be seen.
    """
    from dnslab.measure.kubernetes.node_cache import detect as caches

    client = connected(context)
    dns, cache = caches.dns_and_cache(client)
    for line in (*cache.lines, *dns.lines):
        echo(line)


@node_cache.command()
@_CONTEXT
@_IMAGE
@_ADDRESS
def render(context: str | None, image: str | None, address: str | None) -> None:
    """Print the manifest that `install` would apply."""
    from dnslab.measure.kubernetes.api.client import connect
    from dnslab.measure.kubernetes.node_cache import install as node_cache_install

    echo_text(node_cache_install.render(connect(context), image, _addresses(address)))


@node_cache.command()
@_CONTEXT
@_IMAGE
@_ADDRESS
@_YES
def install(context: str | None, image: str | None, address: str | None, yes: bool) -> None:
    """Install a node-local cache on every node.

    It shows the changes first, and waits until the cache works on each node.
    """
    from dnslab.measure.kubernetes.node_cache import install as node_cache_install

    client = connected(context)
    manifest = node_cache_install.render(client, image, _addresses(address))
    changes = node_cache_install.diff(client, manifest)
    echo_text(changes or said.NOTHING_TO_CHANGE())
    for note in node_cache_install.notes_in(manifest):
        echo(note)
    _confirm(yes or not changes, "apply this to kube-system")
    for line in node_cache_install.install(client, manifest):
        echo(line)


@node_cache.command()
@_CONTEXT
@_IMAGE
@_ADDRESS
@_YES
def remove(context: str | None, image: str | None, address: str | None, yes: bool) -> None:
    """Remove dnslab's node-local cache from each node.

    It lists the cache, its interface and its rules first.
    """
    from dnslab.measure.kubernetes.node_cache import remove as node_cache_remove

    client = connected(context)
    there = node_cache_remove.removable(client)
    if not there and not image:
        echo(said.NO_CACHE)
        return
    echo(said.CACHE_REMOVED)
    for leftover in there:
        echo(f"  {leftover}")
    asking = node_cache_remove.asking(client)
    if asking:
        echo(said.PODS_WITHOUT_DNS(pods=first_of(asking, 5)))
    _confirm(yes, "delete them")
    for line in node_cache_remove.remove(client, image, _addresses(address) if address else ()):
        echo(line)


@click.command()
@_CONTEXT
@click.option("--namespace", metavar="NAME", help="Namespace to look in (default that of the context).")
@click.option("--run", "run_id", metavar="ID", help="Remove only what this run left.")
@click.option("--in", "existing", metavar="pod/NAME|deploy/NAME|SELECTOR", help="Existing pods to clean up in, too.")
@click.option("--container", metavar="NAME", help="Container of these pods (default the pod's own, or the first).")
@_YES
def clean(run_id: str | None, existing: str | None, container: str | None, yes: bool, **where: Any) -> None:
    """Remove what earlier runs left in a cluster.

    It lists that first, and removes nothing else.

    Existing pods that were measured carry no mark, so name them with --in: their resolv.conf is restored and the probe
    is removed.
    """
    from dnslab.measure.kubernetes import cleanup as leftovers

    if container and not existing:
        raise UsageError(said.CONTAINER_NEEDS_IN())
    client = connected(**where)
    left = leftovers.find(client, run_id)
    inside = leftovers.find_inside(client, existing, container) if existing else []
    if not left and not inside:
        echo(said.NOTHING_TO_REMOVE)
        return
    for leftover in (*left, *inside):
        run = leftover.run if isinstance(leftover, leftovers.Left) else ""
        echo(f"  {said.LEFT_BY_RUN(run=run, what=str(leftover)) if run else leftover}")
    for young in leftovers.may_go_on(left):
        echo(said.MAY_RUN(run=young))
    _confirm(yes, "remove this")
    leftovers.remove(client, left)
    leftovers.remove_inside(client, inside)
    objects = counted(len(left), "object")
    pods = counted(len(inside), "pod")
    echo(said.REMOVED_INSIDE(objects=objects, pods=pods) if inside else said.REMOVED(objects=objects))


def connected(context: str | None, namespace: str | None = None) -> Any:
    """A client of the cluster, once it is printed which."""
    from dnslab.measure.kubernetes.api.client import connect

    client = connect(context, namespace)
    echo(said.CLUSTER(name=str(client)))
    return client


def _addresses(text: str | None) -> list[str]:
    from dnslab.plan.variants import NODE_LOCAL_ADDRESS

    return [address.strip() for address in (text or NODE_LOCAL_ADDRESS).split(",")]


def _confirm(yes: bool, doing: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(said.ADD_YES(doing=doing))
    try:
        agreed = click.confirm(f"{doing}?")
    except click.Abort:  # Ctrl-C or end of file leaves the cursor behind the question
        echo()
        agreed = False
    if not agreed:
        raise Interrupted(said.NOTHING_CHANGED())
