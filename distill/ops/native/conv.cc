// Convolutions for training on a CPU, called from XLA; see conv.py, which says what they compute.
//
// All of them are one loop: an accumulator for each of a few outputs stays in a register while a sum
// runs over taps and channels. What lies along the vector decides the layout.
//
// * Channels last, [N, H, W, C]: vectors of output channels. A product needs one number of the image,
//   broadcast, and one vector of the kernel, which serves `kPixels` outputs. Nothing is copied but
//   for the border of zeros.
// * Batch last, [H, W, C, N]: vectors of examples, for layers with fewer output channels than a
//   vector has lanes. A product needs one vector of the image and one number of the kernel.
// * Depthwise, channels last: vectors of channels.
//
// The gradient of the image is the same sum with the kernel turned round, one for each phase of the
// strides; that of the kernel is a sum over outputs with the accumulators along the taps. Sums that
// threads share are added up in an order that depends on their number and on nothing else.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Index = int64_t;

#if defined(__AVX512F__)
constexpr int kLanes = 16, kPixels = 8, kVectors = 3;  // 32 registers
#elif defined(__AVX__)
constexpr int kLanes = 8, kPixels = 6, kVectors = 2;  // 16
#elif defined(__aarch64__)
constexpr int kLanes = 4, kPixels = 8, kVectors = 3;  // 32
#else
constexpr int kLanes = 4, kPixels = 6, kVectors = 2;  // 16
#endif
constexpr int kColumns = kPixels - 1;  // of outputs that are computed together, batch last
constexpr int kFew = kVectors;         // output channels that are computed together, batch last
constexpr int kTaps = 5;               // of a row of the kernel whose gradients are, batch last
constexpr Index kCacheBytes = 256 << 10;  // of padded images that are worked on at a time
constexpr Index kGroupPixels = 128;       // at least, to use what is loaded of the kernel
constexpr Index kManySums = 100 << 10;    // gradients of a kernel that fill half a cache

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef float Unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Vec Load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
inline void Store(float* p, Vec v) { *reinterpret_cast<Unaligned*>(p) = v; }
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

// ---- Channels last ------------------------------------------------------------------------------

// A kernel as numbers at row * rows + column * columns + in * ins + out * outs.
struct Kernel {
  const float* at;
  Index rows, columns, ins, outs;
};

// How output channels are divided: `vectors` for each block but the last, which has what remains.
struct Blocks {
  Index outs, vectors, count;

  explicit Blocks(Index outs) : outs(outs) {
    Index all = CeilDiv(outs, kLanes);
    vectors = all % kVectors == 0 || all % 2 ? std::min<Index>(all, kVectors) : 2;
    count = CeilDiv(all, vectors);
  }
  Index first(Index block) const { return block * vectors * kLanes; }
  Index of(Index block) const {
    return std::min(vectors, CeilDiv(outs - first(block), kLanes));
  }
  Index padded() const { return CeilDiv(outs, kLanes) * kLanes; }
};

// Writes a kernel for `Tile`: [block, row, column, in, vector of out], with zeros as padding.
void Pack(const Kernel& kernel, const Axis& rows, const Axis& columns, Index ins,
          const Blocks& blocks, Index block, float* out) {
  Index first = blocks.first(block), width = blocks.of(block) * kLanes;
  Index valid = std::min(width, blocks.outs - first);
  out += first * rows.taps * columns.taps * ins;
  for (Index r = 0; r < rows.taps; ++r) {
    for (Index c = 0; c < columns.taps; ++c) {
      const float* tap = kernel.at + (rows.tap_from + r * rows.tap_step) * kernel.rows +
                         (columns.tap_from + c * columns.tap_step) * kernel.columns +
                         first * kernel.outs;
      for (Index i = 0; i < ins; ++i, out += width) {
        const float* from = tap + i * kernel.ins;
        if (kernel.outs == 1) {
          std::memcpy(out, from, valid * sizeof(float));
        } else {
          for (Index o = 0; o < valid; ++o) out[o] = from[o * kernel.outs];
        }
        std::fill(out + valid, out + width, 0.0f);
      }
    }
  }
}

// Computes V vectors of output channels of kPixels outputs: sums over `rows` rows, `pitch` apart, of
// `length` neighbouring numbers.
template <int V>
void Tile(const float* const* in, Index rows, Index pitch, Index length, const float* kernel,
          Vec (&sums)[kPixels][V]) {
  Vec acc[kPixels][V] = {};
  for (Index r = 0; r < rows; ++r) {
    const float* x[kPixels];
#pragma GCC unroll 16
    for (int m = 0; m < kPixels; ++m) x[m] = in[m] + r * pitch;
    for (Index k = 0; k < length; ++k, kernel += V * kLanes) {
      Vec w[V];
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) w[v] = Load(kernel + v * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < kPixels; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) acc[m][v] += x[m][k] * w[v];
      }
    }
  }
  std::memcpy(&sums, &acc, sizeof(acc));
}

