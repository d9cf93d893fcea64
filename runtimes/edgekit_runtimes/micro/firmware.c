/* edgekit's firmware: takes a model and inputs over a serial line, runs it, sends outputs and cycle counts back.
 *
 * Frames are those of edgekit/devices/framing.py. The first byte of a payload says what it is:
 *   'i'                        -> 'i' lines "key=value"
 *   'l' plan                   -> 'k'
 *   'r' runs:u8 inputs         -> 'o' cycles:u32[runs] outputs   (0 where the core has no cycle counter)
 *   anything wrong             -> 'e' text
 *
 * To port it, write port.h for your board: port_begin, port_get, port_put, port_cycles, and the sizes of PLAN_BYTES and ARENA_BYTES.
 */
#include "kernels.h"
#include "port.h"

#define VERSION "1"
#define MARK_BEGIN() __asm volatile("mov r11, r11" ::: "memory")
#define MARK_END() __asm volatile("mov r12, r12" ::: "memory")
#define MARK_OP() __asm volatile("mov r10, r10" ::: "memory")
enum { MAGIC = 0x31504b45 }; /* "EKP1" */

typedef struct {
  uint32_t magic, bytes, arena, input, input_bytes, output, output_bytes, ops;
} Header;

static int8_t plan[PLAN_BYTES] __attribute__((aligned(16)));
static int8_t arena[ARENA_BYTES] __attribute__((aligned(16)));
static uint32_t loaded;
static uint32_t crc_table[256];

static uint32_t crc_step(uint32_t crc, uint8_t byte) { return crc_table[(crc ^ byte) & 255] ^ crc >> 8; }

static void make_crc_table(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    crc_table[i] = c;
  }
}

/* Sending: a frame's checksum is taken as its bytes leave. */
static uint32_t sent_crc;
static void put_raw(const void *data, uint32_t count) {
  for (const uint8_t *p = data; count--; p++) port_put(*p);
}
static void put(const void *data, uint32_t count) {
  for (const uint8_t *p = data; count--; p++) sent_crc = crc_step(sent_crc, *p), port_put(*p);
}
static void open_frame(uint32_t length) {
  static const uint8_t mark[2] = {0xe5, 0x4b};
  put_raw(mark, 2);
  put_raw(&length, 4);
  sent_crc = ~0u;
}
static void close_frame(void) {
  uint32_t crc = ~sent_crc;
  put_raw(&crc, 4);
}
static uint32_t length_of(const char *text) {
  uint32_t n = 0;
  while (text[n]) n++;
  return n;
}
static void answer(char kind, const char *text) {
  open_frame(1 + length_of(text));
  put(&kind, 1);
  put(text, length_of(text));
  close_frame();
}

static const char *check_plan(uint32_t bytes) {
  const Header *h = (const Header *)plan;
  if (bytes < sizeof *h || h->magic != MAGIC || h->bytes != bytes) return "not a plan for this firmware";
  if (h->arena > ARENA_BYTES) return "the arena is larger than this board's";
  if (sizeof *h + (uint64_t)h->ops * sizeof(Op) > bytes) return "the plan is cut short";
  return 0;
}

static void run(uint32_t runs) {
  const Header *h = (const Header *)plan;
  const Op *ops = (const Op *)(plan + sizeof *h);
  static uint32_t cycles[255];
  static int8_t input[INPUT_BYTES];
  memcpy(input, arena + h->input, h->input_bytes); /* the arena is used again within a run */
  for (uint32_t k = 0; k < runs; k++) {
    memcpy(arena + h->input, input, h->input_bytes);
    uint32_t start = port_cycles();
    MARK_BEGIN();
    for (uint32_t i = 0; i < h->ops; i++) {
      run_op(&ops[i], plan, arena);
      MARK_OP();
    }
    MARK_END();
    cycles[k] = port_cycles() - start;
  }
  open_frame(1 + 4 * runs + h->output_bytes);
  put("o", 1);
  put(cycles, 4 * runs);
  put(arena + h->output, h->output_bytes);
  close_frame();
}

/* Receiving: the payload goes where it is used as it arrives, so that a model needs no second copy. */
static uint32_t received_crc;
static uint8_t get(void) {
  uint8_t byte = port_get();
  received_crc = crc_step(received_crc, byte);
  return byte;
}
static void receive(int8_t *to, uint32_t count, uint32_t room) {
  for (uint32_t i = 0; i < count; i++) {
    uint8_t byte = get();
    if (i < room) to[i] = (int8_t)byte;
  }
}
static uint32_t get_word(void) {
  uint32_t word = 0;
  for (int i = 0; i < 4; i++) word |= (uint32_t)port_get() << 8 * i;
  return word;
}

static void serve(void) {
  uint8_t last = 0, byte;
  while (!((byte = port_get()) == 0x4b && last == 0xe5)) last = byte;
  uint32_t length = get_word(), rest = length - 1;
  received_crc = ~0u;
  char command = length ? (char)get() : 0;
  uint32_t runs = 0;
  const Header *h = (const Header *)plan;
  if (command == 'l') {
    loaded = 0;
    receive(plan, rest, PLAN_BYTES);
  } else if (command == 'r' && length > 1 && loaded && h->input_bytes <= INPUT_BYTES) {
    runs = get();
    rest--;
    receive(arena + h->input, rest, h->input_bytes);
  } else {
    receive(0, length ? rest : 0, 0);
  }
  uint32_t expected = ~received_crc;
  if (get_word() != expected) return answer('e', "the frame arrived damaged");
  if (command == 'i') return answer('i', "firmware=" VERSION "\ncore=" PORT_CORE "\nboard=" PORT_BOARD "\nclock_hz=" PORT_CLOCK_HZ "\nplan_bytes=" TEXT(PLAN_BYTES) "\narena_bytes=" TEXT(ARENA_BYTES) "\n");
  if (command == 'l') {
    const char *wrong = rest > PLAN_BYTES ? "the model is larger than this board's memory for it" : check_plan(rest);
    if (wrong) return answer('e', wrong);
    loaded = rest;
    return answer('k', "");
  }
  if (command != 'r') return answer('e', "no such command");
  if (!loaded) return answer('e', "no model is loaded");
  if (!runs || rest != h->input_bytes) return answer('e', "the inputs are not the model's");
  run(runs);
}

int main(void) {
  make_crc_table();
  port_begin();
  put_raw("edgekit\n", 8); /* whoever waits for it knows that we listen; for all others it is noise before a frame */
  for (;;) serve();
}
