"""What a plan may not ask of the DNS of a cluster, which others use too."""

from __future__ import annotations

from dnslab.sentences import Sentence

WHERE = Sentence("on {targets}, with {variants}", targets="4 targets", variants="6 configurations")
RATE = Sentence(
    "the plan makes up to {rate} lookups/s at once ({where}), but a cluster allows {most}: lower --rate, or set "
    "--max-rate {wanted}",
    rate="2,001",
    where="on 4 targets, with 6 configurations",
    most="2,000",
    wanted="2001",
)
WORKERS = Sentence(
    "the plan runs up to {workers} closed-loop workers at once ({where}), but a cluster allows {most}: lower -c, or "
    "set --max-workers {wanted}",
    workers="1,004",
    where="on 1 target, with 2 configurations",
    most="1,000",
    wanted="1004",
)
LOOKUPS = Sentence(
    "the plan makes up to {lookups} lookups in total ({where}), but a cluster allows {most}: lower --rate, -d or "
    "--rounds, or set --max-total {wanted}",
    lookups="6,000,000",
    where="on 4 targets, with 6 configurations",
    most="5,000,000",
    wanted="6000000",
)
OUTSIDE = Sentence(
    "{name} is a name outside the cluster: it resolves as {absolute}, and the cluster's domain is {zone}. Its lookups "
    "would load the nameservers of others. If that is allowed, use --allow-external",
    name="'example.test'",
    absolute="example.test.",
    zone="cluster.local",
)