struct Pixels {
  std::vector<Index> in, out;  // offsets of the outputs of one image
};

Pixels Offsets(const Axis& rows, const Axis& columns, Image padded, Image out) {
  Pixels pixels;
  for (Index h = 0; h < rows.count; ++h) {
    for (Index w = 0; w < columns.count; ++w) {
      pixels.in.push_back((h * rows.step * padded.width + w * columns.step) * padded.pixel);
      pixels.out.push_back(((rows.out_from + h * rows.out_step) * out.width + columns.out_from +
                            w * columns.out_step) * out.pixel);
    }
  }
  return pixels;
}

template <int V>
void Tiles(const float* in, Image padded, float* out, Image image, Index images,
           const Pixels& pixels, Index rows, Index length, const float* kernel, Index channels) {
  Index each = pixels.in.size(), total = images * each;
  for (Index begin = 0, n = 0, p = 0; begin < total; begin += kPixels) {
    const float* from[kPixels];
    float* to[kPixels];
    Index valid = std::min<Index>(kPixels, total - begin);
    for (Index m = 0; m < kPixels; ++m) {
      Index last = std::min(m, valid - 1);
      if (m == last) {
        from[m] = in + n * padded.size() + pixels.in[p];
        to[m] = out + n * image.size() + pixels.out[p];
        if (++p == each) p = 0, ++n;
      } else {
        from[m] = from[last];
      }
    }
    Vec sums[kPixels][V];
    Tile<V>(from, rows, padded.width * padded.pixel, length, kernel, sums);
    if (channels == V * kLanes) {
      for (Index m = 0; m < valid; ++m) {
        for (int v = 0; v < V; ++v) Store(to[m] + v * kLanes, sums[m][v]);
      }
    } else {
      for (Index m = 0; m < valid; ++m) std::memcpy(to[m], sums[m], channels * sizeof(float));
    }
  }
}

void ConvChannelsLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from, float* out,
                      Image to, Index images, const Axis& rows, const Axis& columns,
                      const Kernel& kernel) {
  if (!rows.count || !columns.count || !rows.taps || !columns.taps) return;
  Blocks blocks(to.pixel);
  Index taps = rows.taps * columns.taps * from.pixel;
  float* packed = Scratch(0, taps * blocks.padded());
  Parallel(pool, threads, blocks.count,
           [&](Index b) { Pack(kernel, rows, columns, from.pixel, blocks, b, packed); });
  Image padded = WithBorder(from, rows, columns);
  Pixels pixels = Offsets(rows, columns, padded, to);
  Index group = ImagesAtATime(padded, pixels.in.size(), CeilDiv(images, threads));
  Parallel(pool, threads, CeilDiv(images, group), [&](Index g) {
    Index begin = g * group, count = std::min(group, images - begin);
    Image image;
    const float* x = Padded(in + begin * from.size(), from, rows, columns, count, 1, &image);
    for (Index b = 0; b < blocks.count; ++b) {
      Index first = blocks.first(b), vectors = blocks.of(b);
      auto tiles = vectors == 1 ? Tiles<1> : vectors == 2 ? Tiles<2> : Tiles<kVectors>;
      tiles(x, image, out + begin * to.size() + first, to, count, pixels, rows.taps,
            columns.taps * from.pixel, packed + first * taps,
            std::min(to.pixel - first, vectors * kLanes));
    }
  });
}

// Adds to sums [M, stride] what M neighbouring inputs and V vectors of cotangents give, over all
// outputs of some images.
template <int M, int V>
void Outer(const float* in, Image image, Index step_h, Index step_w, const float* ct, Image outs,
           Index images, float* sums, Index stride) {
  Vec acc[M][V];
  for (int m = 0; m < M; ++m) {
    for (int v = 0; v < V; ++v) acc[m][v] = Load(sums + m * stride + v * kLanes);
  }
  for (Index n = 0; n < images; ++n) {
    for (Index h = 0; h < outs.height; ++h) {
      const float* x = in + n * image.size() + h * step_h * image.width * image.pixel;
      const float* d = ct + (n * outs.height + h) * outs.width * outs.pixel;
      for (Index w = 0; w < outs.width; ++w, x += step_w * image.pixel, d += outs.pixel) {
        Vec y[V];
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) y[v] = Load(d + v * kLanes);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
          for (int v = 0; v < V; ++v) acc[m][v] += x[m] * y[v];
        }
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int v = 0; v < V; ++v) Store(sums + m * stride + v * kLanes, acc[m][v]);
  }
}

