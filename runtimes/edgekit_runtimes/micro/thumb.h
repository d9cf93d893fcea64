/* Which class a Thumb instruction is of (Armv8-M Architecture Reference Manual, DDI 0553, C2.2). thumb.py says the same, for Unicorn. */
#pragma once
#include <stdint.h>

enum { TOTAL, LOAD, STORE, BRANCH, SIMD, MULTIPLY, DIVIDE, CLASSES };

static int mark_of(uint16_t h) { return h == 0x46db ? 0 : h == 0x46e4 ? 1 : h == 0x46d2 ? 2 : -1; }

static unsigned narrow(uint16_t h) {
  unsigned top = h >> 12, load = h >> 11 & 1 ? LOAD : STORE;
  if (h >> 11 == 0x09) return 1u << LOAD;                       /* LDR literal */
  if (top == 5) return 1u << ((h >> 9 & 7) < 3 ? STORE : LOAD); /* register offset */
  if (top == 6 || top == 7 || top == 8 || top == 9 || top == 12) return 1u << load;
  if ((h & 0xfe00) == 0xb400) return 1u << STORE; /* PUSH */
  if ((h & 0xfe00) == 0xbc00) return 1u << LOAD | (h >> 8 & 1 ? 1u << BRANCH : 0); /* POP */
  if (top == 13 || h >> 11 == 0x1c || (h & 0xff00) == 0x4700 || (h & 0xf500) == 0xb100) return 1u << BRANCH;
  return (h & 0xffc0) == 0x4340 ? 1u << MULTIPLY : 0;
}

static unsigned wide(uint16_t h, uint16_t k) {
  unsigned op1 = h >> 11 & 3, op2 = h >> 4 & 0x7f, load = h >> 4 & 1 ? LOAD : STORE;
  if (op1 == 1) {
    if ((h & 0xfff0) == 0xe8d0 && (k & 0xffe0) == 0xf000) return 1u << BRANCH | 1u << LOAD; /* TBB, TBH */
    if ((op2 & 0x40) == 0) return (op2 & 0x60) == 0x20 ? 0 : 1u << load; /* LDM, LDRD, exclusives; data processing */
    return 1u << SIMD | ((h & 0xfe00) == 0xec00 && (op2 & 0x3e) != 4 ? 1u << load : 0); /* coprocessor, floating point, Helium */
  }
  if (op1 == 2) return (k & 0x8000) && ((k & 0x5000) || (op2 & 0x38) != 0x38) ? 1u << BRANCH : 0;
  if (op2 & 0x40) return 1u << SIMD;
  if ((op2 & 0x71) == 0) return 1u << STORE;
  if ((op2 & 0x60) == 0) return 1u << LOAD;
  if ((op2 & 0x78) == 0x30) return 1u << MULTIPLY;
  if ((op2 & 0x78) == 0x38) return 1u << (((op2 & 7) == 1 || (op2 & 7) == 3) && (k & 0xf0) == 0xf0 ? DIVIDE : MULTIPLY);
  return 0;
}

static unsigned classes_of(uint16_t h, uint16_t k) { return h >> 11 >= 0x1d ? wide(h, k) : narrow(h); }
