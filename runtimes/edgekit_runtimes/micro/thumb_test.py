import shutil
import subprocess

import pytest

from edgekit_runtimes.micro.boards import FOLDER
from edgekit_runtimes.micro.thumb import CLASSES, MARKS, classes_of, is_wide


@pytest.mark.parametrize(
    "half, second, expected",
    [
        (0x6853, 0, {"load"}),  # ldr r3, [r2, #4]
        (0x609A, 0, {"store"}),  # str r2, [r3, #8]
        (0xB508, 0, {"store"}),  # push {r3, lr}
        (0xBD08, 0, {"load", "branch"}),  # pop {r3, pc}
        (0xD5FC, 0, {"branch"}),  # bpl
        (0xBB5B, 0, {"branch"}),  # cbnz
        (0x4770, 0, {"branch"}),  # bx lr
        (0x4584, 0, set()),  # cmp ip, r0
        (0x4358, 0, {"multiply"}),  # muls r0, r3
        (0xE9CD, 0x7917, {"store"}),  # strd r7, r9, [sp, #92]
        (0xF811, 0x0B01, {"load"}),  # ldrb.w r0, [r1], #1
        (0xF803, 0x0F01, {"store"}),  # strb.w r0, [r3, #1]!
        (0xFB20, 0x1203, {"multiply"}),  # smlad r2, r0, r3, r1
        (0xFB90, 0xF0F1, {"divide"}),  # sdiv r0, r0, r1
        (0xFBB0, 0xF0F1, {"divide"}),  # udiv r0, r0, r1
        (0xFBC0, 0x4300, {"multiply"}),  # smlal r4, r3, r0, r0
        (0xFA2F, 0xF080, set()),  # sxtb16 r0, r0
        (0xEA44, 0x0443, set()),  # orr.w r4, r4, r3, lsl #1
        (0xE8DF, 0xF012, {"load", "branch"}),  # tbh [pc, r2, lsl #1]
        (0xF7FF, 0xFECD, {"branch"}),  # bl
        (0xF000, 0x80C5, {"branch"}),  # beq.w
        (0xF3BF, 0x8F4F, set()),  # dsb
    ],
)
def test_classes(half, second, expected):
    assert set(classes_of(half, second)) == expected


def test_vector_loads_are_both():
    assert set(classes_of(0xED9F, 0x7A01)) == {"simd", "load"}  # vldr s14, [pc, #4]
    assert set(classes_of(0xEE37, 0x7A87)) == {"simd"}  # vadd.f32


def test_both_emulators_count_alike(tmp_path):
    """thumb.h and thumb.py on every first half-word, with second halves that matter."""
    if not shutil.which("gcc"):
        pytest.skip("apt-get install gcc: the header is compiled for this test")
    seconds = (0x0000, 0x8000, 0xF000, 0xF0F0, 0xF012, 0x5000, 0x9000, 0x7A01)
    listed = ", ".join(map(str, seconds))
    program = f"""
        #include "{FOLDER}/thumb.h"
        #include <stdio.h>
        int main(void) {{
          static const uint16_t seconds[] = {{{listed}}};
          for (unsigned h = 0; h < 65536; h++)
            for (unsigned i = 0; i < {len(seconds)}; i++) {{
              putchar(classes_of(h, seconds[i]) >> 1);
              putchar(mark_of(h) + 1);
            }}
        }}
    """
    (tmp_path / "both.c").write_text(program)
    subprocess.run(["gcc", "-O1", str(tmp_path / "both.c"), "-o", str(tmp_path / "both")], check=True)
    told = subprocess.run([str(tmp_path / "both")], capture_output=True, check=True).stdout
    at = 0
    for half in range(65536):
        for second in seconds:
            ours = sum(1 << CLASSES.index(name) for name in classes_of(half, second if is_wide(half) else 0))
            assert (told[at], told[at + 1]) == (ours, MARKS.get(half, -1) + 1), f"{half:04x} {second:04x}"
            at += 2
