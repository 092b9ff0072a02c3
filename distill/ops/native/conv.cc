// Convolutions, pooling and sums for training on a CPU: what XLA calls. conv.py says what they compute.
//
// All convolutions are one loop: an accumulator for each of a few outputs stays in a register while a
// sum runs over taps and channels. What lies along the vector decides the layout, and has a file of
// its own. Where a kernel is 3x3 or 5x5, without strides, and the channels are many, that loop runs
// over what winograd.h has transformed.
//
// The gradient of the image is the same sum with the kernel turned round, one for each phase of the
// strides; that of the kernel is a sum over outputs with the accumulators along the taps. Sums that
// threads share are added up in an order that depends on their number and on nothing else.

#include "batch_last.h"
#include "channels_last.h"
#include "depthwise.h"
#include "pooling.h"
#include "sums.h"
#include "winograd.h"

namespace {

enum Layout { kChannelsLast, kBatchLast, kDepthwise, kDepthwiseBatchLast };

using Array = ffi::Buffer<ffi::F32, 4>;
using Result = ffi::Result<Array>;
using Vector = ffi::Buffer<ffi::F32, 1>;
using Matrix = ffi::Buffer<ffi::F32, 2>;

Image Of(ffi::Span<const Index> shape, bool batch_last) {
  return {shape[1], shape[2], batch_last ? shape[3] * shape[0] : shape[3]};
}

bool IsBatchLast(Index layout) { return layout == kBatchLast || layout == kDepthwiseBatchLast; }

// The gradient where there are no outputs: no images, or none as large as the kernel.
ffi::Error Zeros(Result& gradient) {
  std::memset(gradient->typed_data(), 0, gradient->size_bytes());
  return ffi::Error::Success();
}

// With the channels last, by Winograd's filtering where that pays.
void ConvByShape(ffi::ThreadPool& pool, Index threads, const float* in, Image from, float* out,
                 Image to, Index images, const Axis& rows, const Axis& columns,
                 const Kernel& kernel) {
  bool pays = Pays(rows, columns, from.pixel, to.pixel);
  auto conv = !pays            ? ConvChannelsLast
              : rows.taps == 3 ? ConvWinograd<3>
                               : ConvWinograd<5>;
  conv(pool, threads, in, from, out, to, images, rows, columns, kernel);
}

ffi::Error Conv(ffi::ThreadPool pool, Array x, Array k, Result y, Index layout, Index stride_h,
                Index stride_w, Index top, Index left, Index threads) {
  if (y->element_count() == 0) return ffi::Error::Success();
  auto xs = x.dimensions(), ks = k.dimensions(), ys = y->dimensions();
  bool batch_last = IsBatchLast(layout);
  Image from = Of(xs, batch_last), to = Of(ys, batch_last);
  Axis rows = Forward(ys[1], ks[0], stride_h, top);
  Axis columns = Forward(ys[2], ks[1], stride_w, left);
  Kernel kernel = {k.typed_data(), ks[1] * ks[2] * ks[3], ks[2] * ks[3], ks[3], 1};
  if (layout == kDepthwise) {
    ConvDepthwise(pool, threads, x.typed_data(), from, y->typed_data(), to, xs[0], rows, columns,
                  kernel.at, ks[1]);
  } else if (layout == kDepthwiseBatchLast) {
    ConvDepthwiseBatchLast(pool, threads, x.typed_data(), from, y->typed_data(), to, xs[0], rows,
                           columns, kernel.at, ks[1]);
  } else if (batch_last) {
    ConvBatchLast(pool, threads, x.typed_data(), from, xs[3], y->typed_data(), to, ys[3], xs[0],
                  rows, columns, kernel);
  } else {
    ConvByShape(pool, threads, x.typed_data(), from, y->typed_data(), to, xs[0], rows, columns,
                kernel);
  }
  return ffi::Error::Success();
}

ffi::Error ConvImage(ffi::ThreadPool pool, Array ct, Array k, Result x, Index layout,
                     Index stride_h, Index stride_w, Index top, Index left, Index threads) {
  if (ct.element_count() == 0) return Zeros(x);
  auto cs = ct.dimensions(), ks = k.dimensions(), xs = x->dimensions();
  bool batch_last = IsBatchLast(layout);
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
      } else if (layout == kDepthwiseBatchLast) {
        ConvDepthwiseBatchLast(pool, threads, ct.typed_data(), from, x->typed_data(), to, xs[0],
                               rows, columns, kernel.at, ks[1]);
      } else if (batch_last) {
        ConvBatchLast(pool, threads, ct.typed_data(), from, cs[3], x->typed_data(), to, xs[3],
                      xs[0], rows, columns, kernel);
      } else {
        ConvByShape(pool, threads, ct.typed_data(), from, x->typed_data(), to, xs[0], rows,
                    columns, kernel);
      }
    }
  }
  return ffi::Error::Success();
}

