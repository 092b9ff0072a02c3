// What the kernels have in common: vectors, threads, and how images and kernels lie in memory.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Index = int64_t;

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32, kPixels = 8, kVectors = 3;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisters = 16, kPixels = 6, kVectors = 2;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 32, kPixels = 8, kVectors = 3;
#else
constexpr int kLanes = 4, kRegisters = 16, kPixels = 6, kVectors = 2;
#endif
// With the batch last.
constexpr int kFew = kRegisters / 5;  // output channels that are computed together, at most
constexpr int kMostColumns = 8;       // of outputs that are
constexpr int kOwnColumns = kRegisters > 16 ? 14 : 12;  // of a channel that is by itself
constexpr int kTaps = 5, kMaxOuts = 6;  // taps in a row, and channels, whose gradients are, at most
constexpr Index kBlockFloats = 16 << 10;  // of the images that a vector of examples is copied from
constexpr Index kBandFloats = 4 << 10;    // of the cotangents
constexpr Index kCacheBytes = 256 << 10;  // of padded images that are worked on at a time
constexpr Index kGroupPixels = 128;       // at least, to use what is loaded of the kernel
constexpr Index kManySums = 100 << 10;    // gradients of a kernel that fill half a cache

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef float Unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Vec Load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
inline void Store(float* p, Vec v) { *reinterpret_cast<Unaligned*>(p) = v; }
template <size_t... I>
Vec SameInAll(float x, std::index_sequence<I...>) {
  return Vec{((void)I, x)...};
}
inline Vec Same(float x) { return SameInAll(x, std::make_index_sequence<kLanes>()); }

// Keeps a vector in a register: loaded again for each product, it would take the time of one.
inline void Keep(Vec& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
}

constexpr Index CeilDiv(Index a, Index b) { return (a + b - 1) / b; }

// Memory of a thread that stays, so that the system is not asked for it with each call.
float* Scratch(int which, Index floats) {
  thread_local std::vector<float> memory[4];
  auto& m = memory[which];
  if (m.size() < static_cast<size_t>(floats + kLanes)) m.resize(floats + kLanes);
  auto address = reinterpret_cast<uintptr_t>(m.data());
  return m.data() + (-address / 4) % kLanes;
}

// Runs f(0) ... f(tasks - 1) on up to `threads` threads of XLA's. The caller works too, and waits
// only for what others have begun, so that a pool without a free thread costs time and no more.
template <typename F>
void Parallel(ffi::ThreadPool& pool, Index threads, Index tasks, const F& f) {
  threads = std::min(threads, tasks);
  if (threads <= 1) {
    for (Index i = 0; i < tasks; ++i) f(i);
    return;
  }
  struct Shared {
    std::atomic<Index> next{0}, done{0};
  };
  auto shared = std::make_shared<Shared>();
  auto work = [shared, tasks, &f] {  // one that comes too late finds nothing left, and touches no f
    for (Index i; (i = shared->next.fetch_add(1)) < tasks;) {
      f(i);
      shared->done.fetch_add(1);
    }
  };
  for (Index i = 1; i < threads; ++i) pool.Schedule(decltype(work)(work));
  work();
  while (shared->done.load() < tasks) std::this_thread::yield();
}

// Along one axis: output i, at out_from + i * out_step, is the sum over the taps t of input
// from + i * step + t times number tap_from + t * tap_step of the kernel.
struct Axis {
  Index count, step, from, out_step, out_from, taps, tap_from, tap_step;

  Index before() const { return std::max<Index>(0, -from); }
  Index after(Index size) const {
    return std::max<Index>(0, (count - 1) * step + from + taps - size);
  }
};

Axis Forward(Index count, Index taps, Index stride, Index padding) {
  return {count, stride, -padding, 1, 0, taps, 0, 1};
}

// The gradient of the inputs i for which (i + padding) % stride is `phase`.
Axis Backward(Index size, Index taps, Index stride, Index padding, Index phase) {
  Index first = (((phase - padding) % stride) + stride) % stride;
  Index count = first < size ? CeilDiv(size - first, stride) : 0;
  Index reached = phase < taps ? CeilDiv(taps - phase, stride) : 0;
  Index last = (first + padding - phase) / stride;  // the output that tap `phase` leads to
  return {count, 1, last - (reached - 1), stride, first,
          reached, phase + stride * (reached - 1), -stride};
}

// An image [height, width, pixel], the last of any size.
struct Image {
  Index height, width, pixel;
  Index size() const { return height * width * pixel; }
};

// Returns where the image begins that an output's first tap sees, in a copy with a border of zeros,
// or without a copy where none is needed.
const float* Padded(const float* in, Image image, const Axis& rows, const Axis& columns,
                    Index images, int scratch, Image* padded) {
  Index top = rows.before(), left = columns.before();
  Index bottom = rows.after(image.height), right = columns.after(image.width);
  *padded = {top + image.height + bottom, left + image.width + right, image.pixel};
  if (top + left + bottom + right > 0) {
    float* out = Scratch(scratch, images * padded->size());
    Index line = image.width * image.pixel, padded_line = padded->width * padded->pixel;
    for (Index n = 0; n < images; ++n) {
      float* p = out + n * padded->size();
      std::memset(p, 0, top * padded_line * sizeof(float));
      p += top * padded_line;
      for (Index h = 0; h < image.height; ++h, p += padded_line) {
        std::memset(p, 0, left * padded->pixel * sizeof(float));
        std::memcpy(p + left * padded->pixel, in, line * sizeof(float));
        std::memset(p + left * padded->pixel + line, 0, right * padded->pixel * sizeof(float));
        in += line;
      }
      std::memset(p, 0, bottom * padded_line * sizeof(float));
    }
    in = out;
  }
  Index row = rows.from + top, column = columns.from + left;
  return in + (row * padded->width + column) * padded->pixel;
}

Index ImagesAtATime(Image padded, Index pixels, Index images) {
  Index fit = kCacheBytes / (padded.size() * static_cast<Index>(sizeof(float)));
  return std::clamp<Index>(fit, CeilDiv(kGroupPixels, pixels), std::max<Index>(1, images));
}

Image WithBorder(Image image, const Axis& rows, const Axis& columns) {
  return {image.height + rows.before() + rows.after(image.height),
          image.width + columns.before() + columns.after(image.width), image.pixel};
}

// Starts of the vectors along an axis: the last one overlaps its neighbour where it must.
inline Index Start(Index v, Index size) { return std::min(v * kLanes, size - kLanes); }

// 1 in the lanes that are not in a vector before it, and 0 in the others.
inline Vec Own(Index v, Index size) {
  Vec own = Same(1.0f);
  for (Index lane = 0; lane < v * kLanes - Start(v, size); ++lane) own[lane] = 0.0f;
  return own;
}

// Adds up what the chunks have summed, [chunks, size], into chunk 0.
void AddUp(ffi::ThreadPool& pool, Index threads, float* sums, Index chunks, Index size) {
  if (chunks == 1) return;
  Parallel(pool, threads, threads, [&](Index t) {
    for (Index c = 1; c < chunks; ++c) {
      const float* other = sums + c * size;
      for (Index i = t * size / threads; i < (t + 1) * size / threads; ++i) sums[i] += other[i];
    }
  });
}

// A kernel as numbers at row * rows + column * columns + in * ins + out * outs.
struct Kernel {
  const float* at;
  Index rows, columns, ins, outs;
};

}  // namespace