using OuterFunction = decltype(&Outer<1, 1>);

template <int V>
OuterFunction OuterOf(Index m) {
  static_assert(kPixels <= 8);
  constexpr OuterFunction all[] = {Outer<1, V>, Outer<2, V>, Outer<3, V>, Outer<4, V>,
                                   Outer<5, V>, Outer<6, V>, Outer<7, V>, Outer<8, V>};
  return all[m - 1];
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

// Of so many channels that the sums of a thread would not stay in its cache: each thread has a part
// of the sums instead of the images. A block of cotangents stays there, while all taps and inputs
// go by.
void KernelOfManyChannels(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                          const float* ct, Image outs, Index images, const Axis& rows,
                          const Axis& columns, float* gradient) {
  Blocks blocks(outs.pixel);
  Index taps = rows.taps * columns.taps, tiles = CeilDiv(from.pixel, kPixels);
  Index pixels = outs.height * outs.width, block = kVectors * kLanes;
  Index group = std::min(images, CeilDiv(kCacheBytes / sizeof(float), block * pixels));
  std::fill(gradient, gradient + taps * from.pixel * outs.pixel, 0.0f);
  for (Index begin = 0; begin < images; begin += group) {
    Index count = std::min(group, images - begin);
    Image image;
    const float* x = Padded(in + begin * from.size(), from, rows, columns, count, 1, &image);
    for (Index b = 0; b < blocks.count; ++b) {
      Index first = blocks.first(b), vectors = blocks.of(b), width = vectors * kLanes;
      float* d = Scratch(2, count * pixels * width);
      for (Index p = 0; p < count * pixels; ++p) {
        std::memcpy(d + p * width, ct + (begin * pixels + p) * outs.pixel + first,
                    width * sizeof(float));
      }
      Parallel(pool, threads, taps * tiles, [&](Index task) {
        Index tap = task / tiles, i = task % tiles * kPixels;
        Index m = std::min<Index>(kPixels, from.pixel - i);
        auto outer = vectors == 1 ? OuterOf<1>(m) : vectors == 2 ? OuterOf<2>(m)
                                                                  : OuterOf<kVectors>(m);
        Index at = (tap / columns.taps * image.width + tap % columns.taps) * image.pixel + i;
        outer(x + at, image, rows.step, columns.step, d, {outs.height, outs.width, width}, count,
              gradient + (tap * from.pixel + i) * outs.pixel + first, outs.pixel);
      });
    }
  }
}

void KernelChannelsLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                        const float* ct, Image outs, Index images, const Axis& rows,
                        const Axis& columns, float* gradient) {
  Blocks blocks(outs.pixel);
  Index wide = blocks.padded(), taps = rows.taps * columns.taps * from.pixel;
  if (wide == outs.pixel && taps * wide > kManySums) {
    KernelOfManyChannels(pool, threads, in, from, ct, outs, images, rows, columns, gradient);
    return;
  }
  Image padded_outs = {outs.height, outs.width, wide};
  Image padded = WithBorder(from, rows, columns);
  Index chunks = std::min(threads, images), chunk = CeilDiv(images, chunks);
  float* sums = Scratch(0, chunks * taps * wide);
  Index group = ImagesAtATime(padded, rows.count * columns.count, chunk);
  // Neighbouring numbers of a row that one tap, or all taps of few channels, see.
  Index run = from.pixel >= kPixels ? from.pixel : columns.taps * from.pixel;
  Index runs = columns.taps * from.pixel / run;
  Parallel(pool, threads, chunks, [&](Index c) {
    float* sum = sums + c * taps * wide;
    std::fill(sum, sum + taps * wide, 0.0f);
    Index end = std::min(images, (c + 1) * chunk);
    for (Index begin = c * chunk; begin < end; begin += group) {
      Index count = std::min(group, end - begin);
      Image image;
      const float* x = Padded(in + begin * from.size(), from, rows, columns, count, 1, &image);
      const float* d = ct + begin * outs.size();
      if (wide != outs.pixel) {
        Index pixels = count * outs.height * outs.width;
        float* copy = Scratch(2, pixels * wide);
        for (Index p = 0; p < pixels; ++p) {
          std::memcpy(copy + p * wide, d + p * outs.pixel, outs.pixel * sizeof(float));
          std::fill(copy + p * wide + outs.pixel, copy + (p + 1) * wide, 0.0f);
        }
        d = copy;
      }
      for (Index b = 0; b < blocks.count; ++b) {
        Index first = blocks.first(b), vectors = blocks.of(b);
        for (Index i = 0; i < run; i += kPixels) {
          Index m = std::min<Index>(kPixels, run - i);
          auto outer = vectors == 1 ? OuterOf<1>(m) : vectors == 2 ? OuterOf<2>(m)
                                                                    : OuterOf<kVectors>(m);
          for (Index r = 0; r < rows.taps; ++r) {
            for (Index t = 0; t < runs; ++t) {
              Index at = t * run + i;
              outer(x + r * image.width * image.pixel + at, image, rows.step, columns.step,
                    d + first, padded_outs, count,
                    sum + (r * columns.taps * from.pixel + at) * wide + first, wide);
            }
          }
        }
      }
    }
  });
  AddUp(pool, threads, sums, chunks, taps * wide);
  for (Index t = 0; t < taps; ++t) {
    std::memcpy(gradient + t * outs.pixel, sums + t * wide, outs.pixel * sizeof(float));
  }
}

