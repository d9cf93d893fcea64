/* int8 kernels, bit for bit those of TensorFlow Lite for Microcontrollers' portable ones: edgekit's own, written from the arithmetic
 * that LiteRT's quantization specification and gemmlowp's fixed-point functions define. Products are taken by pairs (SMLAD)
 * where the core has DSP instructions and by vectors where it has MVE; nothing else is optimized. CMSIS-NN, which a product would link,
 * needs fewer instructions. */
#pragma once
#include "arithmetic.h"

typedef struct {
  int32_t kind;      /* enum Kind */
  int32_t input, other, output; /* offsets into the arena, in bytes; other: second operand */
  int32_t weights, bias, multipliers, shifts; /* offsets into the plan */
  int32_t in_h, in_w, in_c, out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
  int32_t in_zero, other_zero, out_zero, low, high;
  int32_t a, b, c, d, e, f; /* of the kernel's own */
} Op;

enum Kind { CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SOFTMAX, COPY, MUL, TABLE, RESIZE_BILINEAR, KINDS };

/* The sum of (x + offset) * w. Functions of their own: inlined, their values go to the stack and back in each turn. */
#define WORTH_A_CALL 8
#if defined(__ARM_FEATURE_MVE)
static __attribute__((noinline)) int32_t dot_by_vectors(const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
  int32_t sum = 0;
  for (; n > 0; n -= 8, x += 8, w += 8) {
    mve_pred16_t some = vctp16q((uint32_t)n);
    sum = vmladavaq_s16(sum, vaddq_n_s16(vldrbq_z_s16(x, some), (int16_t)offset), vldrbq_z_s16(w, some));
  }
  return sum;
}
#elif defined(__ARM_FEATURE_DSP)
static __attribute__((noinline)) int32_t dot_by_pairs(const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
  uint32_t offsets = (uint32_t)(offset & 0xffff) * 0x10001u;
  int32_t sum = 0;
  for (; n >= 4; n -= 4, x += 4, w += 4) {
    uint32_t xs, ws, odd_x, odd_w;
    __builtin_memcpy(&xs, x, 4);
    __builtin_memcpy(&ws, w, 4);
    __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(odd_x) : "r"(offsets), "r"(xs));
    __asm("sxtb16 %0, %1, ror #8" : "=r"(odd_w) : "r"(ws));
    sum = __smlad(__sxtab16(offsets, xs), __sxtb16(ws), __smlad(odd_x, odd_w, sum));
  }
  for (; n > 0; n--) sum += (*x++ + offset) * *w++;
  return sum;
}
#endif

INLINE int32_t dot(const int8_t *x, const int8_t *w, int32_t n, int32_t offset) {
#if defined(__ARM_FEATURE_MVE)
  if (n >= WORTH_A_CALL) return dot_by_vectors(x, w, n, offset);
#elif defined(__ARM_FEATURE_DSP)
  if (n >= WORTH_A_CALL) return dot_by_pairs(x, w, n, offset);
#endif
  int32_t sum = 0;
  for (; n > 0; n--) sum += (*x++ + offset) * *w++;
  return sum;
}

static void conv_2d(const Op *op, const int8_t *x, const int8_t *plan, int8_t *y) {
  const int8_t *weights = plan + op->weights;
  const int32_t *bias = (const int32_t *)(plan + op->bias), *multiplier = (const int32_t *)(plan + op->multipliers);
  const int32_t *shift = (const int32_t *)(plan + op->shifts);
  for (int oy = 0; oy < op->out_h; oy++)
    for (int ox = 0; ox < op->out_w; ox++)
      for (int oc = 0; oc < op->out_c; oc++) {
        int32_t sum = bias[oc];
        for (int ky = 0; ky < op->kernel_h; ky++) {
          int iy = oy * op->stride_h + ky * op->dilation_h - op->pad_h;
          if (iy < 0 || iy >= op->in_h) continue;
          const int8_t *row = weights + (oc * op->kernel_h + ky) * op->kernel_w * op->in_c;
          int first = ox * op->stride_w - op->pad_w;
          if (op->dilation_w == 1) { /* the kernel's row is contiguous in both */
            int from = first < 0 ? -first : 0, to = op->in_w - first < op->kernel_w ? op->in_w - first : op->kernel_w;
            if (to > from)
              sum += dot(x + (iy * op->in_w + first + from) * op->in_c, row + from * op->in_c, (to - from) * op->in_c, -op->in_zero);
          } else
            for (int kx = 0; kx < op->kernel_w; kx++) {
              int ix = first + kx * op->dilation_w;
              if (ix >= 0 && ix < op->in_w)
                sum += dot(x + (iy * op->in_w + ix) * op->in_c, row + kx * op->in_c, op->in_c, -op->in_zero);
            }
        }
        *y++ = clamp(scaled(sum, multiplier[oc], shift[oc]) + op->out_zero, op->low, op->high);
      }
}

