"""Hard days: what goes wrong around a run, through the real command line. Each ends with the right result or one line.

docs/hard-days.md is the table of what is tried here. Signals, limits and mounts are real; only a clock that somebody
sets is a function of Python, in the process that is tested.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import summarise
from dnslab.analyse.timeline import run_slices
from dnslab.explain.validity import find_vetoes
from dnslab.explain.veto import Veto
from tests.cli.test_cli import DNSLAB, wait_for
from tests.measure.test_lab import gone_within, leftovers
from tests.nameserver import Nameserver, nameserver
from tests.nobody import NOBODY, ROOT, as_nobody

NAME = "--name=web.any.cluster.local."
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def server() -> Iterator[Nameserver]:
    with nameserver() as running:
        yield running


@pytest.fixture
def marker(request: pytest.FixtureRequest) -> Iterator[str]:
    """Stands in the environment of what a test starts. Afterwards nothing is left of that."""
    mark = f"hard-{os.getpid()}-{time.time_ns()}"
    os.environ["DNSLAB_TEST_MARK"] = mark
    yield mark
    del os.environ["DNSLAB_TEST_MARK"]
    assert gone_within(mark, 3.0), leftovers(mark)


pytestmark = [pytest.mark.probe, pytest.mark.usefixtures("marker")]


def local(server: Nameserver, *more: str, out: str = "out") -> list[str]:
    """A run of two seconds on this machine; options given later win."""
    where = ["run", "--backend", "local", "--nameserver", f"127.0.0.1:{server.port}", NAME, "--out", out]
    return [*where, "-d", "1", "--rounds", "1", "--variants", "baseline", "--rate", "50", *more]


def call(argv: Sequence[str], cwd: Path, **environment: str) -> Done:
    """Run to the end; an empty value takes a variable out of the environment."""
    env = {key: value for key, value in {**os.environ, **environment}.items() if value}
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd, env=env, timeout=90, check=False)


def under(script: str, arguments: Sequence[str], cwd: Path, enter: Sequence[str] = (), **environment: str) -> Done:
    """The command line below a shell that first does ``script``."""
    return call([*enter, "sh", "-c", f'{script}\nexec "$@"', "sh", *DNSLAB, *arguments], cwd, **environment)


def start(argv: Sequence[str], cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def error_line(done: Done) -> str:
    """The one line of stderr beside those of progress."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("trial ", "stopping, "))]
    assert len(lines) == 1, done
    return lines[0]


def ended(process: subprocess.Popen[str], timeout_s: float = 30) -> Done:
    out, error = process.communicate(timeout=timeout_s)
    return Done(process.args, process.returncode, out, error)


