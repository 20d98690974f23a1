/* SPDX-License-Identifier: MIT
   The C interface of mien, for every other language. It says what mien.hpp says in C++.

   Contract. No function throws, prints, or keeps state outside the memory given to it. Images have 8
   bits per channel; coordinates are pixels with the origin at the top left.

   Threads. Calls on one engine or tracker must not overlap. Different engines are independent and
   may share weights and a pool.

   Lifetimes. Weights and the memory of an engine must outlive it; nothing needs to be destroyed.
   Pointers in results (mien_reading, mien_tracked_reading) are valid until the next call that is
   given the same engine or tracker.

   Growth. Every structure begins with struct_size, the caller's size of it. A newer library fills
   and reads only that much; an older library takes what it knows. So a program runs with any
   library of the same soname, whichever of the two is older. Set up a structure with its init
   macro, or with zeros and struct_size.

     mien_config config;
     mien_weights weights;
     mien_config_init(&config);
     mien_weights_init(&weights);
     config.max_width = 1280;
     config.max_height = 720;
     weights.cascade.data = cascade;
     weights.cascade.bytes = cascade_bytes;
     weights.heads[MIEN_EMOTION].data = emotion;
     weights.heads[MIEN_EMOTION].bytes = emotion_bytes;
     bytes = mien_required_bytes(&config, &weights);
     if (mien_create(&config, &weights, malloc(bytes), bytes, &engine) != MIEN_OK) ...
     mien_frame_init(&frame);  frame.data = pixels;  frame.width = 1280; ...
     if (mien_process(engine, &frame, &count) != MIEN_OK) ...
     for (i = 0; i < count; ++i) {
         mien_face_at(engine, i, &face);
         mien_reading_at(engine, i, MIEN_EMOTION, &reading);
     }

   docs/INTERFACES.md says which name is which in C, C++, Python and JSON. */
#ifndef MIEN_H
#define MIEN_H

#include <stddef.h>
#include <stdint.h>

#include "mien/version.h"

#if defined(__GNUC__)
#define MIEN_API __attribute__((visibility("default")))
#else
#define MIEN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { /* status codes; mien_message(code) is the text of each */
       MIEN_OK = 0,
       MIEN_BAD_ARGUMENT = 1,
       MIEN_BAD_FILE = 2,
       MIEN_WRONG_KIND = 3,
       MIEN_UNSUPPORTED = 4,
       MIEN_TOO_SMALL = 5,
       MIEN_FRAME_TOO_LARGE = 6,
       MIEN_VERIFY_FAILED = 7,
       MIEN_TOO_COSTLY = 8,
       MIEN_STOPPED = 9
};
enum { /* pixel formats, as in mien.hpp */
       MIEN_GRAY8 = 0,
       MIEN_RGB24 = 1,
       MIEN_BGR24 = 2,
       MIEN_RGBA32 = 3,
       MIEN_BGRA32 = 4,
       MIEN_YUYV = 5,
       MIEN_UYVY = 6,
       MIEN_NV12 = 7
};
enum { /* instruction sets, as in mien.hpp */
       MIEN_ISA_BEST = 0,
       MIEN_ISA_SCALAR = 1,
       MIEN_ISA_SSE41 = 2,
       MIEN_ISA_AVX2 = 3,
       MIEN_ISA_AVXVNNI = 4,
       MIEN_ISA_AVX512 = 5,
       MIEN_ISA_NEON = 6,
       MIEN_ISA_DOTPROD = 7,
       MIEN_ISA_I8MM = 8,
       MIEN_ISA_SIMD128 = 9,
       MIEN_ISA_RVV = 10
};
enum { /* heads: the questions that networks answer. Any number below MIEN_MAX_HEADS is one. */
       MIEN_EMOTION = 0,
       MIEN_GENDER = 1,
       MIEN_AGE = 2,
       MIEN_MAX_HEADS = 8
};
enum { /* smoothing of a tracker's readings, as in tracker.hpp */
       MIEN_SMOOTHING_NONE = 0,
       MIEN_SMOOTHING_MODE = 1,
       MIEN_SMOOTHING_AVERAGE = 2,
       MIEN_SMOOTHING_QUALITY = 3
};