// ---- Depthwise ----------------------------------------------------------------------------------

// Starts of the vectors of channels: the last one overlaps its neighbour where it must.
inline Index Start(Index v, Index size) { return std::min(v * kLanes, size - kLanes); }

void ConvDepthwise(ffi::ThreadPool& pool, Index threads, const float* in, Image from, float* out,
                   Image to, Index images, const Axis& rows, const Axis& columns,
                   const float* kernel, Index kernel_width) {
  if (!rows.count || !columns.count || !rows.taps || !columns.taps) return;
  Index channels = from.pixel;
  Parallel(pool, threads, images, [&](Index n) {
    Image image;
    const float* x = Padded(in + n * from.size(), from, rows, columns, 1, 1, &image);
    for (Index v = 0; v < CeilDiv(channels, kLanes); ++v) {
      Index c = Start(v, channels);
      for (Index h = 0; h < rows.count; ++h) {
        const float* line = x + h * rows.step * image.width * channels + c;
        float* to_line = out + n * to.size() + c +
                         ((rows.out_from + h * rows.out_step) * to.width + columns.out_from) *
                             channels;
        for (Index w = 0; w < columns.count; w += kPixels) {
          Index valid = std::min<Index>(kPixels, columns.count - w);
          const float* at[kPixels];
          for (Index m = 0; m < kPixels; ++m) {
            at[m] = line + (w + std::min(m, valid - 1)) * columns.step * channels;
          }
          Vec acc[kPixels] = {};
          for (Index r = 0; r < rows.taps; ++r) {
            const float* k = kernel + c +
                             ((rows.tap_from + r * rows.tap_step) * kernel_width +
                              columns.tap_from) * channels;
            for (Index t = 0; t < columns.taps; ++t) {
              Vec tap = Load(k + t * columns.tap_step * channels);
              Index offset = (r * image.width + t) * channels;
#pragma GCC unroll 16
              for (int m = 0; m < kPixels; ++m) acc[m] += Load(at[m] + offset) * tap;
            }
          }
          for (Index m = 0; m < valid; ++m) {
            Store(to_line + (w + m) * columns.out_step * channels, acc[m]);
          }
        }
      }
    }
  });
}

void KernelDepthwise(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                     const float* ct, Image outs, Index images, const Axis& rows,
                     const Axis& columns, float* gradient) {
  Index channels = from.pixel, size = rows.taps * columns.taps * channels;
  Index chunks = std::min(threads, images), chunk = CeilDiv(images, chunks);
  float* sums = Scratch(0, chunks * size);
  Parallel(pool, threads, chunks, [&](Index task) {
    float* sum = sums + task * size;
    std::fill(sum, sum + size, 0.0f);
    for (Index n = task * chunk; n < std::min(images, (task + 1) * chunk); ++n) {
      Image image;
      const float* x = Padded(in + n * from.size(), from, rows, columns, 1, 1, &image);
      const float* d = ct + n * outs.size();
      for (Index v = 0; v < CeilDiv(channels, kLanes); ++v) {
        Index c = Start(v, channels), new_lanes = v * kLanes - c;  // those before are counted
        for (Index r = 0; r < rows.taps; ++r) {
          for (Index t = 0; t < columns.taps; t += kPixels) {
            Index taps = std::min<Index>(kPixels, columns.taps - t);
            Vec acc[kPixels] = {};
            for (Index h = 0; h < outs.height; ++h) {
              const float* line = x + ((h * rows.step + r) * image.width + t) * channels + c;
              const float* cts = d + h * outs.width * channels + c;
              for (Index w = 0; w < outs.width; ++w) {
                Vec y = Load(cts + w * channels);
                const float* at = line + w * columns.step * channels;
                if (taps == 3) {  // the usual one
                  for (int j = 0; j < 3; ++j) acc[j] += Load(at + j * channels) * y;
                } else {
                  for (Index j = 0; j < taps; ++j) acc[j] += Load(at + j * channels) * y;
                }
              }
            }
            for (Index j = 0; j < taps; ++j) {
              float* to = sum + (r * columns.taps + t + j) * channels + c;
              for (Index lane = new_lanes; lane < kLanes; ++lane) to[lane] += acc[j][lane];
            }
          }
        }
      }
    }
  });
  AddUp(pool, threads, sums, chunks, size);
  std::memcpy(gradient, sums, size * sizeof(float));
}

