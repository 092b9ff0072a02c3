// Convolutions with the batch last, [H, W, C, N], for layers with fewer output channels than a vector
// has lanes: vectors of examples. A product needs one vector of the image and one number of the kernel.

#pragma once

#include "common.h"

namespace {

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
        Vec own = Own(v, examples);
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
                    columns.count, own, at);
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

}  // namespace
