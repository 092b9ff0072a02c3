// Convolutions with the channels last, [N, H, W, C]: vectors of output channels.
//
// A product needs one number of the image, broadcast, and one vector of the kernel, which serves
// `kPixels` outputs. Nothing is copied but for the border of zeros.

#pragma once

#include "common.h"

namespace {

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

}  // namespace
