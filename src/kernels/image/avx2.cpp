// SPDX-License-Identifier: MIT
// Rows of pixels with AVX2.
// Built with -mavx2; runs only where dispatch.cpp found AVX2. No standard library here, see
// tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int block = 32;

    // Eight pixels, each in 32 bits. The upper half of 24-bit pixels is loaded from 4 bytes before,
    // so as to end with them.
    template <int pixel_bytes>
    static __m256i load_pixels(const std::uint8_t* p) noexcept {
        if constexpr (pixel_bytes == 4) {
            return load256(p);
        } else {
            const __m256i spread =
                _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,  //
                                 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1);
            return _mm256_shuffle_epi8(
                _mm256_inserti128_si256(_mm256_castsi128_si256(load128(p)), load128(p + 8), 1),
                spread);
        }
    }
    template <int red>
    static __m256i gray32(__m256i pixels) noexcept {
        constexpr int outer = red == 0 ? 3735 << 16 | 9798 : 9798 << 16 | 3735;
        const __m256i red_blue = _mm256_and_si256(pixels, _mm256_set1_epi16(255)),
                      green = _mm256_srli_epi16(pixels, 8);
        const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(red_blue, _mm256_set1_epi32(outer)),
                                             _mm256_madd_epi16(green, _mm256_set1_epi32(19235)));
        return _mm256_srli_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(16384)), 15);
    }
    template <int pixel_bytes, int red>
    static void gray(const std::uint8_t* p, std::uint8_t* out) noexcept {
        constexpr int step = 8 * pixel_bytes;
        const __m256i a = gray32<red>(load_pixels<pixel_bytes>(p)),
                      b = gray32<red>(load_pixels<pixel_bytes>(p + step));
        const __m256i c = gray32<red>(load_pixels<pixel_bytes>(p + 2 * step)),
                      d = gray32<red>(load_pixels<pixel_bytes>(p + 3 * step));
        const __m256i mixed =
            _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
        store256(out,
                 _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    }
    template <int first>
    static __m256i second_bytes(__m256i v) noexcept {
        return first == 0 ? _mm256_and_si256(v, _mm256_set1_epi16(255)) : _mm256_srli_epi16(v, 8);
    }
    template <int first>
    static void every_second(const std::uint8_t* p, std::uint8_t* out) noexcept {
        const __m256i mixed = _mm256_packus_epi16(second_bytes<first>(load256(p)),
                                                  second_bytes<first>(load256(p + 32)));
        store256(out, _mm256_permute4x64_epi64(mixed, 0xd8));
    }

    static __m256i columns8(const std::uint8_t* pairs, const std::int16_t* weights) noexcept {
        return _mm256_srai_epi32(
            _mm256_madd_epi16(_mm256_cvtepu8_epi16(load128(pairs)), load256(weights)), 4);
    }
    static void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights,
                               std::int16_t* out) noexcept {
        for (int i = 0; i < block; i += 16) {
            const __m256i a = columns8(pairs + 2 * i, weights + 2 * i),
                          b = columns8(pairs + 2 * i + 16, weights + 2 * i + 16);
            store256(out + i, _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8));
        }
    }
    static __m256i rows16(const std::int16_t* top, const std::int16_t* bottom, __m256i w0,
                          __m256i w1) noexcept {
        const __m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(load256(top), w0),
                                             _mm256_mulhi_epi16(load256(bottom), w1));
        return _mm256_srai_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(2)), 2);
    }
    static void linear_rows(const std::int16_t* top, const std::int16_t* bottom, std::int16_t w0,
                            std::int16_t w1, std::uint8_t* out) noexcept {
        const __m256i v0 = _mm256_set1_epi16(w0), v1 = _mm256_set1_epi16(w1);
        const __m256i mixed =
            _mm256_packus_epi16(rows16(top, bottom, v0, v1), rows16(top + 16, bottom + 16, v0, v1));
        store256(out, _mm256_permute4x64_epi64(mixed, 0xd8));
    }
};

#include "kernels/image/rows.inl"

}  // namespace

const ImageKernels image_avx2 = kernels_of_v;

}  // namespace mien
