"""A small arm64 Debian for emulated programs, fetched without root, and the face each emulated processor shows them.

Programs under user-mode QEMU see the host wherever the sysroot holds nothing. LiteRT asks the system for processor, core count
and cache sizes and chooses kernels by them: left to the host, the same model would take other instructions elsewhere. So the sysroot
answers all of it. Without ``/proc/cpuinfo`` of an Arm processor LiteRT 2.3 under QEMU 7.2 does not even start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.errors import DeviceUnavailable
from edgekit_runtimes import _cache

SUITE, ARCHITECTURE = "bookworm", "arm64"
PACKAGES = ("libc6", "libgcc-s1", "libstdc++6")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "EDGEKIT_DEBIAN_MIRROR"
VERSIONS = "versions"
_ADVICE = f"give this machine access to a Debian mirror once, and name it in {MIRROR}"
TIMEOUT = 600.0

_V8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = f"{_V8[:-6]} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Processor:
    """A named CPU of QEMU's, as Linux on a board of its kind presents it.

    Attributes:
        part: Primary part number, of MIDR_EL1.
        variant: Major revision.
        revision: Minor revision.
        features: As ``/proc/cpuinfo`` lists them.
        l2_kib: Level 2 cache that one core sees, of a common board.
        board: What that is.
    """

    part: int
    variant: int
    revision: int
    features: str
    l2_kib: int
    board: str

    @property
    def cpuinfo(self) -> str:
        """``/proc/cpuinfo``."""
        rows = {
            "processor\t": "0",
            "BogoMIPS\t": "100.00",
            "Features\t": self.features,
            "CPU implementer\t": "0x41",
            "CPU architecture": "8",
            "CPU variant\t": f"{self.variant:#x}",
            "CPU part\t": f"{self.part:#x}",
            "CPU revision\t": str(self.revision),
        }
        return "".join(f"{key}: {value}\n" for key, value in rows.items()) + "\n"

    @property
    def files(self) -> dict[str, str]:
        """What the emulated system tells programs, by path."""
        cpu = "sys/devices/system/cpu"
        cores = {f"{cpu}/{name}": "0" for name in ("possible", "present", "online")}
        topology = {f"{cpu}/cpu0/topology/{name}": "0" for name in ("physical_package_id", "core_id", "cluster_id")}
        lists = {f"{cpu}/cpu0/topology/{name}_list": "0" for name in ("cluster_cpus", "core_cpus", "core_siblings", "package_cpus")}
        clocks = {f"{cpu}/cpu0/cpufreq/cpuinfo_{name}_freq": "1000000" for name in ("min", "max")}  # kHz; only compared between cores
        level2 = {"level": "2", "size": f"{self.l2_kib}K", "shared_cpu_list": "0", "type": "Unified"}
        caches = {f"{cpu}/cpu0/cache/index2/{name}": value for name, value in level2.items()}
        told = {f"{cpu}/kernel_max": "0", **cores, **topology, **lists, **clocks, **caches}
        return {"proc/cpuinfo": self.cpuinfo, **{path: f"{value}\n" for path, value in told.items()}, "etc/ld.so.cache": ""}


PROCESSORS = {
    "cortex-a35": Processor(0xD04, 0, 1, _V8, 512, "as in an i.MX 8X"),
    "cortex-a53": Processor(0xD03, 0, 4, _V8, 512, "as in a Raspberry Pi 3"),
    "cortex-a57": Processor(0xD07, 1, 0, _V8, 2048, "as in a Jetson TX1"),
    "cortex-a72": Processor(0xD08, 0, 3, _V8, 1024, "as in a Raspberry Pi 4"),
    "cortex-a76": Processor(0xD0B, 4, 1, _V82, 512, "as in a Raspberry Pi 5"),
    "neoverse-n1": Processor(0xD0C, 4, 1, _V82, 1024, "as in a cloud server"),
}
"""Those of QEMU 7.2 that exist as chips and compute right. ``max`` is not among them: its SME path gives wrong int8 results."""


@dataclass(frozen=True)
class Sysroot:
    """A folder for ``qemu-aarch64 -L``.

    Attributes:
        path: Of it.
        versions: Of the Debian packages in it.
    """

    path: Path
    versions: dict[str, str] = field(default_factory=dict)


def sysroot(cpu: str) -> Sysroot:
    """That of a processor, made once.

    Args:
        cpu: A key of `PROCESSORS`.

    Raises:
        DeviceUnavailable: Debian's packages cannot be fetched.
    """
    base = _cache.kept("sysroot", {"suite": SUITE, "architecture": ARCHITECTURE, "packages": PACKAGES, "form": 1}, _fetch)
    files = PROCESSORS[cpu].files
    path = _cache.kept("sysroot-cpu", {"base": base.name, "files": files}, lambda folder: _dress(folder, base, files))
    versions = dict(line.split(" ", 1) for line in (base / VERSIONS).read_text().splitlines())
    return Sysroot(path, versions)


def _dress(folder: Path, base: Path, files: dict[str, str]) -> None:
    for name in ("lib", "usr"):
        (folder / name).symlink_to(f"../../sysroot/{base.name}/{name}")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def _fetch(folder: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise DeviceUnavailable(
                f"the arm64 system is made of Debian packages, and {program} is not here",
                next_step="use Debian, Ubuntu or a container of one",
            )
    apt = _private_apt(folder / "apt")
    _apt(apt, "update")
    _apt(apt, "download", *PACKAGES)
    archives = sorted((folder / "apt").glob("*.deb"))
    versions = [_run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}\n", str(archive)]) for archive in archives]
    for archive in archives:
        _run(["dpkg-deb", "--extract", str(archive), str(folder)])
    _keep_libraries(folder)
    (folder / VERSIONS).write_text("".join(sorted(versions)))


def _private_apt(folder: Path) -> Path:
    """An apt of our own: its lists, its sources, its architecture; the system's is neither read nor changed."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    signed = f"[arch={ARCHITECTURE} signed-by={KEYRING}]" if KEYRING.exists() else f"[arch={ARCHITECTURE}]"
    (folder / "sources.list").write_text(f"deb {signed} {_mirror()} {SUITE} main\n")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Architecture": ARCHITECTURE,
        "APT::Architectures": ARCHITECTURE,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
    }
    configuration = folder / "apt.conf"
    configuration.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    return configuration


def _mirror() -> str:
    """Where packages come from: the environment's word, else the mirror this machine itself takes `SUITE` from."""
    if named := os.environ.get(MIRROR):
        return named
    listed = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    found = [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [SUITE, "main"]]
    if not found:
        raise DeviceUnavailable(
            f"the arm64 system is made of packages of Debian {SUITE}, which this machine has no source of", next_step=_ADVICE
        )
    return found[0]


def _apt(configuration: Path, *words: str) -> None:
    environment = {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C"}
    _run(
        ["apt-get", "--quiet", "--error-on=any", *words] if words[0] == "update" else ["apt-get", "--quiet", *words],
        configuration.parent,
        environment,
    )


def _run(command: Sequence[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise DeviceUnavailable(f"the arm64 system could not be fetched: {command[0]} took too long", next_step=_ADVICE) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))] or done.stderr.splitlines() or ["no message"]
        raise DeviceUnavailable(f"the arm64 system could not be fetched: {lines[0]}", next_step=_ADVICE)
    return done.stdout


def _keep_libraries(folder: Path) -> None:
    """Shared libraries and the loader; no documentation, no character sets, nothing of apt's."""
    for name in ("apt", "etc", "usr/share", "usr/lib/aarch64-linux-gnu/gconv"):
        shutil.rmtree(folder / name, ignore_errors=True)
