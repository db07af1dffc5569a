"""corefile: what a Corefile says of zones, and what a node-local cache would pass by."""

from __future__ import annotations

import pytest

from dnslab.measure.kubernetes.corefile import cluster_zones, imports, parse_corefile, passed_by, stub_domains

COREFILE = """\
# the cluster's
cluster.local:53 example.test {  # two zones
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 30
    }
    template IN A any.cluster.local {
        answer "{{ .Name }} 30 IN A 192.0.2.1"
    }
    autopath @kubernetes
    cache {
        success 9984 30
        denial 9984 5
    }
    loop
}
.:53 {
    import custom/*.override
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
}
"""


def test_corefile() -> None:
    own, rest = parse_corefile(COREFILE)
    assert own["zones"] == ["cluster.local:53", "example.test"]
    assert own["plugins"] == ["errors", "kubernetes", "template", "autopath", "cache", "loop"]
    assert own["settings"] == {
        "kubernetes": ["cluster.local in-addr.arpa ip6.arpa", "pods insecure", "ttl 30"],
        "template": ["IN A any.cluster.local", 'answer "{{ .Name }} 30 IN A 192.0.2.1"'],
        "autopath": ["@kubernetes"],
        "cache": ["", "success 9984 30", "denial 9984 5"],
    }
    assert rest["plugins"] == ["import", "forward"]
    assert rest["settings"] == {
        "import": ["custom/*.override"],
        "forward": [". /etc/resolv.conf", "max_concurrent 1000"],
    }


@pytest.mark.parametrize(
    ("corefile", "expected"),
    [
        (COREFILE, ["cluster.local"]),
        (".:53 {\n  kubernetes k8s.test. in-addr.arpa\n}", ["k8s.test"]),
        ("in-addr.arpa k8s.test:53 {\n  kubernetes {\n    ttl 5\n  }\n}", ["k8s.test"]),
        (".:53 {\n  kubernetes in-addr.arpa\n}", []),
        (".:53 {\n  forward . 192.0.2.1\n}", []),
        ("", []),
    ],
)
def test_zones(corefile: str, expected: list[str]) -> None:
    assert cluster_zones(parse_corefile(corefile)) == expected


TWO = """\
.:53 {
    kubernetes prod.example cluster.local in-addr.arpa ip6.arpa {
    }
    rewrite name exact api.corp.example api.shop.svc.cluster.local
    rewrite stop name a.example b.example
    hosts /etc/hosts.extra more.example {
        fallthrough
    }
    import /etc/coredns/custom/*.override
    forward . /etc/resolv.conf
}
corp.example:53 dns://lab.example {
    forward . 10.0.0.53 10.0.0.54
}
import /etc/coredns/custom/*.server
"""


def test_what_a_cache_has_to_know() -> None:
    blocks = parse_corefile(TWO)
    assert cluster_zones(blocks) == ["prod.example", "cluster.local"]
    assert stub_domains(blocks) == {name: ["10.0.0.53", "10.0.0.54"] for name in ("corp.example", "lab.example")}
    assert passed_by(blocks) == [
        "rewrite name exact api.corp.example api.shop.svc.cluster.local (in .:53)",
        "hosts /etc/hosts.extra more.example (in .:53)",
    ]
    assert imports(blocks) == ["/etc/coredns/custom/*.override", "/etc/coredns/custom/*.server"]
