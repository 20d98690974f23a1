// SPDX-License-Identifier: MIT
// The tables that exist, and what their files share. Internal to src/kernels and the detector.
// Included by files built with wider instruction sets, so nothing here may be an out-of-line
// template of the standard library: the linker could keep the copy that old processors cannot run.
#pragma once

#include "kernels/detect.h"
#include "kernels/image.h"
#include "kernels/net.h"
#include "kernels/vectors.h"

namespace mien {

// Every float operation is rounded to float, or instruction sets would not give the same bits; x87,
// i686's default, rounds to more. (16: as 0, but for half precision.)
static_assert(__FLT_EVAL_METHOD__ == 0 || __FLT_EVAL_METHOD__ == 16, "build with -mfpmath=sse");

// Which of these exist depends on the processor that is built for (CMakeLists.txt); dispatch.cpp
// names those.
extern const NetKernels net_scalar, net_sse41, net_avx2, net_avxvnni, net_avx512, net_neon,
    net_dotprod, net_i8mm, net_simd128, net_rvv;
extern const Depthwise3 depthwise3_dotprod;
extern const DetectKernels detect_scalar, detect_single, detect_sse41, detect_avx2, detect_avx512,
    detect_neon, detect_simd128, detect_rvv;
extern const ImageKernels image_scalar, image_sse41, image_avx2, image_neon, image_simd128,
    image_rvv;

// Are these vectors what the *_rvv kernels are built for? Only where the kernel says that there are
// some.
[[nodiscard]] bool rvv_works() noexcept;

// For tables without better ones.
void depthwise_scalar(const DepthwiseArgs& args) noexcept;
void avg_pool_scalar(const PoolArgs& args) noexcept;
void max_pool_scalar(const PoolArgs& args) noexcept;
void add_scalar(const AddArgs& args) noexcept;
std::int32_t dot_scalar(const std::int32_t* a, const std::int8_t* w, int count) noexcept;
void avg_pool_sse41(const PoolArgs& args) noexcept;
void avg_pool_neon(const PoolArgs& args) noexcept;
void max_pool_neon(const PoolArgs& args) noexcept;
void add_neon(const AddArgs& args) noexcept;
void max_pool_avx2(const PoolArgs& args) noexcept;
void add_avx2(const AddArgs& args) noexcept;
void sum_positions_scalar(const SumArgs& args) noexcept;
void sum_positions_avx2(const SumArgs& args) noexcept;
std::int32_t dot_avx2(const std::int32_t* a, const std::int8_t* w, int count) noexcept;

// 1 / sqrt(area * q - s * s) of a window, s and q being its sum and sum of squares (HAAR detector
// of OpenCV 4). False, and norm untouched, where the deviation is 0 or so small that OpenCV calls
// the window flat. The difference is of integers below 2^53, exact in double.
[[nodiscard]] static inline bool haar_norm(std::uint32_t s, std::uint32_t q, double area,
                                           float& norm) noexcept {
    const double sum = s;
    const double nf = area * q - sum * sum;
    if (!(nf > 0)) return false;
    const float value = static_cast<float>(1.0 / __builtin_sqrt(nf));
    norm = value;
    return area * static_cast<double>(value) < 0.1;
}

}  // namespace mien