// ---- Batch last ---------------------------------------------------------------------------------

// Computes O channels of W outputs of a row, each for a vector of examples.
template <int O, int W>
void Columns(const float* in, Index row_pitch, Index column_pitch, Index examples, Index rows,
             Index length, Index step, const float* kernel, float* out, Index out_pitch) {
  Vec acc[W][O] = {};
  for (Index r = 0; r < rows; ++r) {
    const float* x = in + r * row_pitch;
    for (Index k = 0; k < length; ++k, x += examples, kernel += O) {
      Vec w[O];
#pragma GCC unroll 16
      for (int o = 0; o < O; ++o) w[o] = Vec{} + kernel[o];
#pragma GCC unroll 16
      for (int m = 0; m < W; ++m) {
        Vec pixel = Load(x + m * step * column_pitch);
#pragma GCC unroll 16
        for (int o = 0; o < O; ++o) acc[m][o] += pixel * w[o];
      }
    }
  }
  for (int m = 0; m < W; ++m) {
    for (int o = 0; o < O; ++o) Store(out + m * out_pitch + o * examples, acc[m][o]);
  }
}

template <int W>
auto ColumnsOf(Index outs) {
  static_assert(kFew <= 3);
  return outs == 1 ? Columns<1, W> : outs == 2 ? Columns<2, W> : Columns<kFew, W>;
}

// A kernel for `Columns`: [block of outs, row, column, in, out].
std::vector<float> PackFew(const Kernel& kernel, const Axis& rows, const Axis& columns, Index ins,
                           Index outs) {
  std::vector<float> packed;
  for (Index first = 0; first < outs; first += kFew) {
    for (Index r = 0; r < rows.taps; ++r) {
      for (Index c = 0; c < columns.taps; ++c) {
        for (Index i = 0; i < ins; ++i) {
          for (Index o = first; o < std::min<Index>(outs, first + kFew); ++o) {
            packed.push_back(kernel.at[(rows.tap_from + r * rows.tap_step) * kernel.rows +
                                       (columns.tap_from + c * columns.tap_step) *
                                           kernel.columns +
                                       i * kernel.ins + o * kernel.outs]);
          }
        }
      }
    }
  }
  return packed;
}

void ConvBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from, Index ins,
                   float* out, Image to, Index outs, Index examples, const Axis& rows,
                   const Axis& columns, const Kernel& kernel) {
  if (!rows.count || !columns.count || !rows.taps || !columns.taps) return;
  std::vector<float> packed = PackFew(kernel, rows, columns, ins, outs);
  Image image;
  const float* x = Padded(in, from, rows, columns, 1, 1, &image);
  Index row_pitch = image.width * image.pixel, length = columns.taps * ins;
  Index vectors = CeilDiv(examples, kLanes);
  Parallel(pool, threads, rows.count, [&](Index h) {
    const float* line = x + h * rows.step * row_pitch;
    float* to_line = out + ((rows.out_from + h * rows.out_step) * to.width + columns.out_from) *
                               to.pixel;
    for (Index v = 0; v < vectors; ++v) {
      Index n = Start(v, examples);
      for (Index o = 0; o < outs; o += kFew) {
        Index few = std::min<Index>(kFew, outs - o);
        const float* k = packed.data() + o * rows.taps * length;
        auto compute = [&](auto function, Index w) {
          function(line + w * columns.step * image.pixel + n, row_pitch, image.pixel, examples,
                   rows.taps, length, columns.step, k,
                   to_line + w * columns.out_step * to.pixel + o * examples + n,
                   columns.out_step * to.pixel);
        };
        if (columns.count < kColumns) {
          for (Index w = 0; w < columns.count; ++w) compute(ColumnsOf<1>(few), w);
        } else {
          for (Index w = 0; w < columns.count; w += kColumns) {
            compute(ColumnsOf<kColumns>(few), std::min(w, columns.count - kColumns));
          }
        }
      }
    }
  });
}

