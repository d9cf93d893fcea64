/* A QEMU plugin (TCG, API version 1: QEMU 7.2) that counts guest instructions between the marks of firmware.c, by class, for Cortex-M.
 *
 *     qemu-system-arm -plugin counter.so,out=FILE ...
 *
 * Marks are instructions that do nothing: `mov r11, r11` begins, `mov r12, r12` ends, `mov r10, r10` ends an operator. A line for each:
 * its kind (0 begin, 1 end, 2 operator), then all counters since the board started. Every instruction is counted as it executes.
 *
 * Debian packages QEMU without its plugin header: these are our own declarations of its interface.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t Id;
struct Block;
struct Instruction;
struct Info;
__attribute__((visibility("default"))) int qemu_plugin_version = 1;
size_t qemu_plugin_tb_n_insns(const struct Block *);
struct Instruction *qemu_plugin_tb_get_insn(const struct Block *, size_t);
const void *qemu_plugin_insn_data(const struct Instruction *);
size_t qemu_plugin_insn_size(const struct Instruction *);
void qemu_plugin_register_vcpu_tb_trans_cb(Id, void (*)(Id, struct Block *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct Instruction *, void (*)(unsigned, void *), int flags, void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct Instruction *, int operation, void *counter, uint64_t add);

#include "thumb.h"

enum { ADD_U64 = 0, NO_REGISTERS = 0 };
static uint64_t counters[CLASSES];
static FILE *out;

static void marked(unsigned cpu, void *kind) {
  (void)cpu;
  fprintf(out, "%d", (int)(intptr_t)kind);
  for (int c = 0; c < CLASSES; c++) fprintf(out, " %llu", (unsigned long long)counters[c]);
  fputc('\n', out);
  fflush(out);
}

static void translated(Id id, struct Block *block) {
  (void)id;
  size_t count = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < count; i++) {
    struct Instruction *instruction = qemu_plugin_tb_get_insn(block, i);
    uint16_t halves[2] = {0, 0};
    size_t size = qemu_plugin_insn_size(instruction); /* at a page's end it takes in the next instruction's first half: no width */
    memcpy(halves, qemu_plugin_insn_data(instruction), size < 4 ? size : 4);
    int mark = mark_of(halves[0]);
    if (mark >= 0) { /* does nothing, and is not counted */
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, marked, NO_REGISTERS, (void *)(intptr_t)mark);
      continue;
    }
    unsigned classes = 1u << TOTAL | classes_of(halves[0], halves[1]);
    for (int c = 0; c < CLASSES; c++)
      if (classes >> c & 1) qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, &counters[c], 1);
  }
}

__attribute__((visibility("default"))) int qemu_plugin_install(Id id, const struct Info *info, int count, char **arguments) {
  (void)info;
  for (int i = 0; i < count; i++)
    if (!strncmp(arguments[i], "out=", 4)) out = fopen(arguments[i] + 4, "w");
  if (!out) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
