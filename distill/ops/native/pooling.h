// Max-pooling and its gradient.

#pragma once

#include "common.h"

namespace {

// Of images [height, width, pixel]; windows are disjoint, and a rest at the edge is in none. A pixel
// is what is neighbouring in memory: channels, or channels and examples.
struct Pooling {
  Image in, out;
  Index size;

  // Calls f(x, y) for each row of windows: where its pixels and its maxima begin.
  template <typename F>
  void ForEachRow(ffi::ThreadPool& pool, Index threads, Index images, const F& f) const {
    Parallel(pool, threads, images * out.height, [&](Index row) {
      Index n = row / out.height, h = row % out.height;
      f(n * in.size() + h * size * in.width * in.pixel, row * out.width * out.pixel);
    });
  }
};

void MaxOf(const Pooling& of, const float* __restrict x, float* __restrict y) {
  Index pixel = of.in.pixel;
  for (Index w = 0; w < of.out.width; ++w, y += pixel, x += of.size * pixel) {
    std::memcpy(y, x, pixel * sizeof(float));
    for (Index a = 0; a < of.size; ++a) {
      for (Index b = 0; b < of.size; ++b) {
        const float* other = x + (a * of.in.width + b) * pixel;
        for (Index c = 0; c < pixel; ++c) y[c] = y[c] < other[c] ? other[c] : y[c];
      }
    }
  }
}

// The maxima of a window share its gradient.
void SpreadOver(const Pooling& of, const float* __restrict x, const float* __restrict y,
                const float* __restrict ct, float* __restrict gradient, float* __restrict share) {
  Index pixel = of.in.pixel, used = of.out.width * of.size;
  for (Index a = 0; a < of.size; ++a) {
    float* rest = gradient + (a * of.in.width + used) * pixel;
    std::fill(rest, rest + (of.in.width - used) * pixel, 0.0f);
  }
  for (Index w = 0; w < of.out.width; ++w, y += pixel, ct += pixel) {
    std::fill(share, share + pixel, 0.0f);
    for (Index a = 0; a < of.size; ++a) {
      for (Index b = 0; b < of.size; ++b) {
        const float* one = x + (a * of.in.width + w * of.size + b) * pixel;
        for (Index c = 0; c < pixel; ++c) share[c] += one[c] == y[c] ? 1.0f : 0.0f;
      }
    }
    for (Index c = 0; c < pixel; ++c) share[c] = ct[c] / share[c];
    for (Index a = 0; a < of.size; ++a) {
      for (Index b = 0; b < of.size; ++b) {
        Index at = (a * of.in.width + w * of.size + b) * pixel;
        for (Index c = 0; c < pixel; ++c) gradient[at + c] = x[at + c] == y[c] ? share[c] : 0.0f;
      }
    }
  }
}

}  // namespace