ffi::Error ConvKernel(ffi::ThreadPool pool, Array x, Array ct, Result k, Index layout,
                      Index stride_h, Index stride_w, Index top, Index left, Index threads) {
  if (ct.element_count() == 0) return Zeros(k);
  auto xs = x.dimensions(), cs = ct.dimensions(), ks = k->dimensions();
  bool batch_last = IsBatchLast(layout);
  Image from = Of(xs, batch_last), outs = Of(cs, batch_last);
  Axis rows = Forward(cs[1], ks[0], stride_h, top);
  Axis columns = Forward(cs[2], ks[1], stride_w, left);
  if (layout == kDepthwise) {
    KernelDepthwise(pool, threads, x.typed_data(), from, ct.typed_data(), outs, xs[0], rows,
                    columns, k->typed_data());
  } else if (layout == kDepthwiseBatchLast) {
    KernelDepthwiseBatchLast(pool, threads, x.typed_data(), from, ct.typed_data(), outs, xs[0],
                             rows, columns, k->typed_data());
  } else if (batch_last) {
    KernelBatchLast(pool, threads, x.typed_data(), from, xs[3], ct.typed_data(), outs, cs[3],
                    xs[0], rows, columns, k->typed_data());
  } else if (Pays(rows, columns, xs[3], cs[3])) {
    auto winograd = rows.taps == 3 ? KernelWinograd<3> : KernelWinograd<5>;
    winograd(pool, threads, x.typed_data(), from, ct.typed_data(), outs, xs[0], rows, columns,
             k->typed_data());
  } else {
    KernelChannelsLast(pool, threads, x.typed_data(), from, ct.typed_data(), outs, xs[0], rows,
                       columns, k->typed_data());
  }
  return ffi::Error::Success();
}

ffi::Error MaxPool(ffi::ThreadPool pool, Array x, Result y, Index layout, Index size,
                   Index threads) {
  bool batch_last = IsBatchLast(layout);
  Pooling of = {Of(x.dimensions(), batch_last), Of(y->dimensions(), batch_last), size};
  const float* in = x.typed_data();
  float* out = y->typed_data();
  of.ForEachRow(pool, threads, batch_last ? 1 : x.dimensions()[0],
                [&](Index from, Index to) { MaxOf(of, in + from, out + to); });
  return ffi::Error::Success();
}

ffi::Error MaxPoolImage(ffi::ThreadPool pool, Array x, Array y, Array ct, Result gradient,
                        Index layout, Index size, Index threads) {
  bool batch_last = IsBatchLast(layout);
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
                       ffi::Result<Matrix> sums, Index layout, Index threads) {
  auto shape = a.dimensions();
  Index pixels = shape[1] * shape[2];
  bool batch_last = IsBatchLast(layout);
  SumPixels(pool, threads, a.typed_data(), b.typed_data(), shift.typed_data(),
            batch_last ? pixels : shape[0] * pixels, shape[3], batch_last ? shape[0] : 1,
            sums->typed_data());
  return ffi::Error::Success();
}

ffi::Error BiasGradient(ffi::ThreadPool pool, Array ct, ffi::Result<Vector> gradient, Index layout,
                        Index threads) {
  auto shape = ct.dimensions();
  Index pixels = shape[1] * shape[2];
  bool batch_last = IsBatchLast(layout);
  SumOthers(pool, threads, ct.typed_data(), batch_last ? pixels : shape[0] * pixels, shape[3],
            batch_last ? shape[0] : 1, gradient->typed_data());
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
                                  .Attr<Index>("layout")
                                  .Attr<Index>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(distill_bias_gradient, BiasGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Array>()
                                  .Ret<Vector>()
                                  .Attr<Index>("layout")
                                  .Attr<Index>("threads"));
