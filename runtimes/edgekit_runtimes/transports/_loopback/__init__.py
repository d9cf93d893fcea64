"""An emulated Android device: the device's side of the adb protocol on a loopback port, for the genuine adb client to talk to.

What is real: the protocol (messages, streams with flow control, shell v2, file sync), files, processes, exit codes, a property service.
What is emulated: the processor, if a launcher such as qemu-user is given for foreign programs. What is not there: Android itself. The
shell is this machine's, the C library glibc, not bionic. With a launcher it says so in its property ``ro.edgekit.emulator``; without
one, programs run at this machine's own speed, and only the road to them is Android's.

Protocol: Android Open Source Project, packages/modules/adb, ``protocol.txt``, ``SYNC.TXT``, ``shell_protocol.h``.
"""

from edgekit_runtimes.transports._loopback.device import LoopbackDevice

__all__ = ["LoopbackDevice"]