typedef struct mien_config {
    uint32_t struct_size;
    uint32_t isa;           /* MIEN_ISA_BEST */
    double scale_factor;    /* 1.3; > 1 */
    int32_t min_neighbors;  /* 5; 0: raw candidates */
    int32_t min_size;       /* 0: the cascade's window, or no limit */
    int32_t max_size;       /* 0: the frame */
    int32_t max_width;      /* 640: the largest frame that will come */
    int32_t max_height;     /* 480 */
    int32_t detect_width;   /* 0; else wider frames are shrunk to it for detection */
    int32_t max_faces;      /* 256 */
    int32_t max_candidates; /* 16384: windows, or cells of the network */
    int32_t class_maps;     /* 0; else readings have class activation maps */
    int32_t threads;        /* 1; more need `run`. Results do not depend on it */
    void* run_context;      /* mien_pool_lend() sets threads, run_context and run */
    /* Calls task(argument, i) once for every i in [0, count), on any threads; returns when all calls
       have returned. A task never calls run again. */
    void (*run)(void* run_context, int count, void (*task)(void* argument, int index),
                void* argument);
    uint64_t (*clock_ns)(void); /* for mien_timings_of, on any of the threads; null: all zero */
    float min_score;            /* network: 0 to 1; 0: the default in its file, less 0.1 for gray */
    int32_t enlarge_to;   /* network: 0; else frames with a shorter longer side are enlarged to
                                   it for detection, at most twice; 640 is good for photos */
    int32_t any_rotation; /* network: 0; else the frame is also searched turned by 90, 180 and 270
                             degrees */
    float min_confidence; /* -1: as each network's file says; an answer whose highest probability is
                             below it is unsure; 0: none is. (Reserved and 0 until version 0.2.) */
    /* Null, or asked now and then, on any of the threads: nonzero ends the call with MIEN_STOPPED.
       Not asked by a tracker, which has a budget. */
    int (*stop)(void* stop_context);
    void* stop_context;
    int32_t min_face_height; /* Haar: min_height and max_height of mien_detector_options */
    int32_t max_face_height;
    int32_t stage_weights; /* Haar: 0; else faces have stage_weight */
    uint32_t reserved;     /* 0 */
} mien_config;

/* A `.mien` file in memory; null: none. */
typedef struct mien_file {
    const void* data;
    size_t bytes;
} mien_file;

typedef struct mien_weights {
    uint32_t struct_size;
    mien_file cascade;               /* the Haar detector */
    mien_file heads[MIEN_MAX_HEADS]; /* networks, by head */
    mien_file detector;              /* a face detector network, instead of the cascade */
    double network_limit; /* 0: 1. Each network may take that many times 10^10 operations a run and
                             256 MiB; MIEN_TOO_COSTLY beyond */
} mien_weights;

typedef struct mien_frame {
    uint32_t struct_size;
    uint32_t format; /* MIEN_GRAY8 ... */
    const uint8_t* data;
    int32_t width, height;
    ptrdiff_t stride_bytes;
} mien_frame;

typedef struct mien_rect {
    int32_t x, y, width, height;
} mien_rect;

/* Options of one search; else those of mien_config. */
typedef struct mien_detector_options {
    uint32_t struct_size;
    int32_t min_neighbors;
    double scale_factor;
    int32_t min_size, max_size;
    float min_score;
    uint32_t reserved; /* 0 */
    int32_t min_height,
        max_height; /* Haar, where they are not min_size and max_size; 0: they are */
} mien_detector_options;

typedef struct mien_face {
    uint32_t struct_size;
    int32_t x, y, width, height;
    int32_t neighbors;       /* Haar: candidate windows merged into this box */
    float score;             /* network: 0 to 1 */
    uint32_t landmark_count; /* network: 5; else 0 */
    float landmarks[5]
                   [2];  /* x, y: the person's right eye, left eye, tip of the nose, right and left
                                corner of the mouth, perhaps outside of the frame */
    double stage_weight; /* Haar, with mien_config.stage_weights: how far the best of the merged
                            windows got in the last stage; levelWeights of OpenCV */
} mien_face;

/* The answer of one network; counts are 0 without it. */
typedef struct mien_reading {
    uint32_t struct_size;
    uint32_t count; /* of probabilities, in the order of mien_label() */
    const float* probabilities;
    const float* map; /* class activation map of the most probable class, row by row */
    uint32_t map_width, map_height;
    int32_t unsure;         /* 1: no class is probable enough to name one */
    int32_t has_value;      /* 1: the network answers with a quantity, which is the following */
    float value, low, high; /* as Model::quantity in mien.hpp, in mien_unit(); else 0 */
    uint32_t reserved;      /* 0 */
} mien_reading;

/* Nanoseconds of the last call, by mien_config.clock_ns. */
typedef struct mien_timings {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    uint64_t gray, detect, crop, total;
    uint64_t heads[MIEN_MAX_HEADS];
} mien_timings;

typedef struct mien_engine mien_engine;

