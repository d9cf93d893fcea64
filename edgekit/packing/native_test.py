"""The C decoder gives what the Python decoder gives, and survives everything."""

import shutil
import struct
import subprocess

import numpy as np
import pytest

from edgekit.errors import UsageError
from edgekit.packing import DECODER, container, pack
from edgekit.packing.container import decode_unchecked, encode, take_varint, varint
from edgekit.testing.packs import plain_streams, text

FOLDER = DECODER.parent
OK, NO_PACK, DAMAGED, TOO_SMALL, NEEDS_ZSTD, OTHER_DIGEST = "012345"
MOST = 1 << 22
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-O2"]


def compiled(program, folder, *flags):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    made = folder / program
    sources = [str(FOLDER / f"{program}.c"), str(DECODER)]
    done = subprocess.run([compiler, *STRICT, *flags, *sources, "-o", str(made)], capture_output=True, text=True, check=False)
    if done.returncode and "sanitize" in " ".join(flags) and ("asan" in done.stderr or "ubsan" in done.stderr):
        pytest.skip("the C compiler has no sanitizers")
    assert not done.returncode, done.stderr
    return made


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return compiled("example", tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    return compiled("fuzz", tmp_path_factory.mktemp("fuzz"), "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def statuses(fuzz, packs, altered=0):
    """What the C decoder says of each pack; a fault in it fails the test."""
    records = b"".join(struct.pack("<I", len(p)) + p for p in packs)
    done = subprocess.run([fuzz, str(altered)], input=records, capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()[-3000:]
    return done.stdout.decode()


@pytest.fixture(scope="module")
def packs():
    return [encode(plain, [0], portable=True).data for plain in plain_streams().values()]


def test_it_is_one_file_of_at_most_400_lines_that_includes_nothing_but_the_c_library():
    source = DECODER.read_text(encoding="utf-8")
    assert source.count("\n") <= 400
    assert {line.split()[1] for line in source.splitlines() if line.startswith("#include")} == {"<stddef.h>", "<stdint.h>", "<string.h>"}
    assert max(map(len, source.splitlines())) <= 140


def test_files_come_out_of_a_folders_pack_byte_for_byte(example, tmp_path):
    folder = tmp_path / "made"
    for name, plain in plain_streams().items():
        path = folder / name.replace(" ", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plain)
    packed = pack(folder, portable=True)
    listed = subprocess.run([example, packed.path], capture_output=True, text=True, check=True).stdout
    assert [line.split(None, 1)[1] for line in listed.splitlines()] == list(packed.files)
    for name in packed.files:
        written = subprocess.run([example, packed.path, name], capture_output=True, check=True).stdout
        assert written == (folder / name).read_bytes(), name
    missing = subprocess.run([example, packed.path, "other"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "no such file" in missing.stderr


def test_every_coding_is_decoded_within_its_buffers(fuzz, packs):
    assert statuses(fuzz, packs) == OK * len(packs)


def test_all_of_deflate_is_decoded(fuzz):
    """Stored, fixed and dynamic blocks, and distances up to the greatest."""
    rng = np.random.default_rng(0)
    far = rng.bytes(300)
    plains = [b"a", b"abc" * 5, text(100_000), far + text(32_000) + far, rng.bytes(70_000) + text(500), bytes(100_000)]
    made = []
    for plain in plains:
        coded, methods = container._joined([container._Choice(plain, container.STORED, plain + b"more", 0.0)], 1.0)
        assert set(methods) == {container.REST}
        made.append(container.MAGIC + container.hashlib.sha256(plain).digest() + varint(len(plain)) + coded)
    assert statuses(fuzz, made) == OK * len(made)


def test_a_zstandard_pack_says_what_it_needs(fuzz):
    plain = text(40_000)
    encoded = encode(plain, [0])
    assert set(encoded.methods) == {container.ZSTANDARD}
    assert statuses(fuzz, [encoded.data]) == NEEDS_ZSTD


def test_every_truncation_is_refused(fuzz, packs):
    cut = [packs[-1][:size] for size in range(len(packs[-1]))]
    assert set(statuses(fuzz, cut)) == {NO_PACK, DAMAGED}


def altered(packs, count):
    """Packs with bytes changed, taken out, put in, or exchanged between two, behind the digest."""
    rng = np.random.default_rng(0)
    for i in range(count):
        head, body = packs[i % len(packs)][:36], bytearray(packs[i % len(packs)][36:])
        for _ in range(rng.integers(1, 4)):
            where = int(rng.integers(0, min(len(body), 40 if rng.random() < 0.5 else len(body)) + 1))
            match int(rng.integers(0, 4)):
                case 0:
                    body[where : where + 1] = rng.bytes(1)
                case 1:
                    del body[where : where + int(rng.integers(1, 5))]
                case 2:
                    body[where:where] = rng.bytes(int(rng.integers(1, 5)))
                case _:
                    other = packs[int(rng.integers(0, len(packs)))][36:]
                    body[where:] = other[int(rng.integers(0, len(other))) :]
        yield head + bytes(body)


def python_status(data):
    """What the Python decoder says of a pack, and the pack with the digest of what is in it, where something is."""
    try:
        size, _ = take_varint(data, 36)
    except UsageError:
        return DAMAGED, data
    if size > MOST:
        return TOO_SMALL, data
    try:
        plain = decode_unchecked(data)
    except UsageError:
        return DAMAGED, data
    return OK, data[:4] + container.hashlib.sha256(plain).digest() + data[36:]


@pytest.mark.slow
def test_both_decoders_agree_on_what_is_damaged(fuzz, packs):
    expected, made = zip(*map(python_status, altered(packs, 3000)), strict=True)
    found = statuses(fuzz, made)
    assert OK in expected
    assert [(i, e, f) for i, (e, f) in enumerate(zip(expected, found, strict=True)) if f not in {e, NEEDS_ZSTD}] == []


def test_nothing_makes_it_leave_its_buffers(fuzz, packs):
    statuses(fuzz, packs, altered=2000)
