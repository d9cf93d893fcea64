import pytest

from edgekit.errors import DeviceUnavailable
from edgekit_runtimes.native import sysroot as module
from edgekit_runtimes.native.sysroot import PROCESSORS, sysroot


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty cache, and a PATH on which the test alone puts programs."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def script(folder, name, text):
    (folder / name).write_text(f"#!/bin/sh\nexport PATH=/usr/bin:/bin\n{text}\n")
    (folder / name).chmod(0o755)


DEBIAN = {
    "apt-get": '[ "$1" = indextargets ] && echo "http://mirror/debian/ bookworm main"; for w; do [ "$w" = download ] && '
    "for p in libc6 libgcc-s1 libstdc++6; do echo $p >${p}_1_arm64.deb; done; done; exit 0",
    "dpkg-deb": 'case $1 in --show) echo "$(cat $3) 1.0";; '
    '--extract) mkdir -p "$3/lib" "$3/usr/share/doc"; touch "$3/lib/$(cat $2).so";; esac',
}


def test_it_is_made_of_packages_without_root_and_dressed_as_the_processor(empty):
    for name, text in DEBIAN.items():
        script(empty, name, text)
    found = sysroot("cortex-a53")
    assert found.versions == {"libc6": "1.0", "libgcc-s1": "1.0", "libstdc++6": "1.0"}
    assert sorted(p.name for p in (found.path / "lib").iterdir()) == ["libc6.so", "libgcc-s1.so", "libstdc++6.so"]
    assert not (found.path / "usr" / "share").exists()
    assert "CPU part\t: 0xd03" in (found.path / "proc" / "cpuinfo").read_text()
    assert (found.path / "sys/devices/system/cpu/possible").read_text() == "0\n"
    for name in DEBIAN:
        script(empty, name, "exit 1")
    assert sysroot("cortex-a53") == found, "made once"
    assert (sysroot("cortex-a76").path / "lib").resolve() == (found.path / "lib").resolve(), "fetched once for all"


def test_without_a_network_it_says_what_helps_and_keeps_nothing(empty, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_DEBIAN_MIRROR", "http://mirror/debian")
    script(empty, "apt-get", "echo 'E: Failed to fetch http://mirror/InRelease' >&2; exit 100")
    script(empty, "dpkg-deb", "exit 0")
    with pytest.raises(DeviceUnavailable, match="E: Failed to fetch") as caught:
        sysroot("cortex-a53")
    assert "EDGEKIT_DEBIAN_MIRROR" in caught.value.next_step
    assert not any(p.is_dir() and not p.name.startswith(".") for p in (tmp_path / "cache" / "sysroot").iterdir())


def test_where_this_machine_has_no_source_of_the_suite_it_asks_for_one(empty, monkeypatch):
    script(empty, "apt-get", "echo 'http://mirror/ubuntu/ noble main'")
    script(empty, "dpkg-deb", "exit 0")
    with pytest.raises(DeviceUnavailable, match="bookworm") as caught:
        sysroot("cortex-a53")
    assert "EDGEKIT_DEBIAN_MIRROR" in caught.value.next_step


def test_where_there_is_no_apt_it_says_so(empty):
    with pytest.raises(DeviceUnavailable, match="apt-get is not here"):
        sysroot("cortex-a53")


@pytest.mark.parametrize("cpu", PROCESSORS)
def test_every_file_that_kernels_are_chosen_by_is_answered_by_the_sysroot(cpu):
    """Left to the host, its core count and cache sizes would choose kernels: another count on another host."""
    files = PROCESSORS[cpu].files
    cpus = "sys/devices/system/cpu"
    asked = (
        "kernel_max",
        "possible",
        "present",
        "cpu0/cache/index2/size",
        "cpu0/topology/cluster_cpus_list",
        "cpu0/cpufreq/cpuinfo_max_freq",
    )
    assert {"proc/cpuinfo", *(f"{cpus}/{name}" for name in asked)} <= set(files)
    assert "CPU implementer\t: 0x41" in files["proc/cpuinfo"] and files["proc/cpuinfo"].endswith("\n\n")


def test_dot_products_are_told_of_where_the_core_has_them():
    has = {cpu: "asimddp" in processor.features.split() for cpu, processor in PROCESSORS.items()}
    assert has == {
        "cortex-a35": False,
        "cortex-a53": False,
        "cortex-a57": False,
        "cortex-a72": False,
        "cortex-a76": True,
        "neoverse-n1": True,
    }


def test_the_processor_that_computes_wrong_is_not_offered():
    assert "max" not in PROCESSORS and module.SUITE == "bookworm"
