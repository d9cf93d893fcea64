/* A QEMU plugin (TCG, API version 1: QEMU 7.2) that counts guest instructions between the marks of runner.c, by class, for AArch64.
 *
 *     qemu-aarch64 -plugin counter.so,out=FILE ...
 *
 * A line for each mark: its kind (0 begin, 1 end, 2 tick), the number of virtual CPUs so far, then all counters since the program began.
 * Counters are added to once a translated block, inline, before it runs; a mark is a system call, which ends its block, so that
 * what lies between two marks is counted to the instruction. Blocks have no exits in the middle but faults, which user programs die of.
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
void qemu_plugin_register_vcpu_init_cb(Id, void (*)(Id, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(Id, void (*)(Id, struct Block *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct Block *, int operation, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_syscall_cb(
    Id, void (*)(Id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

enum { TOTAL, LOAD, STORE, BRANCH, SIMD, DOT_PRODUCT, CLASSES };
enum { ADD_U64 = 0, GETPPID = 173, MARK = 0xed9e };
static uint64_t counters[CLASSES];
static unsigned processors;
static FILE *out;

/* Arm ARM (DDI 0487), C4.1: the encoding index. */

static int is_dot_product(uint32_t w) {
  return (w & 0x9fe0fc00) == 0x0e809400     /* SDOT, UDOT */
         || (w & 0x9fc0f400) == 0x0f80e000  /* by element */
         || (w & 0xbfe0fc00) == 0x0e809c00  /* USDOT */
         || (w & 0xbf40f400) == 0x0f00f000  /* USDOT, SUDOT, BFDOT by element */
         || (w & 0xdfe0f400) == 0x4e80a400  /* SMMLA, UMMLA, USMMLA */
         || (w & 0xbfe0fc00) == 0x2e40fc00  /* BFDOT */
         || (w & 0xffe0fc00) == 0x6e40ec00; /* BFMMLA */
}

static int is_store(uint32_t w) { /* of a load or store; a read-modify-write counts as a load, so does a prefetch */
  unsigned opc = w >> 22 & 3, vector = w >> 26 & 1;
  switch (w >> 27 & 7) {
    case 3: return (w >> 24 & 1) && opc == 0;                            /* literals, and LDAPUR/STLUR */
    case 7: return vector ? !(opc & 1) : opc == 0 && (w & 0x01200c00) != 0x00200000; /* one register; the second part: atomics */
    default: return !(opc & 1);                                          /* pairs, exclusives, structures: L */
  }
}

static void classify(uint32_t w, uint64_t *found) {
  unsigned group = w >> 25 & 15;
  if ((group & 5) == 4) {
    found[is_store(w) ? STORE : LOAD]++;
    found[SIMD] += w >> 26 & 1;
  } else if ((group & 7) == 7 || group == 2) { /* scalar and vector floating point and SIMD; SVE */
    found[SIMD]++;
    found[DOT_PRODUCT] += is_dot_product(w);
  } else if ((group & 14) == 10) {
    found[BRANCH]++; /* also exceptions and system instructions */
  }
}

static void translated(Id id, struct Block *block) {
  (void)id;
  uint64_t found[CLASSES] = {qemu_plugin_tb_n_insns(block)};
  for (size_t i = 0; i < found[TOTAL]; i++) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
    classify(word, found);
  }
  for (int c = 0; c < CLASSES; c++)
    if (found[c]) qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counters[c], found[c]);
}

static void called(Id id, unsigned cpu, int64_t number, uint64_t a, uint64_t kind, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                   uint64_t g, uint64_t h) {
  (void)id, (void)cpu, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number != GETPPID || a != MARK) return;
  fprintf(out, "%d %u", (int)kind, processors);
  for (int k = 0; k < CLASSES; k++) fprintf(out, " %llu", (unsigned long long)counters[k]);
  fputc('\n', out);
  if (kind == 1) fflush(out);
}

static void started(Id id, unsigned cpu) {
  (void)id, (void)cpu;
  processors++;
}

__attribute__((visibility("default"))) int qemu_plugin_install(Id id, const struct Info *info, int count, char **arguments) {
  (void)info;
  for (int i = 0; i < count; i++)
    if (!strncmp(arguments[i], "out=", 4)) out = fopen(arguments[i] + 4, "w");
  if (!out) return 1;
  qemu_plugin_register_vcpu_init_cb(id, started);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
