// SPDX-License-Identifier: MIT
// The verbs, one verb_*.cpp each. argv[0] is the verb; each returns the exit code.
#pragma once

namespace mien::cli {

int run_image(int argc, char** argv);
int run_classify(int argc, char** argv);
int run_info(int argc, char** argv);
int run_verify(int argc, char** argv);
int run_eval(int argc, char** argv);
int run_bench(int argc, char** argv);
int run_camera(int argc, char** argv);
int run_video(int argc, char** argv);
int run_serve(int argc, char** argv);
int run_explain(int argc, char** argv);
int run_report(int argc, char** argv);

}  // namespace mien::cli