static void depthwise_conv_2d(const Op *op, const int8_t *x, const int8_t *plan, int8_t *y) {
  const int8_t *weights = plan + op->weights;
  const int32_t *bias = (const int32_t *)(plan + op->bias), *multiplier = (const int32_t *)(plan + op->multipliers);
  const int32_t *shift = (const int32_t *)(plan + op->shifts);
  int times = op->out_c / op->in_c; /* depth multiplier */
  for (int oy = 0; oy < op->out_h; oy++)
    for (int ox = 0; ox < op->out_w; ox++)
      for (int oc = 0; oc < op->out_c; oc++) {
        int32_t sum = bias[oc];
        for (int ky = 0; ky < op->kernel_h; ky++) {
          int iy = oy * op->stride_h + ky * op->dilation_h - op->pad_h;
          if (iy < 0 || iy >= op->in_h) continue;
          for (int kx = 0; kx < op->kernel_w; kx++) {
            int ix = ox * op->stride_w + kx * op->dilation_w - op->pad_w;
            if (ix < 0 || ix >= op->in_w) continue;
            sum += (x[(iy * op->in_w + ix) * op->in_c + oc / times] - op->in_zero) * weights[(ky * op->kernel_w + kx) * op->out_c + oc];
          }
        }
        *y++ = clamp(scaled(sum, multiplier[oc], shift[oc]) + op->out_zero, op->low, op->high);
      }
}

static void fully_connected(const Op *op, const int8_t *x, const int8_t *plan, int8_t *y) { /* in_h rows of in_c */
  const int32_t *bias = (const int32_t *)(plan + op->bias), *multiplier = (const int32_t *)(plan + op->multipliers);
  const int32_t *shift = (const int32_t *)(plan + op->shifts);
  for (int row = 0; row < op->in_h; row++)
    for (int oc = 0; oc < op->out_c; oc++) {
      int32_t sum = bias[oc] + dot(x + row * op->in_c, plan + op->weights + oc * op->in_c, op->in_c, -op->in_zero);
      *y++ = clamp(scaled(sum, multiplier[oc], shift[oc]) + op->out_zero, op->low, op->high);
    }
}

static void add(const Op *op, const int8_t *x, const int8_t *z, int8_t *y) { /* a, b: x; c, d: z; e, f: the sum */
  for (int i = 0; i < op->in_c; i++) {
    int32_t left = scaled((x[i] - op->in_zero) << 20, op->a, op->b), right = scaled((z[i] - op->other_zero) << 20, op->c, op->d);
    y[i] = clamp(scaled(left + right, op->e, op->f) + op->out_zero, op->low, op->high);
  }
}

/* in_h positions of in_c channels; kernel_h, kernel_w: how far z goes on from a position and from a channel; a, b: the product */
static void mul(const Op *op, const int8_t *x, const int8_t *z, int8_t *y) {
  for (int i = 0; i < op->in_h; i++, z += op->kernel_h)
    for (int j = 0; j < op->in_c; j++) {
      int32_t product = (*x++ - op->in_zero) * (z[j * op->kernel_w] - op->other_zero);
      *y++ = clamp(scaled(product, op->a, op->b) + op->out_zero, op->low, op->high);
    }
}

static void table(const Op *op, const int8_t *x, const int8_t *values, int8_t *y) { /* what becomes of -128, -127, ... 127 */
  for (int i = 0; i < op->in_c; i++) y[i] = values[x[i] + 128];
}

/* Where a result's row or column lies between two of the input's, in 1/1024 (ComputeInterpolationValuesInteger). */
static int32_t between(int32_t at, int32_t step, int32_t half_pixel, int32_t size, int32_t *low, int32_t *high) {
  int32_t place = at * step + (half_pixel ? step / 2 - (1 << 9) : 0), behind = (place + (1 << 10) - 1) / (1 << 10);
  *low = place / (1 << 10) > 0 ? place / (1 << 10) : 0;
  *high = behind < size - 1 ? behind : size - 1;
  return place - (1 << 10) * *low;
}

static void resize_bilinear(const Op *op, const int8_t *x, int8_t *y) { /* a, b: steps of rows and columns in 1/1024; c: half pixels */
  for (int oy = 0; oy < op->out_h; oy++) {
    int32_t top, bottom, down = between(oy, op->a, op->c, op->in_h, &top, &bottom);
    for (int ox = 0; ox < op->out_w; ox++) {
      int32_t left, right, across = between(ox, op->b, op->c, op->in_w, &left, &right);
      const int8_t *upper = x + top * op->in_w * op->in_c, *lower = x + bottom * op->in_w * op->in_c;
      for (int c = 0; c < op->in_c; c++) {
        int64_t sum = (int64_t)upper[left * op->in_c + c] * ((1 << 10) - down) * ((1 << 10) - across);
        sum += (int64_t)lower[left * op->in_c + c] * down * ((1 << 10) - across);
        sum += (int64_t)upper[right * op->in_c + c] * ((1 << 10) - down) * across;
        sum += (int64_t)lower[right * op->in_c + c] * down * across;
        *y++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
      }
    }
  }
}