/* "0.2.0". MIEN_VERSION_NUMBER is the headers'. */
MIEN_API const char* mien_version(void);
MIEN_API const char* mien_message(int status);
/* The name of an instruction set or head: "avx2", "emotion"; "" for an unknown number. */
MIEN_API const char* mien_isa_name(uint32_t isa);
MIEN_API const char* mien_head_name(int head);
/* 1 when this build and processor have it. */
MIEN_API int mien_isa_available(uint32_t isa);

/* Defaults, and struct_size. The macros pass the caller's size. */
MIEN_API void mien_config_init_sized(mien_config* config, size_t bytes);
MIEN_API void mien_weights_init_sized(mien_weights* weights, size_t bytes);
MIEN_API void mien_frame_init_sized(mien_frame* frame, size_t bytes);
MIEN_API void mien_detector_options_init_sized(mien_detector_options* options, size_t bytes);
#define mien_config_init(config) mien_config_init_sized((config), sizeof *(config))
#define mien_weights_init(weights) mien_weights_init_sized((weights), sizeof *(weights))
#define mien_frame_init(frame) mien_frame_init_sized((frame), sizeof *(frame))
#define mien_detector_options_init(options) \
    mien_detector_options_init_sized((options), sizeof *(options))

/* A pool of threads to lend to engines, which it must outlive: as mien/thread_pool.hpp. Null when
   memory is exhausted. */
typedef struct mien_pool mien_pool;
MIEN_API mien_pool* mien_pool_create(int threads);
MIEN_API void mien_pool_lend(mien_pool* pool, mien_config* config);
MIEN_API void mien_pool_destroy(mien_pool* pool);

/* Bytes that mien_create needs; 0 when the configuration or a weights file is invalid (mien_create
   returns which). */
MIEN_API size_t mien_required_bytes(const mien_config* config, const mien_weights* weights);
/* The engine lives in `memory`; there is nothing to destroy, free the memory when done. */
MIEN_API int mien_create(const mien_config* config, const mien_weights* weights, void* memory,
                         size_t bytes, mien_engine** engine);

/* Finds and reads every face. */
MIEN_API int mien_process(mien_engine* engine, const mien_frame* frame, size_t* count);
/* Finds faces and reads none. `area`: the part of the frame to search, null: all of it; `options`:
   null: those of the configuration. */
MIEN_API int mien_detect(mien_engine* engine, const mien_frame* frame, const mien_rect* area,
                         const mien_detector_options* options, size_t* count);
/* Reads one face whose box is known; it becomes the only one, number 0. */
MIEN_API int mien_classify(mien_engine* engine, const mien_frame* frame, const mien_rect* box);
/* Reads an image that is a face crop already; it becomes face number 0. */
MIEN_API int mien_classify_crop(mien_engine* engine, const mien_frame* crop);

/* Face i of the last call, and what the network of `head` answered; bad argument where there is
   none. The macros pass the caller's size of the structure. */
MIEN_API int mien_face_at_sized(const mien_engine* engine, size_t i, mien_face* face, size_t bytes);
MIEN_API int mien_reading_at_sized(const mien_engine* engine, size_t i, int head,
                                   mien_reading* reading, size_t bytes);
#define mien_face_at(engine, i, face) mien_face_at_sized((engine), (i), (face), sizeof *(face))
#define mien_reading_at(engine, i, head, reading) \
    mien_reading_at_sized((engine), (i), (head), (reading), sizeof *(reading))

/* Label of class i (a copy in `text`, always ended by a zero byte, cut to `bytes`); returns its full
   length, 0 if there is none. */
MIEN_API size_t mien_label(const mien_engine* engine, int head, int i, char* text, size_t bytes);
/* Classes of a head's network; 0 without. */
MIEN_API int mien_class_count(const mien_engine* engine, int head);
/* The unit of a quantity, "years", as mien_label(); 0 where the head answers with none. */
MIEN_API size_t mien_unit(const mien_engine* engine, int head, char* text, size_t bytes);
/* The highest probability below which a head's answers are unsure; 0: none is. */
MIEN_API float mien_unsure_below(const mien_engine* engine, int head);
/* Class activation map of the face read last: width * height floats, row by row. With `out` null
   only the size is given. MIEN_TOO_SMALL: `count` floats are too few. */
MIEN_API int mien_class_map(const mien_engine* engine, int head, int class_index, float* out,
                            size_t count, int32_t* width, int32_t* height);
MIEN_API void mien_timings_of_sized(const mien_engine* engine, mien_timings* timings, size_t bytes);
#define mien_timings_of(engine, timings) \
    mien_timings_of_sized((engine), (timings), sizeof *(timings))
/* Replays the test vectors of a network file of a network_limit of 1. `memory` may be null: then
   *bytes_needed is set. */
