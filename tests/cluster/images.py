"""Container images without a registry: OCI archives of programs this machine has, to be imported into each node.

glibc and musl are small userlands with busybox; distroless has glibc and no shell; static is one static program and
nothing else; coredns also holds /node-cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

REGISTRY = "dnslab.test"  # images are imported, never pulled
FOLDERS = ("tmp", "etc", "root", "proc", "sys", "dev", "run", "var")
OCI = "application/vnd.oci.image"
MACHINE = "amd64" if os.uname().machine == "x86_64" else "arm64"
FOREVER = ["/bin/sleep", "2147483647"]
BUSYBOX = Path("/bin/busybox")
IPTABLES = ("iptables", "iptables-save", "ip6tables", "ip6tables-save")

Files = Mapping[str, Path | str]


def write_all(folder: Path, programs: Path) -> list[Path]:
    """Every image as an archive in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    busybox: Files = {"bin/busybox": BUSYBOX}
    said = subprocess.run([BUSYBOX, "--list"], text=True, capture_output=True, check=True).stdout
    applets = {f"bin/{name}": "busybox" for name in said.split() if name != "busybox"}
    glibc = {**_program("/usr/bin/getent"), "etc/os-release": "ID=debian\nPRETTY_NAME=glibc test image\n"}
    libc = Path(next(path for path in glibc if path.endswith("/libc.so.6")))
    for name in ("resolv.so.2", "pthread.so.0", "dl.so.2", "m.so.6", "nss_dns.so.2", "nss_files.so.2"):
        glibc[str(libc.parent / f"lib{name}")] = libc.parent / f"lib{name}"
    musl: Files = {
        **{f"lib/{path.name}": path for path in Path("/lib").glob("ld-musl-*.so.1")},
        "etc/os-release": "ID=alpine\nPRETTY_NAME=musl test image\n",
    }
    here = Path(__file__).parent
    coredns: Files = {
        "bin/coredns": programs / "coredns",
        "node-cache": (here / "node-cache.sh").read_text(encoding="utf-8"),
        **{path.replace("/usr/sbin/", "/stand-in/"): source for path, source in _program("/usr/sbin/ip").items()},
        **{path: source for name in IPTABLES for path, source in _program(f"/usr/sbin/{name}").items()},
        **{path: source for library in _iptables_extensions() for path, source in _program(str(library)).items()},
    }
    no_ip = {path: target for path, target in applets.items() if path != "bin/ip"}  # the image of the real one has none
    return [
        _image(folder, "pause", busybox, FOREVER, applets),
        _image(folder, "glibc", {**busybox, **glibc}, FOREVER, applets),
        _image(folder, "musl", {**busybox, **musl}, FOREVER, applets),
        _image(folder, "distroless", {**glibc, "app/busybox": BUSYBOX}, ["/app/busybox", "sleep", FOREVER[1]]),
        _image(folder, "static", {"app": BUSYBOX}, ["/app", "sleep", FOREVER[1]], folders=()),
        _image(folder, "coredns", {**busybox, **coredns}, ["/bin/coredns"], no_ip),
    ]


def _iptables_extensions() -> list[Path]:
    """Libraries that iptables loads for the rules of a node-local cache, and to list those of kube-proxy."""
    return sorted(path for folder in Path("/usr/lib").glob("*/xtables") for path in folder.glob("lib*t*_*.so"))


def _program(path: str) -> dict[str, Path | str]:
    """A dynamically linked program of this machine with the libraries it loads."""
    said = subprocess.run(["ldd", path], text=True, capture_output=True, check=True).stdout
    return {path: Path(path), **{library: Path(library) for library in re.findall(r"(/\S+) \(0x", said)}}


def _image(
    folder: Path,
    name: str,
    files: Files,
    entrypoint: Sequence[str],
    links: Mapping[str, str] | None = None,
    *,
    folders: Sequence[str] = FOLDERS,
) -> Path:
    """An OCI image archive holding ``files``: path in the image -> file here, or text."""
    layer = _layer(files, links or {}, folders)
    blobs: dict[str, bytes] = {}

    def blob(kind: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    held = blob("layer.v1.tar", layer)
    config = {
        "architecture": MACHINE,
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]},
        "rootfs": {"type": "layers", "diff_ids": [held["digest"]]},
    }
    described = blob("config.v1+json", json.dumps(config).encode())
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": described, "layers": [held]}
    named = blob("manifest.v1+json", json.dumps(manifest).encode())
    annotations = {
        "io.containerd.image.name": f"{REGISTRY}/{name}:1",
        "org.opencontainers.image.ref.name": "1",
    }
    index = {"schemaVersion": 2, "manifests": [{**named, "annotations": annotations}]}
    out = folder / f"{name}.tar"
    with tarfile.open(out, "w") as tar:
        layout = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
        for path, data in {**layout, **blobs}.items():
            _add(tar, path, data)
    return out


def _layer(files: Files, links: Mapping[str, str], folders: Sequence[str]) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for folder in folders:
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(info)
        for path, source in files.items():
            _add(tar, path.lstrip("/"), source.encode() if isinstance(source, str) else source.read_bytes(), 0o755)
        for path, target in links.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return layer.getvalue()


def _add(tar: tarfile.TarFile, path: str, data: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))