def probes(marker: str) -> list[int]:
    """Process numbers of the probes that carry ``marker``."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes() and path.with_name("exe").readlink().name.startswith("probe-"):
                pids.append(int(path.parent.name))
    return pids


def stopped_for(pids: Sequence[int], seconds: float) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def vetoes(run: Run) -> dict[str, Veto]:
    return {veto.name: veto for veto in find_vetoes(run, summarise(run))}


def whole(folder: Path) -> Run:
    run = open_run(folder)
    assert run.problems == []
    return run


# --- stopped in the middle


@pytest.mark.parametrize(
    ("load", "stop_s"),
    [(["--rate", "50"], 20.0), (["-c", "3", "--loop", "fixed"], 2.0)],
    ids=["50 a second", "few workers"],
)
def test_a_probe_that_is_stopped_voids_its_trial(
    load: list[str], stop_s: float, server: Nameserver, marker: str, tmp_path: Path
) -> None:
    process = start([*DNSLAB, *local(server, *load, "-d", "2")], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(1.0)
    stopped_for(probes(marker), stop_s)
    assert ended(process).returncode == 0
    veto = vetoes(whole(tmp_path / "out"))["probe stood still"]
    assert veto.severity == "void"
    length = re.search(r"was stopped for ([\d.]+) s", veto.seen)
    assert length
    assert float(length[1]) == pytest.approx(stop_s, abs=0.5)


def test_a_closed_loop_that_is_stopped_is_void_too(server: Nameserver, marker: str, tmp_path: Path) -> None:
    """It has no schedule to be late on."""
    argv = local(server, "-d", "2")
    del argv[argv.index("--rate") : argv.index("--rate") + 2]
    process = start([*DNSLAB, *argv, "-c", "2"], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(1.0)
    stopped_for(probes(marker), 2.0)
    assert ended(process).returncode == 0
    run = whole(tmp_path / "out")
    assert run.lookups()["slow"].sum() >= 1
    assert vetoes(run)["probe stood still"].severity == "void"


@pytest.mark.lab
def test_stalled_lookups_that_are_stopped_are_void(marker: str, tmp_path: Path) -> None:
    argv = ["run", NAME, "--fault", "race:p=0.5", "--target", "glibc", "--variants", "baseline", "--rounds", "1"]
    process = start([*DNSLAB, *argv, "-d", "3", "--rate", "30", "--out", "out"], tmp_path)
    wait_for(tmp_path, "out/trials/0001/glibc.dnsr")
    time.sleep(2.0)
    pids = probes(marker)
    assert pids
    stopped_for(pids, 2.0)
    assert ended(process, 60).returncode == 0
    run = whole(tmp_path / "out")
    assert summarise(run).measured()[0].stalls > 5
    assert vetoes(run)["probe stood still"].severity == "void"


def test_dnslab_stopped_in_mid_trial_changes_nothing(server: Nameserver, tmp_path: Path) -> None:
    """Longer than the probe waits for the acknowledgement of a trial that ended meanwhile."""
    process = start([*DNSLAB, *local(server)], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(0.6)
    stopped_for([process.pid], 20.0)
    assert ended(process).returncode == 0
    run = whole(tmp_path / "out")
    assert len(run.lookups()) > 30
    assert {"probe stood still", "output blocked"}.isdisjoint(vetoes(run))


STOPS_ITSELF = """
import os, signal, time
from dnslab.measure.conversation import Conversation
go, calls = Conversation.go, []
def stopped_go(self, start_ns):
    calls.append(self)
    if len(calls) == 2:  # the first is that of the lookups before the run
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.05)  # it may not be this thread that takes the signal, and then all stop a moment later
    go(self, start_ns)
