// SPDX-License-Identifier: MIT
// Rows of pixels with SSE4.1.
// Built with -msse4.1; runs only where dispatch.cpp found it. No standard library here, see
// tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int block = 16;

    // Four pixels, each in 32 bits: the `quad`th of the block. Odd quads of 24-bit pixels are
    // loaded from 4 bytes before, so as to end with them.
    template <int pixel_bytes, int quad>
    static __m128i load_pixels(const std::uint8_t* p) noexcept {
        if constexpr (pixel_bytes == 4) {
            return load128(p + 16 * quad);
        } else if constexpr (quad % 2 == 0) {
            return _mm_shuffle_epi8(
                load128(p + 12 * quad),
                _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
        } else {
            return _mm_shuffle_epi8(
                load128(p + 12 * quad - 4),
                _mm_setr_epi8(4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1));
        }
    }
    template <int red>
    static __m128i gray32(__m128i pixels) noexcept {
        constexpr int outer = red == 0 ? 3735 << 16 | 9798 : 9798 << 16 | 3735;
        const __m128i red_blue = _mm_and_si128(pixels, _mm_set1_epi16(255)),
                      green = _mm_srli_epi16(pixels, 8);
        const __m128i sum = _mm_add_epi32(_mm_madd_epi16(red_blue, _mm_set1_epi32(outer)),
                                          _mm_madd_epi16(green, _mm_set1_epi32(19235)));
        return _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(16384)), 15);
    }
    template <int pixel_bytes, int red>
    static void gray(const std::uint8_t* p, std::uint8_t* out) noexcept {
        const __m128i a = gray32<red>(load_pixels<pixel_bytes, 0>(p)),
                      b = gray32<red>(load_pixels<pixel_bytes, 1>(p));
        const __m128i c = gray32<red>(load_pixels<pixel_bytes, 2>(p)),
                      d = gray32<red>(load_pixels<pixel_bytes, 3>(p));
        store128(out, _mm_packus_epi16(_mm_packus_epi32(a, b), _mm_packus_epi32(c, d)));
    }
    template <int first>
    static __m128i second_bytes(__m128i v) noexcept {
        return first == 0 ? _mm_and_si128(v, _mm_set1_epi16(255)) : _mm_srli_epi16(v, 8);
    }
    template <int first>
    static void every_second(const std::uint8_t* p, std::uint8_t* out) noexcept {
        store128(out, _mm_packus_epi16(second_bytes<first>(load128(p)),
                                       second_bytes<first>(load128(p + 16))));
    }

    static void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights,
                               std::int16_t* out) noexcept {
        for (int i = 0; i < block; i += 8) {
            const __m128i p = load128(pairs + 2 * i), zero = _mm_setzero_si128();
            const __m128i a = _mm_madd_epi16(_mm_unpacklo_epi8(p, zero), load128(weights + 2 * i));
            const __m128i b =
                _mm_madd_epi16(_mm_unpackhi_epi8(p, zero), load128(weights + 2 * i + 8));
            store128(out + i, _mm_packs_epi32(_mm_srai_epi32(a, 4), _mm_srai_epi32(b, 4)));
        }
    }
    static __m128i rows8(const std::int16_t* top, const std::int16_t* bottom, __m128i w0,
                         __m128i w1) noexcept {
        const __m128i sum =
            _mm_add_epi16(_mm_mulhi_epi16(load128(top), w0), _mm_mulhi_epi16(load128(bottom), w1));
        return _mm_srai_epi16(_mm_add_epi16(sum, _mm_set1_epi16(2)), 2);
    }
    static void linear_rows(const std::int16_t* top, const std::int16_t* bottom, std::int16_t w0,
                            std::int16_t w1, std::uint8_t* out) noexcept {
        const __m128i v0 = _mm_set1_epi16(w0), v1 = _mm_set1_epi16(w1);
        store128(out,
                 _mm_packus_epi16(rows8(top, bottom, v0, v1), rows8(top + 8, bottom + 8, v0, v1)));
    }
};

#include "kernels/image/rows.inl"

}  // namespace

const ImageKernels image_sse41 = kernels_of_v;

}  // namespace mien
