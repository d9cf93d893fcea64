"""A conversion for MNN talks to nobody and installs nothing, native code and child processes included.

MNN's own Python commands do both. The whole conversion runs under a seccomp filter that kills any process which opens a socket to a
network (those of the machine itself are the C library's, which looks up the user's name through one).
"""

import importlib.metadata
import platform
import subprocess
import sys
import textwrap

import pytest

SOCKET = {"x86_64": 41, "aarch64": 198}.get(platform.machine())
pytestmark = pytest.mark.skipif(sys.platform != "linux" or SOCKET is None, reason="seccomp filters are Linux', on x86-64 and arm64")

FILTER = f"""
import ctypes, struct
# load the number of the system call; if it is socket(2), load its domain; if that is AF_INET or AF_INET6, kill the process; else allow
steps = ((0x20, 0, 0, 0), (0x15, 0, 3, {SOCKET}), (0x20, 0, 0, 16), (0x15, 2, 0, 2), (0x15, 1, 0, 10), (0x06, 0, 0, 0x7fff0000),
         (0x06, 0, 0, 0x80000000))
program = b"".join(struct.pack("<HBBI", *step) for step in steps)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0                                            # no new privileges, as filters demand
assert libc.prctl(22, 2, ctypes.byref(Program(len(steps), program)), 0, 0) == 0, ctypes.get_errno()
"""
CONVERSION = """
from pathlib import Path
import torch
from edgekit.conversion import convert
from edgekit.testing.graphs import graph_of
aten = torch.ops.aten
torch.manual_seed(0)
graph = graph_of(lambda x, w: aten.relu.default(aten.linear.default(x, w)), [torch.zeros(1, 8)], "net", w=torch.randn(4, 8))
made = convert(graph, "mnn", recipe={recipe!r}, calibration="random", out={out!r})
print(made.model_file.stat().st_size)
"""


def run(code):
    return subprocess.run([sys.executable, "-c", FILTER + textwrap.dedent(code)], capture_output=True, text=True, check=False)


def installed():
    """What is installed: every package with its version and the list of its files."""
    return {(d.name, d.version, d.read_text("RECORD")) for d in importlib.metadata.distributions()}


def test_the_filter_kills_what_opens_a_socket_here_and_in_children():
    assert run("print('alive')").stdout.strip() == "alive"
    assert run("import socket; socket.socket(); print('alive')").returncode < 0
    child = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'import socket; socket.socket()']).returncode)"
    assert int(run(child).stdout) < 0


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["int8", "weight_int4"])
def test_a_conversion_opens_no_socket_and_installs_nothing(recipe, tmp_path):
    pytest.importorskip("MNN")
    before = installed()
    done = run(CONVERSION.format(recipe=recipe, out=str(tmp_path / "made")))
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 100
    assert installed() == before
