/* Fixed-point arithmetic as LiteRT's quantized kernels define it (gemmlowp's names in parentheses). */
#pragma once
#include <stddef.h>
#include <stdint.h>
#if defined(__arm__)
#include <arm_acle.h>
#endif
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);

/* Whatever else the firmware has: what a compiler inlines by its own measure changes with the number of kernels. */
#define INLINE static inline __attribute__((always_inline))

INLINE int32_t clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }

/* (SaturatingRoundingDoublingHighMul) */
INLINE int32_t high_product(int32_t a, int32_t b) {
  if (a == b && a == INT32_MIN) return INT32_MAX;
  int64_t product = (int64_t)a * b;
  return (int32_t)((product + (product >= 0 ? 1 << 30 : 1 - (1 << 30))) / (1ll << 31));
}

/* (RoundingDivideByPOT) */
INLINE int32_t divided_by_power(int32_t x, int exponent) {
  int32_t mask = (int32_t)((1ll << exponent) - 1), remainder = x & mask, threshold = (mask >> 1) + (x < 0);
  return (x >> exponent) + (remainder > threshold);
}

/* (MultiplyByQuantizedMultiplier) */
INLINE int32_t scaled(int32_t x, int32_t multiplier, int shift) {
  int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
  return divided_by_power(high_product(x * (1 << left), multiplier), right);
}

INLINE int32_t rounded_quotient(int32_t sum, int32_t count) { return (sum + (sum > 0 ? count / 2 : -(count / 2))) / count; }

/* (SaturatingRoundingMultiplyByPOT, exponent > 0) */
INLINE int32_t times_power(int32_t x, int exponent) {
  int32_t threshold = (int32_t)((1ll << (31 - exponent)) - 1);
  return x > threshold ? INT32_MAX : x < -threshold ? INT32_MIN : x * (1 << exponent);
}

/* e^a for -1/4 <= a < 0, Q0.31 to Q0.31: a Taylor polynomial around -1/8 (exp_on_interval_between_negative_one_quarter_and_0_excl) */
static int32_t exp_of_quarter(int32_t a) {
  int32_t x = a + (1 << 28), x2 = high_product(x, x), x3 = high_product(x2, x), x4 = high_product(x2, x2);
  int32_t higher = divided_by_power(high_product(divided_by_power(x4, 2) + x3, 715827883) + x2, 1);
  return 1895147668 + high_product(1895147668, x + higher);
}

/* e^a for a <= 0, Q5.26 to Q0.31 (exp_on_negative_values) */
static int32_t exp_of_negative(int32_t a) {
  static const int32_t factors[] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  if (a == 0) return INT32_MAX;
  int32_t quarter = 1 << 24, rest = (a & (quarter - 1)) - quarter;
  int32_t result = exp_of_quarter(times_power(rest, 5)), remainder = rest - a;
  for (int i = 0; i < 7; i++)
    if (remainder & (1 << (24 + i))) result = high_product(result, factors[i]);
  return result;
}

/* 1 / (1 + a) for 0 <= a < 1, Q0.31: three steps of Newton and Raphson (one_over_one_plus_x_for_x_in_0_1) */
static int32_t reciprocal(int32_t a) {
  int64_t sum = (int64_t)a + INT32_MAX;
  int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
  int32_t x = 1515870810 + high_product(half, -1010580540);
  for (int i = 0; i < 3; i++) x += times_power(high_product(x, (1 << 29) - high_product(half, x)), 2);
  return times_power(x, 1);
}
