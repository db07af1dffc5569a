"""Compiles Kubernetes and CoreDNS from their Go modules: no release binary is downloaded, none is committed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

KUBERNETES = "v1.35.4"
COREDNS = "v1.14.7"
COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")


def build(root: Path) -> Path:
    """The folder with all programs, compiling those that are missing (about six minutes on two cores)."""
    programs, work = root / "bin", root / "build"
    work.mkdir(parents=True, exist_ok=True)
    programs.mkdir(exist_ok=True)
    if any(not (programs / command).exists() for command in COMMANDS):
        _kubernetes(work, programs)
    if not (programs / "coredns").exists():
        began = time.monotonic()
        flags = ("-trimpath", "-gcflags=all=-dwarf=false", "-ldflags=-s -w")
        _go(root, programs, "install", *flags, f"github.com/coredns/coredns@{COREDNS}")
        _said("coredns", began)
    return programs


def _kubernetes(work: Path, programs: Path) -> None:
    """k8s.io/kubernetes replaces its staging modules by folders, so `go install` refuses it: require it from a module
    that replaces them by the published ones."""
    for old in ("go.mod", "go.sum"):
        (work / old).unlink(missing_ok=True)
    _go(work, programs, "mod", "init", "cluster")
    about = json.loads(_go(work, programs, "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}"))
    staging = re.findall(r"(k8s\.io/[\w-]+) => \./staging", Path(about["GoMod"]).read_text(encoding="utf-8"))
    published = f"v0.{KUBERNETES.removeprefix('v1.')}"
    replaced = [f"-replace={module}={module}@{published}" for module in staging]
    _go(work, programs, "mod", "edit", f"-require=k8s.io/kubernetes@{KUBERNETES}", *replaced)
    imports = "\n".join(f'import _ "k8s.io/kubernetes/cmd/{command}"' for command in COMMANDS)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage cluster\n\n{imports}\n", encoding="utf-8")
    _go(work, programs, "mod", "tidy")
    major, minor, _ = KUBERNETES[1:].split(".")
    version = "-X k8s.io/component-base/version.git"
    flags = f"-s -w {version}Version={KUBERNETES} {version}Major={major} {version}Minor={minor}"
    began = time.monotonic()
    made = work / "made"  # a build that is cut short leaves no program
    made.mkdir(exist_ok=True)
    # All in one build: linking a program takes one core, and the next program is compiled on the other. Debugging
    # information is not made, as the linker would only strip it.
    targets = [f"k8s.io/kubernetes/cmd/{command}" for command in COMMANDS]
    _go(work, programs, "build", "-trimpath", "-gcflags=all=-dwarf=false", f"-ldflags={flags}", "-o", made, *targets)
    for command in COMMANDS:
        (made / command).replace(programs / command)
    _said("Kubernetes", began)


def _go(folder: Path, programs: Path, *arguments: str | Path) -> str:
    # Its cache outlives a clone: what a Makefile set for the clone's own caches is not for it.
    cache = programs.parent / "go-build"
    environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(programs), "GOCACHE": str(cache)}
    command = ["go", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


def _said(what: str, began: float) -> None:
    print(f"built {what} in {time.monotonic() - began:.0f} s", flush=True)
