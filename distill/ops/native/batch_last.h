// Convolutions with the batch last, [H, W, C, N], for layers with few channels: vectors of examples.
// A product needs one vector of the image and one number of the kernel.
//
// What some rows of outputs see is copied for one vector of examples at a time, [row, column, channel,
// lane], with its border of zeros. It stays in a cache, and every load is of whole, aligned vectors.

#pragma once

#include "common.h"

namespace {

// The part of an image that `count` outputs see from the first on, along one axis.
struct Seen {
  Index from, size;
};

inline Seen SeenBy(const Axis& axis, Index first, Index count) {
  return {axis.from + first * axis.step, (count - 1) * axis.step + axis.taps};
}

// Copies some channels of a part of images [H, W, C, N] for the examples of one vector; what is
// outside is zero.
void CopyBlock(const float* in, Image image, Index channels, Index examples, Seen rows, Seen columns,
               Vec own, float* out) {
  Index line = columns.size * channels * kLanes;
  Index left = std::clamp<Index>(-columns.from, 0, columns.size);
  Index right = std::clamp<Index>(image.width - columns.from, left, columns.size);
  for (Index r = rows.from; r < rows.from + rows.size; ++r, out += line) {
    if (r < 0 || r >= image.height) {
      std::memset(out, 0, line * sizeof(float));
      continue;
    }
    Index pixel = channels * kLanes;
    std::memset(out, 0, left * pixel * sizeof(float));
    std::memset(out + right * pixel, 0, (columns.size - right) * pixel * sizeof(float));
    for (Index w = left; w < right; ++w) {
      const float* x = in + (r * image.width + columns.from + w) * image.pixel;
      for (Index c = 0; c < channels; ++c) {
        Store(out + w * pixel + c * kLanes, Load(x + c * examples) * own);
      }
    }
  }
}

// Where part i begins if a whole is divided into equal ones.
constexpr Index PartStart(Index whole, Index parts, Index i) { return whole * i / parts; }

// Computes O channels of W outputs of a row, each for a vector of examples.
template <int O, int W>
void Columns(const float* in, Index row_pitch, Index step, Index rows, Index length,
             const float* kernel, float* out, Index out_pitch, Index examples) {
  Vec acc[W][O] = {};
  for (Index r = 0; r < rows; ++r) {
    const float* x = in + r * row_pitch;
    for (Index k = 0; k < length; ++k, x += kLanes, kernel += O) {
      Vec w[O];
#pragma GCC unroll 16
      for (int o = 0; o < O; ++o) w[o] = Same(kernel[o]);
#pragma GCC unroll 16
      for (int m = 0; m < W; ++m) {
        Vec pixel = Load(x + m * step);
        Keep(pixel);
#pragma GCC unroll 16
        for (int o = 0; o < O; ++o) acc[m][o] += pixel * w[o];
      }
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < W; ++m) {
#pragma GCC unroll 16
    for (int o = 0; o < O; ++o) Store(out + m * out_pitch + o * examples, acc[m][o]);
  }
}

using ColumnsFunction = decltype(&Columns<1, 1>);

// How many columns there are registers for, beside a vector for each channel and one for a pixel.
constexpr Index MostColumns(Index outs) {
  return std::min<Index>(kMostColumns, (kRegisters - 1 - outs) / outs);
}

template <int O, size_t... W>
ColumnsFunction ColumnsOf(Index columns, std::index_sequence<W...>) {
  constexpr ColumnsFunction all[] = {Columns<O, W + 1>...};
  return all[columns - 1];
}

template <int O = kFew>
ColumnsFunction ColumnsOf(Index outs, Index columns) {
  if constexpr (O > 1) {
    if (outs < O) return ColumnsOf<O - 1>(outs, columns);
  }
  return ColumnsOf<O>(columns, std::make_index_sequence<MostColumns(O)>());
}

// A kernel for `Columns`: [block of outs, row, column, in, out].
std::vector<float> PackFew(const Kernel& kernel, const Axis& rows, const Axis& columns, Index ins,
                           Index outs) {
  std::vector<float> packed;
  Index groups = CeilDiv(outs, kFew);
  for (Index g = 0; g < groups; ++g) {
    Index first = PartStart(outs, groups, g), last = PartStart(outs, groups, g + 1);
    for (Index r = 0; r < rows.taps; ++r) {
      for (Index c = 0; c < columns.taps; ++c) {
        for (Index i = 0; i < ins; ++i) {
          for (Index o = first; o < last; ++o) {
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
  Seen wide = SeenBy(columns, 0, columns.count);
  Index pixel = ins * kLanes, line = wide.size * pixel, length = columns.taps * ins;
  Index fit = (kBlockFloats / line - rows.taps) / rows.step + 1;
  Index bands = CeilDiv(rows.count, std::clamp<Index>(fit, 1, rows.count));
  Index vectors = CeilDiv(examples, kLanes), groups = CeilDiv(outs, kFew);
  Parallel(pool, threads, vectors * bands, [&](Index task) {
    Index n = Start(task / bands, examples), band = task % bands;
    Index first = PartStart(rows.count, bands, band), end = PartStart(rows.count, bands, band + 1);
    Seen high = SeenBy(rows, first, end - first);
    float* x = Scratch(1, high.size * line);
    CopyBlock(in + n, from, ins, examples, high, wide, Same(1.0f), x);
    for (Index h = first; h < end; ++h) {
      const float* seen = x + (h - first) * rows.step * line;
      float* to_line = out + ((rows.out_from + h * rows.out_step) * to.width + columns.out_from) *
                                 to.pixel + n;
      for (Index g = 0; g < groups; ++g) {
        Index o = PartStart(outs, groups, g), few = PartStart(outs, groups, g + 1) - o;
        Index tiles = CeilDiv(columns.count, MostColumns(few));
        const float* k = packed.data() + o * rows.taps * length;
        for (Index t = 0; t < tiles; ++t) {
          Index w = PartStart(columns.count, tiles, t);
          Index count = PartStart(columns.count, tiles, t + 1) - w;
          ColumnsOf(few, count)(seen + w * columns.step * pixel, line, columns.step * pixel,
                                rows.taps, length, k,
                                to_line + w * columns.out_step * to.pixel + o * examples,
                                columns.out_step * to.pixel, examples);
        }
      }
    }
  });
}

// How many output channels' gradients are summed together with those of so many taps: as many as
// there are registers for, beside a vector for each tap and one for the cotangents.
constexpr Index Outs(Index taps) {
  return std::min<Index>(kMaxOuts, (kRegisters - 1 - taps) / taps);
}

// Adds to sums what T neighbouring taps of an input channel and O channels of cotangents give, over
// some rows of outputs.
template <int T, int O>
void Patch(const float* in, Index tap_pitch, Index step, Index row_step, const float* ct,
           Index ct_pitch, Index rows, Index columns, Vec* sums) {
  Vec acc[T][O];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 16
    for (int o = 0; o < O; ++o) acc[t][o] = sums[t * O + o];
  }
  for (Index r = 0; r < rows; ++r, in += row_step) {
    const float* x = in;
    for (Index w = 0; w < columns; ++w, x += step, ct += ct_pitch) {
      Vec pixel[T];
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) pixel[t] = Load(x + t * tap_pitch);
#pragma GCC unroll 16
      for (int o = 0; o < O; ++o) {
        Vec y = Load(ct + o * kLanes);
        Keep(y);
#pragma GCC unroll 16
        for (int t = 0; t < T; ++t) acc[t][o] += pixel[t] * y;
      }
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 16
    for (int o = 0; o < O; ++o) sums[t * O + o] = acc[t][o];
  }
}

using PatchFunction = decltype(&Patch<1, 1>);

template <int T, size_t... O>
PatchFunction PatchOf(Index outs, std::index_sequence<O...>) {
  constexpr PatchFunction all[] = {Patch<T, O + 1>...};
  return all[outs - 1];
}

PatchFunction PatchOf(Index taps, Index outs) {
  static_assert(kTaps == 5);
  switch (taps) {
    case 1: return PatchOf<1>(outs, std::make_index_sequence<Outs(1)>());
    case 2: return PatchOf<2>(outs, std::make_index_sequence<Outs(2)>());
    case 3: return PatchOf<3>(outs, std::make_index_sequence<Outs(3)>());
    case 4: return PatchOf<4>(outs, std::make_index_sequence<Outs(4)>());
    default: return PatchOf<5>(outs, std::make_index_sequence<Outs(5)>());
  }
}

// Calls f for each set of sums: row of the kernel, first tap, taps, input channel, first output
// channel, output channels, and how many sums come before.
template <typename F>
void ForEachSet(const Axis& rows, const Axis& columns, Index ins, Index outs, const F& f) {
  Index pieces = CeilDiv(columns.taps, kTaps), before = 0;
  for (Index r = 0; r < rows.taps; ++r) {
    for (Index p = 0; p < pieces; ++p) {
      Index t = PartStart(columns.taps, pieces, p);
      Index taps = PartStart(columns.taps, pieces, p + 1) - t;
      Index groups = CeilDiv(outs, Outs(taps));
      for (Index i = 0; i < ins; ++i) {
        for (Index g = 0; g < groups; ++g) {
          Index o = PartStart(outs, groups, g), count = PartStart(outs, groups, g + 1) - o;
          f(r, t, taps, i, o, count, before);
          before += taps * count;
        }
      }
    }
  }
}

void KernelBatchLast(ffi::ThreadPool& pool, Index threads, const float* in, Image from, Index ins,
                     const float* ct, Image outs, Index out_channels, Index examples,
                     const Axis& rows, const Axis& columns, float* gradient) {
  Seen wide = SeenBy(columns, 0, columns.count), all = {0, columns.count};
  Index pixel = ins * kLanes, line = wide.size * pixel, ct_pixel = out_channels * kLanes;
  Index fit = std::clamp<Index>(kBandFloats / (columns.count * ct_pixel), 1, rows.count);
  Index bands = CeilDiv(rows.count, fit), vectors = CeilDiv(examples, kLanes);
  Index tasks = vectors * bands, chunks = std::min(threads, tasks);
  Index size = rows.taps * columns.taps * ins * out_channels * kLanes;
  float* sums = Scratch(0, chunks * size);
  Parallel(pool, threads, chunks, [&](Index c) {
    float* sum = sums + c * size;
    std::fill(sum, sum + size, 0.0f);
    Index last = PartStart(tasks, chunks, c + 1);
    for (Index task = PartStart(tasks, chunks, c); task < last; ++task) {
      Index v = task / bands, n = Start(v, examples), band = task % bands;
      Index first = PartStart(rows.count, bands, band);
      Index count = PartStart(rows.count, bands, band + 1) - first;
      Seen high = SeenBy(rows, first, count);
      float* x = Scratch(1, high.size * line);
      float* y = Scratch(2, count * columns.count * ct_pixel);
      CopyBlock(in + n, from, ins, examples, high, wide, Same(1.0f), x);
      CopyBlock(ct + n, outs, out_channels, examples, {first, count}, all, Own(v, examples), y);
      ForEachSet(rows, columns, ins, out_channels,
                 [&](Index r, Index t, Index taps, Index i, Index o, Index few, Index before) {
                   PatchOf(taps, few)(x + r * line + t * pixel + i * kLanes, pixel,
                                      columns.step * pixel, rows.step * line, y + o * kLanes,
                                      ct_pixel, count, columns.count,
                                      reinterpret_cast<Vec*>(sum) + before);
                 });
    }
  });
  AddUp(pool, threads, sums, chunks, size);
  ForEachSet(rows, columns, ins, out_channels,
             [&](Index r, Index t, Index taps, Index i, Index o, Index few, Index before) {
               const float* lanes = sums + before * kLanes;
               for (Index tap = t; tap < t + taps; ++tap) {
                 float* to = gradient + ((r * columns.taps + tap) * ins + i) * out_channels + o;
                 for (Index q = 0; q < few; ++q, lanes += kLanes) {
                   to[q] = std::accumulate(lanes, lanes + kLanes, 0.0f);
                 }
               }
             });
}

}  // namespace