// Adds to sums what T neighbouring taps of an input channel and O channels of cotangents give, over
// a row of outputs.
template <int T, int O>
void Row(const float* in, Index tap_pitch, Index step, const float* ct, Index ct_pitch,
         Index examples, Index count, Vec keep, Vec* sums) {
  Vec acc[T][O];
  std::memcpy(&acc, sums, sizeof(acc));
  for (Index w = 0; w < count; ++w, in += step, ct += ct_pitch) {
    Vec y[O];
#pragma GCC unroll 16
    for (int o = 0; o < O; ++o) y[o] = Load(ct + o * examples) * keep;
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      Vec pixel = Load(in + t * tap_pitch);
#pragma GCC unroll 16
      for (int o = 0; o < O; ++o) acc[t][o] += pixel * y[o];
    }
  }
  std::memcpy(sums, &acc, sizeof(acc));
}

using RowFunction = decltype(&Row<1, 1>);

template <int O>
RowFunction RowOf(Index taps) {
  constexpr RowFunction all[] = {Row<1, O>, Row<2, O>, Row<3, O>, Row<4, O>, Row<5, O>};
  return all[taps - 1];
}

void KernelBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from, Index ins,
                     const float* ct, Image outs, Index out_channels, Index examples,
                     const Axis& rows, const Axis& columns, float* gradient) {
  Image image;
  const float* x = Padded(in, from, rows, columns, 1, 1, &image);
  Index vectors = CeilDiv(examples, kLanes);
  Vec all = Vec{} + 1.0f, rest = all;
  for (Index lane = 0; lane < (vectors * kLanes - examples); ++lane) rest[lane] = 0.0f;
  Index blocks = CeilDiv(out_channels, kFew), pieces = CeilDiv(columns.taps, kTaps);
  Index sets = rows.taps * ins * blocks * pieces;  // of kTaps * kFew sums
  Index chunks = std::min(threads, rows.count), chunk = CeilDiv(rows.count, chunks);
  Index size = sets * kTaps * kFew * kLanes;
  float* sums = Scratch(0, chunks * size);
  Parallel(pool, threads, chunks, [&](Index c) {
    float* sum = sums + c * size;
    std::fill(sum, sum + size, 0.0f);
    for (Index h = c * chunk; h < std::min(rows.count, (c + 1) * chunk); ++h) {
      for (Index v = 0; v < vectors; ++v) {
        Index n = Start(v, examples);
        const float* d = ct + h * outs.width * outs.pixel + n;
        Vec* at = reinterpret_cast<Vec*>(sum);
        for (Index r = 0; r < rows.taps; ++r) {
          const float* line = x + (h * rows.step + r) * image.width * image.pixel + n;
          for (Index i = 0; i < ins; ++i) {
            for (Index o = 0; o < out_channels; o += kFew) {
              Index few = std::min<Index>(kFew, out_channels - o);
              for (Index t = 0; t < columns.taps; t += kTaps, at += kTaps * kFew) {
                Index taps = std::min<Index>(kTaps, columns.taps - t);
                auto row = few == 1 ? RowOf<1>(taps) : few == 2 ? RowOf<2>(taps)
                                                                : RowOf<kFew>(taps);
                row(line + t * image.pixel + i * examples, image.pixel,
                    columns.step * image.pixel, d + o * examples, outs.pixel, examples,
                    columns.count, v + 1 < vectors ? all : rest, at);
              }
            }
          }
        }
      }
    }
  });
  AddUp(pool, threads, sums, chunks, size);
  const float* at = sums;
  for (Index r = 0; r < rows.taps; ++r) {
    for (Index i = 0; i < ins; ++i) {
      for (Index o = 0; o < out_channels; o += kFew) {
        Index few = std::min<Index>(kFew, out_channels - o);
        for (Index t = 0; t < columns.taps; t += kTaps, at += kTaps * kFew * kLanes) {
          for (Index tap = t; tap < std::min(columns.taps, t + kTaps); ++tap) {
            for (Index q = 0; q < few; ++q) {
              const float* lanes = at + ((tap - t) * few + q) * kLanes;
              float total = 0.0f;
              for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
              gradient[((r * columns.taps + tap) * ins + i) * out_channels + o + q] = total;
            }
          }
        }
      }
    }
  }
}

// ---- Max-pooling --------------------------------------------------------------------------------

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

// ---- Sums over pixels ----------------------------------------------------------------------------

constexpr Index kSumFloats = 16 << 10;  // of an array whose sums are added up in float32