static void pool(const Op *op, const int8_t *x, int8_t *y) {
  for (int oy = 0; oy < op->out_h; oy++)
    for (int ox = 0; ox < op->out_w; ox++)
      for (int c = 0; c < op->in_c; c++) {
        int32_t sum = 0, most = -128, count = 0;
        for (int ky = 0; ky < op->kernel_h; ky++)
          for (int kx = 0; kx < op->kernel_w; kx++) {
            int iy = oy * op->stride_h + ky - op->pad_h, ix = ox * op->stride_w + kx - op->pad_w;
            if (iy < 0 || iy >= op->in_h || ix < 0 || ix >= op->in_w) continue;
            int32_t value = x[(iy * op->in_w + ix) * op->in_c + c];
            sum += value, count++;
            if (value > most) most = value;
          }
        *y++ = clamp(op->kind == MAX_POOL_2D ? most : rounded_quotient(sum, count), op->low, op->high);
      }
}

static void mean(const Op *op, const int8_t *x, int8_t *y) { /* over height and width; a, b: input scale over output scale and count */
  int count = op->in_h * op->in_w;
  for (int c = 0; c < op->in_c; c++) {
    int32_t sum = 0;
    for (int i = 0; i < count; i++) sum += x[i * op->in_c + c] - op->in_zero;
    y[c] = clamp(scaled(sum, op->a, op->b) + op->out_zero, -128, 127);
  }
}

static void softmax(const Op *op, const int8_t *x, int8_t *y) { /* a: multiplier, b: left shift, c: smallest difference that counts */
  for (int row = 0; row < op->in_h; row++, x += op->in_c, y += op->in_c) {
    int32_t most = -128, sum = 0;
    for (int i = 0; i < op->in_c; i++) most = x[i] > most ? x[i] : most;
    for (int i = 0; i < op->in_c; i++) {
      int32_t difference = x[i] - most;
      if (difference >= op->c) sum += divided_by_power(exp_of_negative(high_product(difference * (1 << op->b), op->a)), 12);
    }
    int32_t headroom = __builtin_clz((uint32_t)sum), scale = reciprocal((int32_t)(((uint32_t)sum << headroom) - (1u << 31)));
    for (int i = 0; i < op->in_c; i++) {
      int32_t difference = x[i] - most, value = 0;
      if (difference >= op->c) {
        int32_t exponential = exp_of_negative(high_product(difference * (1 << op->b), op->a));
        value = divided_by_power(high_product(scale, exponential), 12 - headroom + 31 - 8);
      }
      y[i] = clamp(value - 128, -128, 127);
    }
  }
}

/* All that only moves values: reshape, transpose, slice, pad, concatenate. kernel and stride: sizes of four dimensions; dilation and
 * pad: the input's strides; a to d: the output's; e, f: where each begins; in_h: whether the output's in_c bytes are in_zero first. */
static void copy(const Op *op, const int8_t *x, int8_t *y) {
  if (op->in_h) memset(y, op->in_zero, op->in_c);
  for (int i = 0; i < op->kernel_h; i++)
    for (int j = 0; j < op->kernel_w; j++)
      for (int k = 0; k < op->stride_h; k++) {
        const int8_t *from = x + op->e + i * op->dilation_h + j * op->dilation_w + k * op->pad_h;
        int8_t *to = y + op->f + i * op->a + j * op->b + k * op->c;
        if (op->pad_w == 1 && op->d == 1)
          memmove(to, from, op->stride_w);
        else
          for (int l = 0; l < op->stride_w; l++) to[l * op->d] = from[l * op->pad_w];
      }
}

static void run_op(const Op *op, const int8_t *plan, int8_t *arena) {
  const int8_t *x = arena + op->input;
  int8_t *y = arena + op->output;
  switch (op->kind) {
    case CONV_2D: conv_2d(op, x, plan, y); break;
    case DEPTHWISE_CONV_2D: depthwise_conv_2d(op, x, plan, y); break;
    case FULLY_CONNECTED: fully_connected(op, x, plan, y); break;
    case ADD: add(op, x, arena + op->other, y); break;
    case AVERAGE_POOL_2D:
    case MAX_POOL_2D: pool(op, x, y); break;
    case MEAN: mean(op, x, y); break;
    case SOFTMAX: softmax(op, x, y); break;
    case COPY: copy(op, x, y); break;
    case MUL: mul(op, x, op->d ? plan + op->weights : arena + op->other, y); break;
    case TABLE: table(op, x, plan + op->weights, y); break;
    case RESIZE_BILINEAR: resize_bilinear(op, x, y); break;
  }
}
