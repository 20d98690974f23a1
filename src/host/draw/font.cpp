// SPDX-License-Identifier: MIT
// The drawing of each letter, and the small reader of that notation (see font.h).
#include "host/draw/font.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <numbers>

namespace mien::host {
namespace {

// Each letter is a list of pen moves with numbers behind them:
//   M x y                  lift the pen and set it down at (x, y)
//   L x y                  line to (x, y)
//   O cx cy rx ry a0 a1    lift the pen; elliptic arc around (cx, cy) from angle a0 to a1 in
//                          degrees, counted anticlockwise from the right; falling angles turn
//                          clockwise
//   A cx cy rx ry a0 a1    the same without lifting: a line leads to the arc's start
struct Letter {
    float advance;
    const char* moves;
};

#define MIEN_DOT "O 14 2 2 2 0 360 "  // the full stop and its relatives

constexpr Letter letters[95] = {
    /*   */ {36, ""},
    /* ! */ {28, "M 14 100 L 14 30 " MIEN_DOT},
    /* " */ {44, "M 13 100 L 13 74 M 31 100 L 31 74"},
    /* # */ {84, "M 36 98 L 22 2 M 62 98 L 48 2 M 10 66 L 76 66 M 8 34 L 74 34"},
    /* $ */ {72, "O 36 74 23 20 25 270 A 36 30 25 24 90 -155 M 36 110 L 36 -8"},
    /* % */ {102, "O 26 77 15 22 0 360 O 76 23 15 22 0 360 M 78 100 L 24 0"},
    /* & */
    {88,
     "M 80 0 L 26 66 A 40 80 18 19 220 -35 L 22 43 A 37 25 26 25 125 300 A 37 30 39 30 300 370"},
    /* ' */ {26, "M 13 100 L 13 74"},
    /* ( */ {40, "O 48 40 34 76 122 238"},
    /* ) */ {40, "O -8 40 34 76 58 -58"},
    /* * */ {56, "M 28 100 L 28 60 M 11 90 L 45 70 M 11 70 L 45 90"},
    /* + */ {72, "M 36 68 L 36 12 M 8 40 L 64 40"},
    /* , */ {28, "M 16 4 L 9 -18"},
    /* - */ {50, "M 10 38 L 40 38"},
    /* . */ {28, MIEN_DOT},
    /* / */ {52, "M 7 -12 L 45 108"},
    /* 0 */ {72, "O 36 50 25 50 0 360"},
    /* 1 */ {72, "M 18 80 L 42 100 L 42 0"},
    /* 2 */ {72, "O 36 73 24 27 165 -38 L 12 0 L 61 0"},
    /* 3 */ {72, "O 35 76 22 24 148 -90 L 30 52 M 35 52 A 35 26 26 26 90 -150"},
    /* 4 */ {72, "M 50 0 L 50 100 L 9 28 L 64 28"},
    /* 5 */ {72, "M 57 100 L 20 100 L 16 54 A 34 32 27 32 132 -148"},
    /* 6 */ {72, "O 61 32 50 68 98 180 A 36 32 25 32 180 540"},
    /* 7 */ {72, "M 11 100 L 61 100 L 28 0"},
    /* 8 */ {72, "O 36 76 21 24 0 360 O 36 26 26 26 0 360"},
    /* 9 */ {72, "O 36 68 25 32 0 360 A 11 68 50 68 0 -82"},
    /* : */ {28, "O 14 62 2 2 0 360 " MIEN_DOT},
    /* ; */ {28, "O 15 62 2 2 0 360 M 16 4 L 9 -18"},
    /* < */ {72, "M 60 68 L 12 40 L 60 12"},
    /* = */ {72, "M 9 54 L 63 54 M 9 26 L 63 26"},
    /* > */ {72, "M 12 68 L 60 40 L 12 12"},
    /* ? */ {64, "O 32 75 22 25 165 -40 L 32 44 L 32 30 O 32 2 2 2 0 360"},
    /* @ */ {108, "O 54 40 19 21 0 360 M 73 60 L 73 30 A 84 30 11 13 180 350 A 54 40 42 54 0 300"},
    /* A */ {86, "M 8 0 L 43 100 L 78 0 M 20 34 L 66 34"},
    /* B */
    {78,
     "M 38 52 L 14 52 M 14 0 L 14 100 L 38 100 A 38 76 24 24 90 -90 A 40 26 27 26 90 -90 L 14 0"},
    /* C */ {84, "O 49 50 36 50 45 315"},
    /* D */ {86, "M 14 0 L 14 100 L 36 100 A 36 50 37 50 90 -90 L 14 0"},
    /* E */ {70, "M 60 100 L 14 100 L 14 0 L 60 0 M 14 52 L 54 52"},
    /* F */ {66, "M 58 100 L 14 100 L 14 0 M 14 50 L 52 50"},
    /* G */ {92, "O 49 50 36 50 45 335 L 82 44 L 54 44"},
    /* H */ {86, "M 14 0 L 14 100 M 72 0 L 72 100 M 14 52 L 72 52"},
    /* I */ {28, "M 14 0 L 14 100"},
    /* J */ {60, "M 46 100 L 46 26 A 26 26 20 26 0 -170"},
    /* K */ {76, "M 14 0 L 14 100 M 66 100 L 14 40 M 33 62 L 70 0"},
    /* L */ {64, "M 14 100 L 14 0 L 58 0"},
    /* M */ {102, "M 14 0 L 14 100 L 51 32 L 88 100 L 88 0"},
    /* N */ {88, "M 14 0 L 14 100 L 74 0 L 74 100"},
    /* O */ {96, "O 48 50 37 50 0 360"},
    /* P */ {74, "M 14 0 L 14 100 L 38 100 A 38 73 26 27 90 -90 L 14 46"},
    /* Q */ {96, "O 48 50 37 50 0 360 M 58 24 L 86 -8"},
    /* R */ {78, "M 14 0 L 14 100 L 38 100 A 38 73 26 27 90 -90 L 14 46 M 42 46 L 70 0"},
    /* S */ {72, "O 36 76 24 24 25 270 A 36 26 26 26 90 -155"},
    /* T */ {74, "M 7 100 L 67 100 M 37 100 L 37 0"},
    /* U */ {86, "M 14 100 L 14 30 A 43 30 29 30 180 360 L 72 100"},
    /* V */ {80, "M 8 100 L 40 0 L 72 100"},
    /* W */ {116, "M 8 100 L 33 0 L 58 92 L 83 0 L 108 100"},
    /* X */ {78, "M 10 0 L 68 100 M 10 100 L 68 0"},
    /* Y */ {76, "M 8 100 L 38 46 L 68 100 M 38 46 L 38 0"},
    /* Z */ {76, "M 11 100 L 65 100 L 11 0 L 65 0"},
    /* [ */ {38, "M 30 110 L 14 110 L 14 -20 L 30 -20"},
    /* \ */ {52, "M 45 -12 L 7 108"},
    /* ] */ {38, "M 8 110 L 24 110 L 24 -20 L 8 -20"},
    /* ^ */ {64, "M 10 60 L 32 98 L 54 60"},
    /* _ */ {70, "M 4 -16 L 66 -16"},
    /* ` */ {40, "M 12 100 L 26 82"},
    /* a */
    {68, "O 34 49 20 21 155 0 L 54 0 M 54 42 L 34 42 A 32 21 20 21 90 270 A 36 19 18 19 270 360"},
    /* b */ {72, "M 14 100 L 14 0 O 37 35 23 35 0 360"},
    /* c */ {64, "O 36 35 24 35 48 312"},
    /* d */ {72, "M 58 100 L 58 0 O 35 35 23 35 0 360"},
    /* e */ {70, "M 13 37 L 58 37 A 35 35 23 35 4 316"},
    /* f */ {44, "O 34 79 16 21 70 180 L 18 0 M 4 68 L 36 68"},
    /* g */ {72, "O 35 35 23 35 0 360 M 58 70 L 58 -5 A 35 -5 23 25 0 -150"},
    /* h */ {70, "M 14 100 L 14 0 M 14 44 A 35 44 21 26 180 0 L 56 0"},
    /* i */ {28, "M 14 70 L 14 0 O 14 97 2 2 0 360"},
    /* j */ {30, "M 16 70 L 16 -10 A 0 -10 16 20 0 -80 O 16 97 2 2 0 360"},
    /* k */ {64, "M 14 100 L 14 0 M 54 70 L 14 28 M 29 44 L 57 0"},
    /* l */ {36, "M 14 100 L 14 14 A 27 14 13 14 180 280"},
    /* m */
    {108, "M 14 70 L 14 0 M 14 46 A 34 46 20 24 180 0 L 54 0 M 54 46 A 74 46 20 24 180 0 L 94 0"},
    /* n */ {70, "M 14 70 L 14 0 M 14 44 A 35 44 21 26 180 0 L 56 0"},
    /* o */ {72, "O 36 35 25 35 0 360"},
    /* p */ {72, "M 14 70 L 14 -30 O 37 35 23 35 0 360"},
    /* q */ {72, "M 58 70 L 58 -30 O 35 35 23 35 0 360"},
    /* r */ {48, "M 14 70 L 14 0 M 14 42 A 37 42 23 28 180 76"},
    /* s */ {60, "O 30 53 18 17 25 270 A 30 18 20 18 90 -155"},
    /* t */ {46, "M 20 92 L 20 18 A 37 18 17 18 180 285 M 6 68 L 38 68"},
    /* u */ {70, "M 14 70 L 14 26 A 35 26 21 26 180 360 M 56 70 L 56 0"},
    /* v */ {64, "M 8 70 L 32 0 L 56 70"},
    /* w */ {92, "M 8 70 L 27 0 L 46 64 L 65 0 L 84 70"},
    /* x */ {62, "M 9 0 L 53 70 M 9 70 L 53 0"},
    /* y */ {64, "M 8 70 L 32 0 M 56 70 L 22 -30"},
    /* z */ {60, "M 10 70 L 50 70 L 10 0 L 50 0"},
    /* { */
    {46,
     "O 36 90 14 20 90 180 L 22 60 A 10 60 12 15 0 -90 A 10 30 12 15 90 0 L 22 0 A 36 0 14 20 180 "
     "270"},
    /* | */ {28, "M 14 110 L 14 -20"},
    /* } */
    {46,
     "O 10 90 14 20 90 0 L 24 60 A 36 60 12 15 180 270 A 36 30 12 15 90 180 L 24 0 A 10 0 14 20 0 "
     "-90"},
    /* ~ */ {76, "O 24 38 15 13 180 20 A 52 44 15 13 200 360"},
};
#undef MIEN_DOT

constexpr Letter missing = {72, "M 14 0 L 58 0 L 58 100 L 14 100 L 14 0"};

// Steps of an arc such that the chord leaves the curve by less than a hundredth of the capital's
// height.
constexpr float degrees_a_step = 12;

void add_arc(Stroke& stroke, const float (&n)[6]) {
    const float sweep = n[5] - n[4];
    const int steps = static_cast<int>(std::ceil(std::fabs(sweep) / degrees_a_step));
    for (int i = 0; i <= steps; ++i) {
        const float degrees = n[4] + sweep * static_cast<float>(i) / static_cast<float>(steps);
        const float angle = degrees * (std::numbers::pi_v<float> / 180);
        stroke.push_back({n[0] + n[2] * std::cos(angle), n[1] + n[3] * std::sin(angle)});
    }
}

Glyph read_letter(const Letter& letter) {
    Glyph result;
    result.advance = letter.advance;
    const char* at = letter.moves;
    while (*at != '\0') {
        if (*at == ' ') {
            ++at;
            continue;
        }
        const char move = *at++;
        const int count = move == 'O' || move == 'A' ? 6 : 2;
        float numbers[6] = {};
        for (int i = 0; i < count; ++i) {
            char* end = nullptr;
            numbers[i] = static_cast<float>(std::strtol(at, &end, 10));
            at = end;
        }
        if (move == 'M' || move == 'O' || result.strokes.empty()) result.strokes.emplace_back();
        if (count == 6) {
            add_arc(result.strokes.back(), numbers);
        } else {
            result.strokes.back().push_back({numbers[0], numbers[1]});
        }
    }
    return result;
}

struct Font {
    std::array<Glyph, 96> glyphs;
    Font() {
        for (std::size_t i = 0; i < 95; ++i) glyphs[i] = read_letter(letters[i]);
        glyphs[95] = read_letter(missing);
    }
};

}  // namespace

const Glyph& glyph(char character) {
    // parsed when the first letter is drawn, so that runs without drawing do not pay for it
    static const Font font;
    const int index = static_cast<unsigned char>(character) - 32;
    return font.glyphs[index >= 0 && index < 95 ? static_cast<std::size_t>(index) : 95];
}

void to_font_text(std::string_view utf8, std::vector<char>& out) {
    out.clear();
    for (const char c : utf8) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xc0) == 0x80) continue;  // the rest of a code point that already has its frame
        out.push_back(byte >= 32 && byte < 127 ? c : '\x7f');
    }
}

}  // namespace mien::host
