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
void OwnColumns(const float* in, Index row_pitch, Index column_pitch, const Axis& rows,
                const Axis& columns, const float* kernel, Index kernel_row, Index kernel_column,
                float* out, Index out_pitch) {
  Vec acc[W] = {};
  for (Index r = 0; r < rows.taps; ++r) {
    for (Index t = 0; t < columns.taps; ++t) {
      Vec tap = Vec{} + kernel[r * kernel_row + t * kernel_column];
      const float* x = in + r * row_pitch + t * column_pitch;
#pragma GCC unroll 16
      for (int m = 0; m < W; ++m) acc[m] += Load(x + m * columns.step * column_pitch) * tap;
    }
  }
  for (int m = 0; m < W; ++m) Store(out + m * out_pitch, acc[m]);
}

void ConvDepthwiseBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                            float* out, Image to, Index examples, const Axis& rows,
                            const Axis& columns, const float* kernel, Index kernel_width) {
  if (!rows.count || !columns.count || !rows.taps || !columns.taps) return;
  Image image;
  const float* x = Padded(in, from, rows, columns, 1, 1, &image);
  Index channels = from.pixel / examples, vectors = CeilDiv(examples, kLanes);
  kernel += (rows.tap_from * kernel_width + columns.tap_from) * channels;
  Index kernel_row = rows.tap_step * kernel_width * channels;
  Parallel(pool, threads, rows.count, [&](Index h) {
    const float* line = x + h * rows.step * image.width * image.pixel;
    float* to_line = out + ((rows.out_from + h * rows.out_step) * to.width + columns.out_from) *
                               to.pixel;
    for (Index c = 0; c < channels; ++c) {
      for (Index v = 0; v < vectors; ++v) {
        Index n = c * examples + Start(v, examples);
        auto compute = [&](auto function, Index w) {
          function(line + w * columns.step * image.pixel + n, image.width * image.pixel,
                   image.pixel, rows, columns, kernel + c, kernel_row,
                   columns.tap_step * channels, to_line + w * columns.out_step * to.pixel + n,
                   columns.out_step * to.pixel);
        };
        if (columns.count < kColumns) {
          for (Index w = 0; w < columns.count; ++w) compute(OwnColumns<1>, w);
        } else {
          for (Index w = 0; w < columns.count; w += kColumns) {
            compute(OwnColumns<kColumns>, std::min(w, columns.count - kColumns));
          }
        }
      }
    }
  });
}

void KernelDepthwiseBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                              const float* ct, Image outs, Index examples, const Axis& rows,
                              const Axis& columns, float* gradient) {
  Image image;
  const float* x = Padded(in, from, rows, columns, 1, 1, &image);
  Index channels = from.pixel / examples, vectors = CeilDiv(examples, kLanes);
  Index pieces = CeilDiv(columns.taps, kTaps), row = pieces * kTaps * kLanes;
  Index chunks = std::min(threads, rows.count), chunk = CeilDiv(rows.count, chunks);
  Index size = channels * rows.taps * row;
  float* sums = Scratch(0, chunks * size);
  Parallel(pool, threads, chunks, [&](Index i) {
    float* sum = sums + i * size;
    std::fill(sum, sum + size, 0.0f);
    for (Index h = i * chunk; h < std::min(rows.count, (i + 1) * chunk); ++h) {
      for (Index c = 0; c < channels; ++c) {
        for (Index v = 0; v < vectors; ++v) {
          Index n = c * examples + Start(v, examples);
          Vec own = Own(v, examples);
          for (Index r = 0; r < rows.taps; ++r) {
            const float* line = x + (h * rows.step + r) * image.width * image.pixel + n;
            for (Index t = 0; t < columns.taps; t += kTaps) {
              auto function = RowOf<1>(std::min<Index>(kTaps, columns.taps - t));
              function(line + t * image.pixel, image.pixel, columns.step * image.pixel,
                       ct + h * outs.width * outs.pixel + n, outs.pixel, examples, columns.count,
                       own, reinterpret_cast<Vec*>(sum + (c * rows.taps + r) * row + t * kLanes));
            }
          }
        }
      }
    }
  });
  AddUp(pool, threads, sums, chunks, size);
  for (Index r = 0; r < rows.taps; ++r) {
    for (Index t = 0; t < columns.taps; ++t) {
      for (Index c = 0; c < channels; ++c) {
        const float* lanes = sums + (c * rows.taps + r) * row + t * kLanes;
        *gradient++ = std::accumulate(lanes, lanes + kLanes, 0.0f);
      }
    }
  }
}

}  // namespace