Conversation.go = stopped_go
from dnslab.cli import main
main()
"""


def test_dnslab_stopped_right_before_the_start_instant(server: Nameserver, tmp_path: Path) -> None:
    """The instant was set already, and all lookups of the trial would have been due at once."""
    process = start([sys.executable, "-c", STOPS_ITSELF, *local(server)], tmp_path)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(3.0)
    process.send_signal(signal.SIGCONT)
    done = ended(process)
    assert done.returncode == 4
    line = error_line(done)
    assert line.startswith("error: incomplete trials: 1 of 1 (baseline, round 1: the probe was started ")
    assert line.endswith(
        "s late, because dnslab was stopped or this machine is too slow). `dnslab run --resume out` measures them again"
    )


# --- ended from outside


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_ended_by_a_signal(number: signal.Signals, server: Nameserver, tmp_path: Path) -> None:
    process = start([*DNSLAB, *local(server, "-d", "5")], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(1.2)
    process.send_signal(number)
    done = ended(process, 5)
    assert done.returncode == 130
    assert (
        error_line(done) == "interrupted after 0 of 1 trial; all is kept: `dnslab run --resume out` continues the run"
    )
    run = open_run(tmp_path / "out")
    assert [client.status for client in run.clients()] == ["stopped"]
    assert len(run.lookups()) > 10


@pytest.mark.lab
def test_a_closed_terminal_ends_the_lab(tmp_path: Path) -> None:
    """The fixture sees that nothing of it is left."""
    process = start([*DNSLAB, "run", NAME, "--rounds", "1", "--variants", "baseline", "--out", "out"], tmp_path)
    wait_for(tmp_path, "out/trials/0001/glibc.dnsr")
    process.send_signal(signal.SIGHUP)
    done = ended(process, 10)
    assert done.returncode == 130
    assert "interrupted after 0 of 1 trial;" in error_line(done) or "interrupted after 0 of 2 trials" in error_line(
        done
    )


def test_nohup_is_heeded(server: Nameserver, tmp_path: Path) -> None:
    process = start(["nohup", *DNSLAB, *local(server)], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    process.send_signal(signal.SIGHUP)
    assert ended(process).returncode == 0
    whole(tmp_path / "out")


def test_a_second_signal_does_not_wait_for_lookups(server: Nameserver, tmp_path: Path) -> None:
    """The nameserver falls silent, so that each lookup would take 10 s."""
    process = start([*DNSLAB, *local(server, "-d", "5")], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(1.0)
    server.rule = lambda rdtype, port, seen: False
    time.sleep(0.5)
    process.terminate()
    time.sleep(0.5)
    process.terminate()
    done = ended(process, 6)
    assert done.returncode == 130
    assert "interrupted after 0 of 1 trial; all is kept" in error_line(done)
    assert len(open_run(tmp_path / "out").lookups()) > 10


def test_killed_and_resumed(server: Nameserver, tmp_path: Path) -> None:
    process = start([*DNSLAB, *local(server, "--rounds", "2")], tmp_path)
    wait_for(tmp_path, "out/trials/0002/here.dnsr")
    time.sleep(0.5)
    process.kill()
    assert ended(process).returncode == -signal.SIGKILL
    done = call([*DNSLAB, "run", "--resume", "out"], tmp_path)
    assert (done.returncode, done.stdout) == (0, "run: out\n")
    run = whole(tmp_path / "out")
    assert [client.attempt for client in run.clients()] == [1, 2]
    slices = run_slices(run)
    assert slices["start_s"].is_monotonic_increasing
    assert "wall clock moved" not in vetoes(run)


def test_a_killed_probe_is_one_trial(server: Nameserver, marker: str, tmp_path: Path) -> None:
    process = start([*DNSLAB, *local(server)], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(0.6)
    for pid in probes(marker):
        os.kill(pid, signal.SIGKILL)
    done = ended(process)
    assert done.returncode == 4
    assert "incomplete trials: 1 of 1 (baseline, round 1: the probe ended without its trailer" in error_line(done)


# --- two at once


def test_runs_of_one_second_have_a_folder_each(server: Nameserver, tmp_path: Path) -> None:
    argv = local(server)
    del argv[argv.index("--out") : argv.index("--out") + 2]
    both = [start([*DNSLAB, *argv, "--run-name", name], tmp_path) for name in ("same", "same", "another")]
    folders = []
    for process in both:
        done = ended(process)
        assert done.returncode == 0, done
        folders.append(tmp_path / done.stdout.removeprefix("run: ").strip())
    assert len(set(folders)) == 3
    for folder in folders:
        whole(folder)
    assert open_run("latest", tmp_path / "results").path == max(folders, key=lambda path: path.stat().st_ctime_ns)


def test_a_run_that_goes_on_is_not_resumed(server: Nameserver, tmp_path: Path) -> None:
    process = start([*DNSLAB, *local(server, "-d", "30")], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    before = sorted(tmp_path.rglob("*"))
    done = call([*DNSLAB, "run", "--resume", "out"], tmp_path)
    assert done.returncode == 2
    assert error_line(done) == "error: another dnslab process is writing to out: wait until it has ended"
    assert sorted(tmp_path.rglob("*")) == before
    process.terminate()
    assert ended(process).returncode == 130


def test_a_run_folder_that_is_removed(server: Nameserver, tmp_path: Path) -> None:
    process = start([*DNSLAB, *local(server, "--rounds", "2")], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(0.6)
    shutil.rmtree(tmp_path / "out")
    done = ended(process)
    assert done.returncode == 4
    assert "out/trials/0001 cannot be written (No such file or directory)" in error_line(done)
    assert "the run folder was removed" in error_line(done)
    assert list(tmp_path.iterdir()) == []


# --- limits


def test_few_open_files_are_enough_for_few_workers(server: Nameserver, tmp_path: Path) -> None:
    done = under("ulimit -n 64", local(server, "-c", "20"), tmp_path)
    assert done.returncode == 0, done
    assert set(whole(tmp_path / "out").lookups()["outcome"]) == {"answered"}


def test_a_soft_limit_is_raised(server: Nameserver, tmp_path: Path) -> None:
    """Of the lookups of 200 workers, nearly all found no socket, and counted as failures of DNS."""
    argv = local(server)
    del argv[argv.index("--rate") : argv.index("--rate") + 2]
    done = under("ulimit -S -n 64", [*argv, "-c", "200"], tmp_path)
    assert done.returncode == 0, done
    assert set(whole(tmp_path / "out").lookups()["outcome"]) == {"answered"}


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "run"])
@pytest.mark.parametrize("backend", ["lab", "local"])
def test_too_few_open_files_are_refused(backend: str, dry: list[str], server: Nameserver, tmp_path: Path) -> None:
    argv = local(server, "-c", "200", *dry) if backend == "local" else ["run", NAME, "--out", "out", *dry]
    # Without the right to raise a hard limit, which root may have.
    enter = ["setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"] if os.geteuid() == 0 else []
    done = under("ulimit -n 64", argv, tmp_path, enter=enter)
    assert (done.returncode, done.stdout) == (3, "")
    assert "open files, but only 64 are allowed here: raise the limit (`ulimit -n " in error_line(done)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_file_sizes_ends_the_run(server: Nameserver, tmp_path: Path) -> None:
    done = under("ulimit -f 32", local(server, "-d", "3", "--rate", "200"), tmp_path)
    assert done.returncode == 4
    assert "out/trials/0001/here.dnsr cannot be written (File too large)" in error_line(done)
    assert "`dnslab run --resume out` continues the run" in error_line(done)
    assert len(open_run(tmp_path / "out").lookups()) > 0


@ROOT
@pytest.mark.parametrize("n_processes", [2, 4, 8, 30])
def test_few_processes(n_processes: int, server: Nameserver, tmp_path: Path) -> None:
    """Threads count as processes: of dnslab, and of each probe."""
    argv = ["prlimit", f"--nproc={n_processes}", *DNSLAB, *local(server, "--variants", "baseline,single-request")]
    done = as_nobody(argv, tmp_path)
    assert done.returncode in (3, 4), done
    assert error_line(done).startswith("error: ")
    if (tmp_path / "out").exists():
        assert "`dnslab run --resume out` " in error_line(done)
        assert open_run(tmp_path / "out").problems


@ROOT
@pytest.mark.lab
def test_a_user_without_rights_has_a_lab(tmp_path: Path) -> None:
    argv = [*DNSLAB, "run", NAME, "-d", "1", "--rounds", "1", "--variants", "baseline", "--rate", "50", "--out", "out"]
    done = as_nobody([*argv, "--target", "glibc"], tmp_path)
    assert done.returncode == 0, done
    run = whole(tmp_path / "out")
    assert run.environment.backend.rootless
    assert set(run.lookups()["outcome"]) == {"answered"}


#: in a chroot nobody may make a user namespace (user_namespaces(7))
NO_USER_NAMESPACES = [
    *("sh", "-c", 'mkdir /mnt/all && mount --rbind / /mnt/all && exec chroot /mnt/all env -C /srv "$@"', "sh", *NOBODY)
]


@ROOT
@pytest.mark.lab
def test_a_user_without_rights_and_user_namespaces(tmp_path: Path) -> None:
    done = as_nobody([*DNSLAB, "run", NAME, "--out", "out"], tmp_path, NO_USER_NAMESPACES)
    assert (done.returncode, done.stdout) == (3, "")
    assert (
        "error: no permission for namespaces (unshare: unshare failed: Operation not permitted): run as root"
        in error_line(done)
    )
    assert not (tmp_path / "out").exists()
    done = as_nobody([*DNSLAB, "doctor"], tmp_path, NO_USER_NAMESPACES)
    assert done.returncode == 3
    assert "MISSING  lab: no permission for namespaces" in done.stdout
    assert error_line(done) == "error: this machine cannot run the lab: see what is missing above"


LITTLE_MEMORY = ["prlimit", f"--as={300 << 20}"]


@pytest.mark.parametrize("mib", [40, 60, 80, 300])
def test_little_address_space_to_measure(mib: int, server: Nameserver, tmp_path: Path) -> None:
    done = call(["prlimit", f"--as={mib << 20}", *DNSLAB, *local(server, "-c", "5")], tmp_path)
    if done.returncode:
        assert done.returncode in (3, 4), done
        assert error_line(done).startswith("error: ")
    else:
        whole(tmp_path / "out")


@pytest.mark.parametrize("command", ["summary", "report"])
def test_little_address_space_to_read(command: str, server: Nameserver, tmp_path: Path) -> None:
    assert call([*DNSLAB, *local(server)], tmp_path).returncode == 0
    before = sorted(tmp_path.rglob("*"))
    done = call([*LITTLE_MEMORY, *DNSLAB, command, "out"], tmp_path)
    if done.returncode:  # how much it takes is numpy's and pandas' affair
        assert done.returncode == 3, done
        assert error_line(done) == "error: there is too little free memory: free some of it"
        assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group of 300 MB, of either version of control groups."""
    groups = (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"))
    for parent, limit in groups:
        group = Path(parent, f"dnslab-test-{os.getpid()}")
        if not Path(parent, "cgroup.procs").exists() or not os.access(parent, os.W_OK):
            continue
        group.mkdir()
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(300 << 20))
                yield group
                return
        finally:
            deadline = time.monotonic() + 5
            while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
            group.rmdir()
    pytest.skip("needs a memory control group that can be written to")


