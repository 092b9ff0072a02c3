// Convolutions of each channel by itself: vectors of channels, or with the batch last of examples.

#pragma once

#include "batch_last.h"
#include "common.h"

namespace {

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
        Index c = Start(v, channels);
        Vec own = Own(v, channels);
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
              Store(to, Load(to) + acc[j] * own);
            }
          }
        }
      }
    }
  });
  AddUp(pool, threads, sums, chunks, size);
  std::memcpy(gradient, sums, size * sizeof(float));
}

// Computes W outputs of a row, of one channel, each for a vector of examples.
template <int W>
void OwnColumns(const float* in, Index row_pitch, Index step, Index rows, Index taps,
                const float* kernel, Index kernel_row, Index kernel_column, float* out,
                Index out_pitch) {
  Vec acc[W] = {};
  for (Index r = 0; r < rows; ++r) {
    for (Index t = 0; t < taps; ++t) {
      Vec tap = Same(kernel[r * kernel_row + t * kernel_column]);
      const float* x = in + r * row_pitch + t * kLanes;
#pragma GCC unroll 16
      for (int m = 0; m < W; ++m) acc[m] += Load(x + m * step) * tap;
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < W; ++m) Store(out + m * out_pitch, acc[m]);
}

using OwnFunction = decltype(&OwnColumns<1>);

template <size_t... W>
OwnFunction OwnColumnsOf(Index columns, std::index_sequence<W...>) {
  constexpr OwnFunction all[] = {OwnColumns<W + 1>...};
  return all[columns - 1];
}

void ConvDepthwiseBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                            float* out, Image to, Index examples, const Axis& rows,
                            const Axis& columns, const float* kernel, Index kernel_width) {
  if (!rows.count || !columns.count || !rows.taps || !columns.taps) return;
  Index channels = from.pixel / examples, vectors = CeilDiv(examples, kLanes);
  kernel += (rows.tap_from * kernel_width + columns.tap_from) * channels;
  Index kernel_row = rows.tap_step * kernel_width * channels;
  Seen high = SeenBy(rows, 0, rows.count), wide = SeenBy(columns, 0, columns.count);
  Index line = wide.size * kLanes, step = columns.step * kLanes;
  Index tiles = CeilDiv(columns.count, kOwnColumns);
  Parallel(pool, threads, vectors * channels, [&](Index task) {
    Index c = task % channels, n = c * examples + Start(task / channels, examples);
    float* x = Scratch(1, high.size * line);
    CopyBlock(in + n, from, 1, examples, high, wide, Same(1.0f), x);
    for (Index h = 0; h < rows.count; ++h) {
      float* to_line = out + ((rows.out_from + h * rows.out_step) * to.width + columns.out_from) *
                                 to.pixel + n;
      for (Index t = 0; t < tiles; ++t) {
        Index w = PartStart(columns.count, tiles, t);
        Index count = PartStart(columns.count, tiles, t + 1) - w;
        auto function = OwnColumnsOf(count, std::make_index_sequence<kOwnColumns>());
        function(x + h * rows.step * line + w * step, line, step, rows.taps, columns.taps,
                 kernel + c, kernel_row, columns.tap_step * channels,
                 to_line + w * columns.out_step * to.pixel, columns.out_step * to.pixel);
      }
    }
  });
}

// Adds to sums what T neighbouring taps of a channel and its cotangents give, over some outputs.
template <int T>
void OwnTaps(const float* in, Index step, Index row_step, const float* ct, Index rows,
             Index columns, Vec* sums) {
  constexpr int kApart = T <= 2 ? 4 : T == 3 ? 3 : 2;  // sums, so that none waits for itself
  Vec acc[kApart][T] = {};
  for (Index r = 0; r < rows; ++r, in += row_step) {
    const float* x = in;
    Index w = 0;
    for (; w + kApart <= columns; w += kApart, x += kApart * step, ct += kApart * kLanes) {
#pragma GCC unroll 16
      for (int a = 0; a < kApart; ++a) {
        Vec y = Load(ct + a * kLanes);
#pragma GCC unroll 16
        for (int t = 0; t < T; ++t) acc[a][t] += Load(x + a * step + t * kLanes) * y;
      }
    }
    for (; w < columns; ++w, x += step, ct += kLanes) {
      Vec y = Load(ct);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) acc[0][t] += Load(x + t * kLanes) * y;
    }
  }
#pragma GCC unroll 16
  for (int a = 0; a < kApart; ++a) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) sums[t] += acc[a][t];
  }
}

void KernelDepthwiseBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                              const float* ct, Image outs, Index examples, const Axis& rows,
                              const Axis& columns, float* gradient) {
  static_assert(kTaps == 5);
  constexpr decltype(&OwnTaps<1>) of[] = {OwnTaps<1>, OwnTaps<2>, OwnTaps<3>, OwnTaps<4>,
                                          OwnTaps<5>};
  Index channels = from.pixel / examples, vectors = CeilDiv(examples, kLanes);
  Seen high = SeenBy(rows, 0, rows.count), wide = SeenBy(columns, 0, columns.count);
  Index line = wide.size * kLanes, ct_pixels = rows.count * columns.count;
  Index size = channels * rows.taps * columns.taps * kLanes, chunks = std::min(threads, channels);
  float* sums = Scratch(0, size);
  std::fill(sums, sums + size, 0.0f);
  Parallel(pool, threads, chunks, [&](Index chunk) {
    float* x = Scratch(1, high.size * line);
    float* y = Scratch(2, ct_pixels * kLanes);
    for (Index v = 0; v < vectors; ++v) {
      Index last = PartStart(channels, chunks, chunk + 1);
      for (Index c = PartStart(channels, chunks, chunk); c < last; ++c) {
        Index n = c * examples + Start(v, examples);
        CopyBlock(in + n, from, 1, examples, high, wide, Same(1.0f), x);
        CopyBlock(ct + n, outs, 1, examples, {0, rows.count}, {0, columns.count},
                  Own(v, examples), y);
        for (Index r = 0; r < rows.taps; ++r) {
          for (Index t = 0; t < columns.taps; t += kTaps) {
            Index tap = (c * rows.taps + r) * columns.taps + t;
            of[std::min<Index>(kTaps, columns.taps - t) - 1](
                x + r * line + t * kLanes, columns.step * kLanes, rows.step * line, y, rows.count,
                columns.count, reinterpret_cast<Vec*>(sums) + tap);
          }
        }
      }
    }
  });
  for (Index tap = 0; tap < rows.taps * columns.taps; ++tap) {
    for (Index c = 0; c < channels; ++c) {
      const float* lanes = sums + (c * rows.taps * columns.taps + tap) * kLanes;
      *gradient++ = std::accumulate(lanes, lanes + kLanes, 0.0f);
    }
  }
}

}  // namespace
