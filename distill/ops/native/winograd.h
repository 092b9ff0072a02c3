// Convolutions with the channels last by Winograd's minimal filtering in two dimensions (Lavin and
// Gray 2015, arXiv:1509.09308), for kernels of 3x3 and 5x5 without strides.
//
// A tile of 6x6 inputs gives 4x4 outputs of a 3x3 kernel, or 2x2 of a 5x5 one, by 36 products of each
// input and output channel instead of 144, or 100. Each of the 36 is a product of matrices over tiles
// and channels, by the loops of channels_last.h.
//
// Along an axis a product of two polynomials of degrees below `kTile` is taken at five points and at
// infinity. These points are exact in binary, and lose less to rounding than 0, 1, -1, 2, -2 do.

#pragma once

#include "channels_last.h"

namespace {

constexpr int kTile = 6, kProducts = kTile * kTile;
constexpr float kNear = 0.75f, kFar = 1.5f;  // the points are 0, both of these with both signs
constexpr float kNear2 = kNear * kNear, kFar2 = kFar * kFar;
constexpr Index kTransformedBytes = 1 << 19;  // of tiles that a thread works on at a time
constexpr Index kSharedBytes = 4 << 20;       // of tiles that all threads work on at a time
constexpr Index kManyTiles = 64;              // enough to use what is loaded of the filters

// The six values of a polynomial of `N` coefficients.
template <int N>
void Evaluate(const Vec* c, Vec* values) {
  Vec even = c[0], odd = {}, even_far = c[0], odd_far = {};
  float power = kNear, power_far = kFar;
#pragma GCC unroll 8
  for (int i = 1; i < N; ++i, power *= kNear, power_far *= kFar) {
    if (i % 2) {
      odd += power * c[i], odd_far += power_far * c[i];
    } else {
      even += power * c[i], even_far += power_far * c[i];
    }
  }
  values[0] = c[0];
  values[1] = even + odd, values[2] = even - odd;
  values[3] = even_far + odd_far, values[4] = even_far - odd_far;
  values[5] = c[N - 1];
}

// The transpose of `Evaluate`.
template <int N>
void Interpolate(const Vec* values, Vec* c) {
  Vec even = values[1] + values[2], odd = values[1] - values[2];
  Vec even_far = values[3] + values[4], odd_far = values[3] - values[4];
  float power = kNear, power_far = kFar;
  c[0] = values[0] + even + even_far;
#pragma GCC unroll 8
  for (int i = 1; i < N; ++i, power *= kNear, power_far *= kFar) {
    c[i] = i % 2 ? power * odd + power_far * odd_far : power * even + power_far * even_far;
  }
  c[N - 1] += values[5];
}

// What the values of a kernel are multiplied by, so that the products are those of `Inputs`.
inline void Scale(Vec* values) {
  constexpr float at_near = 1 / (2 * kNear2 * (kNear2 - kFar2));
  constexpr float at_far = 1 / (2 * kFar2 * (kFar2 - kNear2));
  values[0] *= 1 / (kNear2 * kFar2);
  values[1] *= at_near, values[2] *= at_near, values[3] *= at_far, values[4] *= at_far;
}

// What six inputs have to be for the products.
inline void Inputs(const Vec* d, Vec* values) {
  Vec even = d[4] - kFar2 * d[2], odd = kNear * (d[3] - kFar2 * d[1]);
  Vec even_far = d[4] - kNear2 * d[2], odd_far = kFar * (d[3] - kNear2 * d[1]);
  values[0] = kNear2 * kFar2 * d[0] - (kNear2 + kFar2) * d[2] + d[4];
  values[1] = even + odd, values[2] = even - odd;
  values[3] = even_far + odd_far, values[4] = even_far - odd_far;
  values[5] = kNear2 * kFar2 * d[1] - (kNear2 + kFar2) * d[3] + d[5];
}

// Applies a function of `From` vectors to `To` along both axes of [From, From].
template <int From, int To, typename F>
void Both(const F& f, const Vec (&in)[From][From], Vec (&out)[To][To]) {
  Vec half[From][To];  // rows as they were, columns transformed
#pragma GCC unroll 8
  for (int i = 0; i < From; ++i) f(in[i], half[i]);
#pragma GCC unroll 8
  for (int j = 0; j < To; ++j) {
    Vec column[From], transformed[To];
#pragma GCC unroll 8
    for (int i = 0; i < From; ++i) column[i] = half[i][j];
    f(column, transformed);
#pragma GCC unroll 8
    for (int i = 0; i < To; ++i) out[i][j] = transformed[i];
  }
}

// The tiles of images, in rows of tiles that are counted through all images.
struct Tiling {
  Image image;        // that the tiles are cut from
  Index top, left;    // where the first one begins
  Index step;         // from one to the next
  Index high, wide;   // how many
  Index pitch;        // floats of a pixel of a tile, a multiple of a vector