def test_little_memory(little_memory: Path, server: Nameserver, tmp_path: Path) -> None:
    enter = f"echo $$ >{little_memory}/cgroup.procs"
    done = under(enter, local(server, "--variants", "baseline,single-request"), tmp_path)
    assert done.returncode == 0, done
    whole(tmp_path / "out")
    done = under(enter, ["summary", "out"], tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done


@pytest.mark.notebook
def test_little_memory_for_a_report(little_memory: Path, server: Nameserver, tmp_path: Path) -> None:
    assert call([*DNSLAB, *local(server)], tmp_path).returncode == 0
    done = under(f"echo $$ >{little_memory}/cgroup.procs", ["report", "out"], tmp_path)
    if done.returncode:
        assert done.returncode == 3, done
        assert "the report was ended from outside, as a system does that is short of memory" in error_line(done)


# --- a machine that is not as usual


@ROOT
@pytest.mark.parametrize(
    "missing",
    [
        "mount -t tmpfs tmpfs /proc/$$/net",
        "mount --bind /dev/null /proc/cpuinfo",
        "mount -t tmpfs tmpfs /proc",
    ],
)
def test_parts_of_proc_are_missing(missing: str, server: Nameserver, tmp_path: Path) -> None:
    done = under(missing, local(server), tmp_path, enter=["unshare", "--mount"])
    assert done.returncode == 0, done
    assert set(whole(tmp_path / "out").lookups()["outcome"]) == {"answered"}


def test_an_environment_without_what_is_usual(server: Nameserver, tmp_path: Path) -> None:
    odd = {"HOME": "", "TMPDIR": "/nonexistent", "LANG": "", "TERM": "", "USER": ""}
    done = under("umask 077", local(server), tmp_path, **odd)
    assert done.returncode == 0, done
    assert (tmp_path / "out" / "plan.yaml").stat().st_mode & 0o777 == 0o600
    done = under("umask 077", ["summary", "out"], tmp_path, **odd)
    assert (done.returncode, done.stderr) == (0, "")


ASCII = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def test_a_terminal_that_knows_ascii_only(server: Nameserver, tmp_path: Path) -> None:
    folder = "l\u00e4uft"
    done = call([*DNSLAB, *local(server, out=folder)], tmp_path, **ASCII)
    assert done.returncode == 0, done
    assert done.stdout.isascii()
    done = call([*DNSLAB, "summary", folder], tmp_path, **ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "baseline" in done.stdout
    assert call([*DNSLAB, "summary", folder, "--format", "csv"], tmp_path, **ASCII).returncode == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_standard_files_that_are_closed_or_full(closed: str, server: Nameserver, tmp_path: Path) -> None:
    done = call(["sh", "-c", f'"$@" {closed}', "sh", *DNSLAB, *local(server)], tmp_path)
    assert done.returncode == 0, done
    assert set(whole(tmp_path / "out").lookups()["outcome"]) == {"answered"}


@pytest.mark.parametrize("command", [["variants"], ["run", "--dry-run"], ["lab", "faults"], ["--help"]])
def test_output_that_cannot_be_written_is_no_verdict(command: list[str], tmp_path: Path) -> None:
    done = call(["sh", "-c", '"$@" >/dev/full', "sh", *DNSLAB, *command], tmp_path)
    assert (done.returncode, error_line(done)) == (3, "error: no space left on device")


def test_a_run_whose_output_cannot_be_written_is_kept(server: Nameserver, tmp_path: Path) -> None:
    done = call(["sh", "-c", '"$@" >/dev/full', "sh", *DNSLAB, *local(server)], tmp_path)
    assert (done.returncode, error_line(done)) == (3, "error: no space left on device")
    whole(tmp_path / "out")


def test_a_current_folder_that_has_gone(server: Nameserver, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = under('rmdir "$PWD"', local(server), tmp_path / "gone")
    assert done.returncode == 2
    assert "No such file or directory" in error_line(done)


# --- time

STEPPED = """
import sys, time
from pathlib import Path
real, real_ns, step_s = time.time, time.time_ns, float(sys.argv.pop(1))
def moved():
    return step_s if list(Path("out").glob("trials/0001/*.end.json")) else 0
time.time = lambda: real() + moved()
time.time_ns = lambda: real_ns() + round(moved() * 1e9)
from dnslab.cli import main
main()
"""


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_wall_clock_that_is_set(step_s: int, server: Nameserver, tmp_path: Path) -> None:
    """It was set after the first round: round 2 was placed an hour before round 1, or after it."""
    done = call([sys.executable, "-c", STEPPED, str(step_s), *local(server, "--rounds", "3")], tmp_path)
    assert done.returncode == 0, done
    run = whole(tmp_path / "out")
    slices = run_slices(run)
    assert slices["round"].tolist() == [1, 2, 3]
    assert slices["start_s"].is_monotonic_increasing
    assert slices["end_s"].max() < 30
    veto = vetoes(run)["wall clock moved"]
    assert veto.severity == "note"
    assert f"The wall clock jumped {'forward' if step_s > 0 else 'back'} by 3,600 s" in veto.seen


# --- names and places

ODD = "a b\n'\u00fc\"$(touch X)`\\"


def test_a_folder_of_any_name(server: Nameserver, tmp_path: Path) -> None:
    done = call([*DNSLAB, *local(server, out=ODD)], tmp_path)
    assert done.returncode == 0, done
    whole(tmp_path / ODD)
    for argv in (["export", ODD, "--out", f"{ODD}.csv"], ["bundle", ODD, "--out", f"{ODD}.zip"]):
        done = call([*DNSLAB, *argv], tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done
    assert call([*DNSLAB, "summary", f"{ODD}.zip"], tmp_path).returncode == 0
    assert not list(tmp_path.rglob("X"))


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash: `apt-get install bash`")
def test_the_command_that_goes_on_can_be_pasted(server: Nameserver, tmp_path: Path) -> None:
    process = start([*DNSLAB, *local(server, out=ODD)], tmp_path)
    wait_for(tmp_path, "*/trials/0001/here.dnsr")
    time.sleep(0.6)
    process.terminate()
    line = error_line(ended(process))
    command = line.rsplit(": `", 1)[1].removesuffix("` continues the run")
    advice = call([*DNSLAB, "summary", ODD], tmp_path).stdout
    assert "".join(command.split()) in "".join(advice.split())
    (tmp_path / "dnslab").write_text('#!/bin/sh\nexec "$PYTHON" -c "from dnslab.cli import main; main()" "$@"\n')
    (tmp_path / "dnslab").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = call(["bash", "-c", command], tmp_path, PATH=path, PYTHON=sys.executable)
    assert done.returncode == 0, done
    whole(tmp_path / ODD)
    assert not list(tmp_path.rglob("X"))


def test_a_bundle_is_not_resumed(server: Nameserver, tmp_path: Path) -> None:
    """The folder that it is unpacked to goes with the command."""
    process = start([*DNSLAB, *local(server)], tmp_path)
    wait_for(tmp_path, "out/trials/0001/here.dnsr")
    time.sleep(0.6)
    process.terminate()
    ended(process)
    assert call([*DNSLAB, "bundle", "out", "--out", "out.zip"], tmp_path).returncode == 0
    shown = call([*DNSLAB, "summary", "out.zip"], tmp_path).stdout
    assert "trials missing" in shown
    assert "--resume" not in shown


def test_names_as_long_as_a_file_system_takes(server: Nameserver, tmp_path: Path) -> None:
    name = "\u00fc" * 126 + "xyz"  # 255 bytes
    done = call([*DNSLAB, *local(server, out=name)], tmp_path)
    assert done.returncode == 0, done
    whole(tmp_path / name)
    done = call([*DNSLAB, "bundle", name], tmp_path)  # by default of a name with a suffix
    assert done.returncode == 3
    assert "file name too long" in error_line(done).lower()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_as_long_as_a_system_takes(server: Nameserver, tmp_path: Path) -> None:
    deep = tmp_path
    while len(str(deep)) < 3700:
        deep = deep / ("d" * 100)
    done = call([*DNSLAB, *local(server, out=str(deep))], tmp_path)
    assert done.returncode == 0, done
    whole(deep)
    before = sorted(tmp_path.rglob("*"))
    done = call([*DNSLAB, *local(server, out=str(deep / ("d" * 250) / ("e" * 100)))], tmp_path)
    assert done.returncode == 2
    assert "File name too long" in error_line(done)
    assert sorted(tmp_path.rglob("*")) == before