// Adds to `sums` those of a, and behind them those of a * (b - shift), for each channel.
void AddRows(const float* __restrict a, const float* __restrict b, const float* __restrict shift,
             Index rows, Index channels, float* __restrict sums) {
  float* __restrict products = sums + channels;
  Index r = 0;
  for (; r + 4 <= rows; r += 4, a += 4 * channels, b += 4 * channels) {
    for (Index c = 0; c < channels; ++c) {
      float a0 = a[c], a1 = a[channels + c], a2 = a[2 * channels + c], a3 = a[3 * channels + c];
      float m = shift[c];
      sums[c] += (a0 + a1) + (a2 + a3);
      products[c] += (a0 * (b[c] - m) + a1 * (b[channels + c] - m)) +
                     (a2 * (b[2 * channels + c] - m) + a3 * (b[3 * channels + c] - m));
    }
  }
  for (; r < rows; ++r, a += channels, b += channels) {
    for (Index c = 0; c < channels; ++c) {
      sums[c] += a[c];
      products[c] += a[c] * (b[c] - shift[c]);
    }
  }
}

// The pieces, and their order, depend on the shape alone: so do the sums, to the last bit.
void SumPixels(ffi::ThreadPool& pool, Index threads, const float* a, const float* b,
               const float* shift, Index rows, Index channels, float* out) {
  Index piece = std::max<Index>(4, kSumFloats / channels), pieces = CeilDiv(rows, piece);
  float* sums = Scratch(0, pieces * 2 * channels);
  Parallel(pool, threads, pieces, [&](Index i) {
    float* own = sums + i * 2 * channels;
    std::fill(own, own + 2 * channels, 0.0f);
    Index from = i * piece;
    AddRows(a + from * channels, b + from * channels, shift, std::min(piece, rows - from),
            channels, own);
  });
  for (Index c = 0; c < 2 * channels; ++c) {
    double total = 0.0;
    for (Index i = 0; i < pieces; ++i) total += sums[i * 2 * channels + c];
    out[c] = static_cast<float>(total);
  }
}

// ---- What XLA calls -----------------------------------------------------------------------------

enum Layout { kChannelsLast, kBatchLast, kDepthwise };

struct Options {
  Index layout, stride_h, stride_w, top, left, threads;
};

using Array = ffi::Buffer<ffi::F32, 4>;
using Result = ffi::Result<Array>;
using Vector = ffi::Buffer<ffi::F32, 1>;
using Matrix = ffi::Buffer<ffi::F32, 2>;

Image Of(ffi::Span<const Index> shape, bool batch_last) {
  return {shape[1], shape[2], batch_last ? shape[3] * shape[0] : shape[3]};
}

ffi::Error Conv(ffi::ThreadPool pool, Array x, Array k, Result y, Index layout, Index stride_h,
                Index stride_w, Index top, Index left, Index threads) {
  auto xs = x.dimensions(), ks = k.dimensions(), ys = y->dimensions();
  bool batch_last = layout == kBatchLast;
  Image from = Of(xs, batch_last), to = Of(ys, batch_last);
  Axis rows = Forward(ys[1], ks[0], stride_h, top);
  Axis columns = Forward(ys[2], ks[1], stride_w, left);
  Kernel kernel = {k.typed_data(), ks[1] * ks[2] * ks[3], ks[2] * ks[3], ks[3], 1};
  if (layout == kDepthwise) {
    ConvDepthwise(pool, threads, x.typed_data(), from, y->typed_data(), to, xs[0], rows, columns,
                  kernel.at, ks[1]);
  } else if (batch_last) {
    ConvBatchLast(pool, threads, x.typed_data(), from, xs[3], y->typed_data(), to, ys[3], xs[0],
                  rows, columns, kernel);
  } else {
    ConvChannelsLast(pool, threads, x.typed_data(), from, y->typed_data(), to, xs[0], rows,
                     columns, kernel);
  }
  return ffi::Error::Success();
}

ffi::Error ConvImage(ffi::ThreadPool pool, Array ct, Array k, Result x, Index layout,
                     Index stride_h, Index stride_w, Index top, Index left, Index threads) {
  auto cs = ct.dimensions(), ks = k.dimensions(), xs = x->dimensions();
  bool batch_last = layout == kBatchLast;
  Image from = Of(cs, batch_last), to = Of(xs, batch_last);
  Kernel kernel = {k.typed_data(), ks[1] * ks[2] * ks[3], ks[2] * ks[3], 1, ks[3]};
  if (ks[0] < stride_h || ks[1] < stride_w) {  // some pixels are not seen
    std::memset(x->typed_data(), 0, x->size_bytes());
  }
  for (Index a = 0; a < stride_h; ++a) {
    Axis rows = Backward(xs[1], ks[0], stride_h, top, a);
    for (Index b = 0; b < stride_w; ++b) {
      Axis columns = Backward(xs[2], ks[1], stride_w, left, b);
      if (layout == kDepthwise) {
        ConvDepthwise(pool, threads, ct.typed_data(), from, x->typed_data(), to, xs[0], rows,
                      columns, kernel.at, ks[1]);
      } else if (batch_last) {
        ConvBatchLast(pool, threads, ct.typed_data(), from, cs[3], x->typed_data(), to, xs[3],
                      xs[0], rows, columns, kernel);
      } else {
        ConvChannelsLast(pool, threads, ct.typed_data(), from, x->typed_data(), to, xs[0], rows,
                         columns, kernel);
      }
    }
  }
  return ffi::Error::Success();
}

