/* Convolutions and products of the device of device.h: plain loops, sums in double. */
#ifndef TESTS_FAKE_MATH_HPP
#define TESTS_FAKE_MATH_HPP

extern "C" {
#include "backend/cuda/calls.h"
#include "tensor/bf16.h"
}

/* Both return 0. a, b, c: the op's arguments in its order. */
int fake_conv(const cuda_conv_desc &desc, void *a, void *b, void *c, const float *bias);
int fake_product(const cuda_product_desc &desc, const void *a, const void *b, void *c, const float *bias);

#endif