MIEN_API int mien_verify(const void* file, size_t file_bytes, uint32_t isa, void* memory,
                         size_t memory_bytes, size_t* bytes_needed);

/* OpenCV's haarcascade_*.xml as a `.mien` file, for mien_weights.cascade: as mien/cascade_xml.hpp.
   `file` may be null: then only *bytes_needed is set. MIEN_BAD_FILE: the XML is refused, and `error`
   (which may be null) says why in one line, cut to `error_bytes`. MIEN_TOO_SMALL: `file` is, or
   memory is exhausted. `name`: the file's, for its provenance; may be null. */
MIEN_API int mien_cascade_of_xml(const void* xml, size_t xml_bytes, const char* name, void* file,
                                 size_t file_bytes, size_t* bytes_needed, char* error,
                                 size_t error_bytes);

/* ---- faces over time: as mien/tracker.hpp ---- */

typedef struct mien_tracker_config {
    uint32_t struct_size;
    uint32_t smoothing;     /* MIEN_SMOOTHING_MODE */
    float average_weight;   /* 0.25: of the newest result in MIEN_SMOOTHING_AVERAGE */
    int32_t max_tracks;     /* 32 */
    int32_t full_every;     /* 0: all of the first frame, then by cycle_ns; n: of every n-th */
    int32_t keep_neighbors; /* 2 */
    uint64_t cycle_ns;      /* 300 ms: time in which all sizes and positions are searched once */
    uint64_t lost_ns;       /* 500 ms: a face not found for so long is lost */
    uint64_t budget_ns;     /* 0: no limit; needs mien_config.clock_ns */
} mien_tracker_config;

typedef struct mien_tracked_face {
    uint32_t struct_size;
    uint32_t id; /* from 1, never used again */
    int32_t x, y, width, height;
    int32_t neighbors;
    int32_t missed;    /* frames since it was found; 0: found in this one */
    uint32_t frames;   /* since it was found first; 0: in this one */
    uint32_t reserved; /* 0 */
    uint64_t read_ns;  /* time stamp of the frame that the networks read last */
    float score;       /* this and the following as in mien_face */
    uint32_t landmark_count;
    float landmarks[5][2];
} mien_tracked_face;

typedef struct mien_tracked_reading {
    uint32_t struct_size;
    uint32_t count;
    const float* probabilities; /* the last result itself */
    const float* smoothed;
    int32_t label; /* the most probable of `smoothed`; -1: none */
    uint32_t map_width, map_height;
    const float* map;
    int32_t unsure;         /* 1: `label` is not probable enough to be named */
    int32_t has_value;      /* 1: a quantity, of `smoothed`, as in mien_reading */
    float value, low, high; /* in mien_tracker_unit() */
    uint32_t reserved;      /* 0 */
} mien_tracked_reading;

typedef struct mien_tracker mien_tracker;

MIEN_API void mien_tracker_config_init_sized(mien_tracker_config* config, size_t bytes);
#define mien_tracker_config_init(config) mien_tracker_config_init_sized((config), sizeof *(config))

MIEN_API size_t mien_tracker_required_bytes(const mien_config* config,
                                            const mien_tracker_config* tracking,
                                            const mien_weights* weights);
MIEN_API int mien_tracker_create(const mien_config* config, const mien_tracker_config* tracking,
                                 const mien_weights* weights, void* memory, size_t bytes,
                                 mien_tracker** tracker);
/* `time_ns` is the frame's, by any clock; it ascends. */
MIEN_API int mien_tracker_process(mien_tracker* tracker, const mien_frame* frame, uint64_t time_ns,
                                  size_t* count);
MIEN_API int mien_tracked_face_at_sized(const mien_tracker* tracker, size_t i,
                                        mien_tracked_face* face, size_t bytes);
MIEN_API int mien_tracked_reading_at_sized(const mien_tracker* tracker, size_t i, int head,
                                           mien_tracked_reading* reading, size_t bytes);
#define mien_tracked_face_at(tracker, i, face) \
    mien_tracked_face_at_sized((tracker), (i), (face), sizeof *(face))
#define mien_tracked_reading_at(tracker, i, head, reading) \
    mien_tracked_reading_at_sized((tracker), (i), (head), (reading), sizeof *(reading))
/* Forgets every face. */
MIEN_API void mien_tracker_reset(mien_tracker* tracker);
MIEN_API size_t mien_tracker_label(const mien_tracker* tracker, int head, int i, char* text,
                                   size_t bytes);
MIEN_API size_t mien_tracker_unit(const mien_tracker* tracker, int head, char* text, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
