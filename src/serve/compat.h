// SPDX-License-Identifier: MIT
// Answers in the shapes that clients of two other services read: deepface's POST /analyze and
// CompreFace's POST /api/v1/detection/detect. The faces and readings are the same as everywhere.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "host/results/report.h"
#include "serve/json_request.h"
#include "serve/message.h"

namespace mien::serve {

// What a request of theirs may say; the rest of their options has no meaning here.
struct CompatOptions {
    host::PerHead<bool> heads;      // wanted readings
    bool landmarks = true;          // CompreFace
    bool enforce_detection = true;  // deepface: no face is an error
    std::size_t limit = 0;          // CompreFace: so many faces, the largest; 0: all
    float min_score = 0;            // CompreFace: det_prob_threshold

    CompatOptions();
    // Takes options from a body, or from a query. Nothing, or what is wrong.
    std::optional<Refusal> read_deepface(const TextOptions& options);
    std::optional<Refusal> read_compreface(const TextOptions& options);
};

// "a=b&c=d%20e" as names and values. Nothing when it has too many or is no such text.
std::optional<TextOptions> query_options(std::string_view query);

Answer answer_deepface(const host::ImageReport& report, const host::EngineInfo& info,
                       const CompatOptions& options);
Answer answer_compreface(const host::ImageReport& report, const host::EngineInfo& info,
                         const CompatOptions& options);
// An error as CompreFace's clients read it: `message` beside ours.
Answer refuse_compreface(const Refusal& refusal);

}  // namespace mien::serve
