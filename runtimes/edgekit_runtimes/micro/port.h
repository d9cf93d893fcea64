/* Arm's MPS2 and MPS3 boards, as QEMU emulates them: a CMSDK UART, and DWT's cycle counter (which QEMU leaves at 0). */
#pragma once
#include <stdint.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define WORD(address) (*(volatile uint32_t *)(address))

void *memcpy(void *to, const void *from, size_t count) {
  char *t = to;
  const char *f = from;
  while (count--) *t++ = *f++;
  return to;
}
void *memmove(void *to, const void *from, size_t count) {
  char *t = to;
  const char *f = from;
  if (t <= f) return memcpy(to, from, count);
  while (count--) t[count] = f[count];
  return to;
}
void *memset(void *to, int value, size_t count) {
  for (char *t = to; count--;) *t++ = (char)value;
  return to;
}

static void port_begin(void) {
  WORD(UART + 0x10) = 16; /* baud rate divisor */
  WORD(UART + 0x08) = 11; /* transmit, receive, interrupt on receiving */
  (void)WORD(UART);       /* QEMU looks for bytes that came earlier only after a read */
  __asm volatile("cpsid i"); /* interrupts wake us and are never taken */
  WORD(0xE000E100 + UART_IRQ / 32 * 4) = 1u << UART_IRQ % 32;
  WORD(0xE000EDFC) |= 1u << 24;
  WORD(0xE0001000) |= 1;
}
static uint8_t port_get(void) {
  while (!(WORD(UART + 4) & 2)) { /* asleep, not polling: QEMU's own threads wait for each of our reads of a register */
    __asm volatile("wfi");
    WORD(UART + 0x0c) = 2;
    WORD(0xE000E280 + UART_IRQ / 32 * 4) = 1u << UART_IRQ % 32;
  }
  return (uint8_t)WORD(UART);
}
static void port_put(uint8_t byte) {
  while (WORD(UART + 4) & 1) {
  }
  WORD(UART) = byte;
}
static uint32_t port_cycles(void) { return WORD(0xE0001004); }

/* Start: clear .bss, switch the floating-point unit on (Helium needs it too), go. */
extern uint32_t bss_begin, bss_end, stack_top;
int main(void);
static void fault(void) {
  for (;;) {
  }
}
void reset(void) {
  WORD(0xE000ED88) |= 0xfu << 20;
  __asm volatile("dsb\n isb");
  for (uint32_t *p = &bss_begin; p < &bss_end; p++) *p = 0;
  main();
  fault();
}
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault};