  Tiling(Image image, Index top, Index left, Index step, Index rows, Index columns)
      : image(image), top(top), left(left), step(step), high(CeilDiv(rows, step)),
        wide(CeilDiv(columns, step)), pitch(CeilDiv(image.pixel, kLanes) * kLanes) {}

  // Floats from one of the products to the next, for so many tiles; no power of two, which would
  // put all of them into the same lines of a cache.
  Index stride(Index tiles) const { return tiles * pitch + kLanes; }
};

// Transforms the tiles of some rows, `size` pixels square, into [product, tile, channel].
template <int Size, typename F>
void Transform(const F& f, const float* in, const Tiling& of, Index first_row, Index rows,
               Index stride, float* out) {
  const Image& image = of.image;
  Index pixel = image.pixel;
  float* copy = Scratch(1, Size * Size * of.pitch);
  for (Index row = first_row; row < first_row + rows; ++row) {
    const float* base = in + row / of.high * image.size();
    Index top = of.top + row % of.high * of.step;
    for (Index w = 0; w < of.wide; ++w, out += of.pitch) {
      Index left = of.left + w * of.step;
      bool inside = top >= 0 && left >= 0 && top + Size <= image.height &&
                    left + Size <= image.width && pixel == of.pitch;
      const float* tile = base + (top * image.width + left) * pixel;
      Index line = image.width * pixel;
      if (!inside) {  // zeros for what is not there
        std::memset(copy, 0, Size * Size * of.pitch * sizeof(float));
        Index begin = std::max<Index>(0, -left), end = std::min<Index>(Size, image.width - left);
        for (Index y = std::max<Index>(0, -top); y < std::min<Index>(Size, image.height - top); ++y) {
          for (Index x = begin; x < end; ++x) {
            std::memcpy(copy + (y * Size + x) * of.pitch, tile + y * line + x * pixel,
                        pixel * sizeof(float));
          }
        }
        tile = copy, line = Size * of.pitch;
      }
      for (Index c = 0; c < of.pitch; c += kLanes) {
        Vec d[Size][Size], values[kTile][kTile];
#pragma GCC unroll 8
        for (int y = 0; y < Size; ++y) {
#pragma GCC unroll 8
          for (int x = 0; x < Size; ++x) d[y][x] = Load(tile + y * line + x * of.pitch + c);
        }
        Both<Size, kTile>(f, d, values);
        float* to = out + c;
#pragma GCC unroll 8
        for (int y = 0; y < kTile; ++y) {
#pragma GCC unroll 8
          for (int x = 0; x < kTile; ++x, to += stride) Store(to, values[y][x]);
        }
      }
    }
  }
}

// Writes a transformed kernel: [block, product, in, vector of out].
template <int Taps>
void TransformKernel(const Kernel& kernel, const Axis& rows, const Axis& columns, Index ins,
                     const Blocks& blocks, Index block, Index begin, Index end, float* out) {
  Index first = blocks.first(block), width = blocks.of(block) * kLanes;
  out += first * kProducts * ins;
  for (Index i = begin; i < end; ++i) {
    for (Index o = 0; o < width; o += kLanes) {
      Index valid = std::clamp<Index>(blocks.outs - first - o, 0, kLanes);
      Vec g[Taps][Taps] = {}, values[kTile][kTile];
      for (int r = 0; r < Taps; ++r) {
        for (int c = 0; c < Taps; ++c) {
          const float* from = kernel.at + (rows.tap_from + r * rows.tap_step) * kernel.rows +
                              (columns.tap_from + c * columns.tap_step) * kernel.columns +
                              i * kernel.ins + (first + o) * kernel.outs;
          if (kernel.outs == 1) {
            std::memcpy(&g[r][c], from, valid * sizeof(float));
          } else {
            for (Index lane = 0; lane < valid; ++lane) g[r][c][lane] = from[lane * kernel.outs];
          }
        }
      }
      auto f = [](const Vec* taps, Vec* at) { Evaluate<Taps>(taps, at), Scale(at); };
      Both<Taps, kTile>(f, g, values);
      float* to = out + i * width + o;
      for (int p = 0; p < kProducts; ++p, to += ins * width) Store(to, values[p / kTile][p % kTile]);
    }
  }
}

// Computes V vectors of output channels of the tiles of some rows.
template <int V, int Taps>
void Outputs(const float* tiles, const Tiling& of, Index first_row, Index rows, Index stride,
             const float* kernel, float* products, float* out, Image to, const Axis& row_axis,
             const Axis& column_axis, Index channels) {
  constexpr int kOut = kTile + 1 - Taps;
  constexpr Index width = V * kLanes;
  Index ins = of.image.pixel, count = rows * of.wide, apart = count * width + kLanes;
  for (Index p = 0; p < kProducts; ++p, tiles += stride, kernel += ins * width) {
    for (Index t = 0; t < count; t += kPixels) {
      Index valid = std::min<Index>(kPixels, count - t);
      const float* from[kPixels];
      for (Index m = 0; m < kPixels; ++m) from[m] = tiles + (t + std::min(m, valid - 1)) * of.pitch;
      Vec sums[kPixels][V];
      Tile<V>(from, 1, 0, ins, kernel, sums);
      float* at = products + p * apart + t * width;
      for (Index m = 0; m < valid; ++m) {
        for (int v = 0; v < V; ++v) Store(at + m * width + v * kLanes, sums[m][v]);
      }
    }
  }
  for (Index row = first_row; row < first_row + rows; ++row) {
    Index top = row % of.high * kOut, high = std::min<Index>(kOut, row_axis.count - top);
    float* line = out + row / of.high * to.size() +
                  ((row_axis.out_from + top) * to.width + column_axis.out_from) * to.pixel;
    for (Index w = 0; w < of.wide; ++w, products += width) {
      Index left = w * kOut, wide = std::min<Index>(kOut, column_axis.count - left);
      for (int v = 0; v < V; ++v) {
        Vec m[kTile][kTile], y[kOut][kOut];
        const float* from = products + v * kLanes;
#pragma GCC unroll 8
        for (int a = 0; a < kTile; ++a) {
#pragma GCC unroll 8
          for (int b = 0; b < kTile; ++b, from += apart) m[a][b] = Load(from);
        }
        Both<kTile, kOut>(Interpolate<kOut>, m, y);
        Index valid = std::clamp<Index>(channels - v * kLanes, 0, kLanes);
        float* at = line + left * to.pixel + v * kLanes;
        for (Index a = 0; a < high; ++a) {
          for (Index b = 0; b < wide; ++b) {
            float* pixel = at + (a * to.width + b) * to.pixel;
            if (valid == kLanes) {
              Store(pixel, y[a][b]);
            } else {
              std::memcpy(pixel, &y[a][b], valid * sizeof(float));
            }
          }
        }
      }
    }
  }
}

// Whether it takes less time than the sum over taps does.
inline bool Pays(const Axis& rows, const Axis& columns, Index ins, Index outs) {
  if (rows.taps != columns.taps || (rows.taps != 3 && rows.taps != 5)) return false;
  if (rows.step != 1 || columns.step != 1 || rows.out_step != 1 || columns.out_step != 1) return false;
  Index out = kTile + 1 - rows.taps;
  Index products = CeilDiv(rows.count, out) * CeilDiv(columns.count, out) * kProducts;
  Index taps = rows.count * columns.count * rows.taps * columns.taps;
  bool wide = std::min(ins, outs) >= kLanes / 2 && ins * outs >= kLanes * kLanes;
  return wide && 10 * products <= 7 * taps;
}

template <int Taps>
void ConvWinograd(ffi::ThreadPool& pool, Index threads, const float* in, Image from, float* out,
                  Image to, Index images, const Axis& rows, const Axis& columns,
                  const Kernel& kernel) {
  Blocks blocks(to.pixel);
  Index ins = from.pixel, piece = std::max<Index>(1, ins / (4 * threads));
  float* filters = Scratch(0, kProducts * ins * blocks.padded());
  Index pieces = CeilDiv(ins, piece);
  Parallel(pool, threads, blocks.count * pieces, [&](Index task) {
    Index begin = task % pieces * piece;
    TransformKernel<Taps>(kernel, rows, columns, ins, blocks, task / pieces, begin,
                          std::min(ins, begin + piece), filters);
  });
  Tiling of(from, rows.from, columns.from, kTile + 1 - Taps, rows.count, columns.count);
  Index total = images * of.high, bytes = kProducts * of.wide * of.pitch * sizeof(float);
  Index group = std::max(kTransformedBytes / bytes, CeilDiv(kManyTiles, of.wide));
  Index tasks = CeilDiv(CeilDiv(total, group), threads) * threads;
  group = CeilDiv(total, tasks);
  Parallel(pool, threads, CeilDiv(total, group), [&](Index task) {
    Index first = task * group, count = std::min(group, total - first);
    Index stride = of.stride(count * of.wide);
    float* tiles = Scratch(2, kProducts * stride);
    Transform<kTile>(Inputs, in, of, first, count, stride, tiles);
    float* products = Scratch(3, kProducts * (count * of.wide * kVectors * kLanes + kLanes));
    for (Index b = 0; b < blocks.count; ++b) {
      Index channel = blocks.first(b), vectors = blocks.of(b);
      auto outputs = vectors == 1   ? Outputs<1, Taps>
                     : vectors == 2 ? Outputs<2, Taps>
                                    : Outputs<kVectors, Taps>;
      outputs(tiles, of, first, count, stride, filters + channel * kProducts * ins, products,
              out + channel, to, rows, columns, std::min(to.pixel - channel, vectors * kLanes));
    }
  });
}

// The gradient of the kernel: the sums over tiles stay transformed until the end.
template <int Taps>
void KernelWinograd(ffi::ThreadPool& pool, Index threads, const float* in, Image from,
                           const float* ct, Image outs, Index images, const Axis& rows,
                           const Axis& columns, float* gradient) {
  constexpr int kOut = kTile + 1 - Taps;
  Tiling of(from, rows.from, columns.from, kOut, rows.count, columns.count);
  Tiling cts(outs, 0, 0, kOut, rows.count, columns.count);
  Blocks blocks(outs.pixel);
  Index ins = from.pixel, size = ins * cts.pitch;
  float* sums = Scratch(0, kProducts * size);
  Parallel(pool, threads, kProducts, [&](Index p) { std::fill_n(sums + p * size, size, 0.0f); });
  Index total = images * of.high;
  Index bytes = kProducts * of.wide * (of.pitch + cts.pitch) * sizeof(float);
  Index group = std::clamp<Index>(kSharedBytes / bytes, 1, total);
  Index tiles = group * of.wide, stride = of.stride(tiles), ct_stride = cts.stride(tiles);
  float* x = Scratch(2, kProducts * stride);
  float* d = Scratch(3, kProducts * ct_stride);
  for (Index first = 0; first < total; first += group) {
    Index count = std::min(group, total - first);
    Parallel(pool, threads, 2 * count, [&](Index task) {
      Index row = task / 2, at = row * of.wide;
      if (task % 2) {
        Transform<kOut>(Evaluate<kOut>, ct, cts, first + row, 1, ct_stride, d + at * cts.pitch);
      } else {
        Transform<kTile>(Inputs, in, of, first + row, 1, stride, x + at * of.pitch);
      }
    });
    Parallel(pool, threads, kProducts, [&](Index p) {
      for (Index b = 0; b < blocks.count; ++b) {
        Index channel = blocks.first(b), vectors = blocks.of(b);
        for (Index i = 0; i < ins; i += kPixels) {
          Index m = std::min<Index>(kPixels, ins - i);
          auto outer = vectors == 1 ? OuterOf<1>(m) : vectors == 2 ? OuterOf<2>(m)
                                                                    : OuterOf<kVectors>(m);
          Index length = count * of.wide;
          outer(x + p * stride + i, {1, length, of.pitch}, 1, 1, d + p * ct_stride + channel,
                {1, length, cts.pitch}, 1, sums + p * size + i * cts.pitch + channel, cts.pitch);
        }
      }
    });
  }
  Parallel(pool, threads, ins, [&](Index i) {
    for (Index o = 0; o < outs.pixel; o += kLanes) {
      Vec values[kTile][kTile], g[Taps][Taps];
      for (int p = 0; p < kProducts; ++p) {
        values[p / kTile][p % kTile] = Load(sums + p * size + i * cts.pitch + o);
      }
      auto f = [](const Vec* at, Vec* taps) {
        Vec scaled[kTile];
        std::memcpy(&scaled, at, sizeof(scaled));
        Scale(scaled), Interpolate<Taps>(scaled, taps);
      };
      Both<kTile, Taps>(f, values, g);
      Index valid = std::min<Index>(kLanes, outs.pixel - o);
      for (int t = 0; t < Taps * Taps; ++t) {
        std::memcpy(gradient + (t * ins + i) * outs.pixel + o, &g[t / Taps][t % Taps],
                    valid * sizeof(float));
      }
    }
  });
}

}  // namespace
