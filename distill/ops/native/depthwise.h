// Convolutions of each channel by itself, the channels last: vectors of channels.

#pragma once

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

}  // namespace