ffi::Error ConvKernel(ffi::ThreadPool pool, Array x, Array ct, Result k, Index layout,
                      Index stride_h, Index stride_w, Index top, Index left, Index threads) {
  auto xs = x.dimensions(), cs = ct.dimensions(), ks = k->dimensions();
  bool batch_last = layout == kBatchLast;
  Image from = Of(xs, batch_last), outs = Of(cs, batch_last);
  Axis rows = Forward(cs[1], ks[0], stride_h, top);
  Axis columns = Forward(cs[2], ks[1], stride_w, left);
  if (layout == kDepthwise) {
    KernelDepthwise(pool, threads, x.typed_data(), from, ct.typed_data(), outs, xs[0], rows,
                    columns, k->typed_data());
  } else if (batch_last) {
    KernelBatchLast(pool, threads, x.typed_data(), from, xs[3], ct.typed_data(), outs, cs[3],
                    xs[0], rows, columns, k->typed_data());
  } else {
    KernelChannelsLast(pool, threads, x.typed_data(), from, ct.typed_data(), outs, xs[0], rows,
                       columns, k->typed_data());
  }
  return ffi::Error::Success();
}

ffi::Error MaxPool(ffi::ThreadPool pool, Array x, Result y, Index layout, Index size,
                   Index threads) {
  bool batch_last = layout == kBatchLast;
  Pooling of = {Of(x.dimensions(), batch_last), Of(y->dimensions(), batch_last), size};
  const float* in = x.typed_data();
  float* out = y->typed_data();
  of.ForEachRow(pool, threads, batch_last ? 1 : x.dimensions()[0],
                [&](Index from, Index to) { MaxOf(of, in + from, out + to); });
  return ffi::Error::Success();
}

ffi::Error MaxPoolImage(ffi::ThreadPool pool, Array x, Array y, Array ct, Result gradient,
                        Index layout, Index size, Index threads) {
  bool batch_last = layout == kBatchLast;
  Pooling of = {Of(x.dimensions(), batch_last), Of(y.dimensions(), batch_last), size};
  Index images = batch_last ? 1 : x.dimensions()[0], used = of.out.height * size;
  float* out = gradient->typed_data();
  for (Index n = 0; n < images; ++n) {
    Index line = of.in.width * of.in.pixel;
    std::fill(out + n * of.in.size() + used * line, out + (n + 1) * of.in.size(), 0.0f);
  }
  of.ForEachRow(pool, threads, images, [&](Index from, Index to) {
    SpreadOver(of, x.typed_data() + from, y.typed_data() + to, ct.typed_data() + to, out + from,
               Scratch(1, of.in.pixel));
  });
  return ffi::Error::Success();
}

ffi::Error ChannelSums(ffi::ThreadPool pool, Array a, Array b, Vector shift,
                       ffi::Result<Matrix> sums, Index threads) {
  auto shape = a.dimensions();
  SumPixels(pool, threads, a.typed_data(), b.typed_data(), shift.typed_data(),
            shape[0] * shape[1] * shape[2], shape[3], sums->typed_data());
  return ffi::Error::Success();
}

auto Binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Array>()
      .Arg<Array>()
      .Ret<Array>()
      .Attr<Index>("layout")
      .Attr<Index>("stride_h")
      .Attr<Index>("stride_w")
      .Attr<Index>("top")
      .Attr<Index>("left")
      .Attr<Index>("threads");
}

}  // namespace

extern "C" int distill_lanes() { return kLanes; }

XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_conv, Conv, Binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_conv_image, ConvImage, Binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_conv_kernel, ConvKernel, Binding());

XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_max_pool, MaxPool,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Attr<Index>("layout")
                                  .Attr<Index>("size")
                                  .Attr<Index>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_max_pool_image, MaxPoolImage,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Attr<Index>("layout")
                                  .Attr<Index>("size")
                                  .Attr<Index>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_channel_sums, ChannelSums,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Vector>()
                                  .Ret<Matrix>()
                                  .Attr<Index>("threads"));
