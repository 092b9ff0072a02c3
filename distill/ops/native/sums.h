// Sums over the pixels of each channel, for batch normalisation and the gradients of biases.

#pragma once

#include "common.h"

namespace {

constexpr Index kSumFloats = 16 << 10;  // of an array whose sums are added up in float32

// For each channel the sum of [pieces, channels, examples].
void AddExamples(const float* sums, Index pieces, Index channels, Index examples, float* out) {
  for (Index c = 0; c < channels; ++c) {
    double total = 0.0;
    for (Index i = 0; i < pieces; ++i) {
      const float* own = sums + (i * channels + c) * examples;
      total = std::accumulate(own, own + examples, total);
    }
    out[c] = static_cast<float>(total);
  }
}

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

// Of [rows, channels, examples]; there is one example with channels last. The pieces, and their
// order, depend on the shape alone: so do the sums, to the last bit.
void SumPixels(ffi::ThreadPool& pool, Index threads, const float* a, const float* b,
               const float* shift, Index rows, Index channels, Index examples, float* out) {
  Index columns = channels * examples;
  if (examples > 1) {
    float* each = Scratch(1, columns);
    for (Index c = 0; c < columns; ++c) each[c] = shift[c / examples];
    shift = each;
  }
  Index piece = std::max<Index>(4, kSumFloats / columns), pieces = CeilDiv(rows, piece);
  float* sums = Scratch(0, pieces * 2 * columns);
  Parallel(pool, threads, pieces, [&](Index i) {
    float* own = sums + i * 2 * columns;
    std::fill(own, own + 2 * columns, 0.0f);
    Index from = i * piece;
    AddRows(a + from * columns, b + from * columns, shift, std::min(piece, rows - from), columns,
            own);
  });
  AddExamples(sums, pieces, 2 * channels, examples, out);
}

// Adds the rows of a matrix to `sums`, columns apart.
void AddUpRows(const float* __restrict a, Index rows, Index columns, float* __restrict sums) {
  Index r = 0;
  for (; r + 4 <= rows; r += 4, a += 4 * columns) {
    for (Index c = 0; c < columns; ++c) {
      sums[c] += (a[c] + a[columns + c]) + (a[2 * columns + c] + a[3 * columns + c]);
    }
  }
  for (; r < rows; ++r, a += columns) {
    for (Index c = 0; c < columns; ++c) sums[c] += a[c];
  }
}

// For each channel the sum of [rows, channels, examples]; there is one example with channels last.
void SumOthers(ffi::ThreadPool& pool, Index threads, const float* a, Index rows, Index channels,
               Index examples, float* out) {
  Index columns = channels * examples;
  Index piece = std::max<Index>(4, kSumFloats / columns), pieces = CeilDiv(rows, piece);
  float* sums = Scratch(0, pieces * columns);
  Parallel(pool, threads, pieces, [&](Index i) {
    float* own = sums + i * columns;
    std::fill(own, own + columns, 0.0f);
    AddUpRows(a + i * piece * columns, std::min(piece, rows - i * piece), columns, own);
  });
  AddExamples(sums, pieces, channels, examples, out);
}

}  // namespace
