/* SPDX-License-Identifier: MIT
   The C interface of mien: the C++ one (mien.hpp) for every other language. No function throws, prints, or keeps state
   outside the memory given to it. Pictures are 8-bit, coordinates are pixels with the origin at the top left.

     mien_config config;  mien_config_init(&config);  config.max_width = 1280;  config.max_height = 720;
     mien_weights weights = {cascade, cascade_bytes, emotion, emotion_bytes, gender, gender_bytes};
     size_t bytes = mien_required_bytes(&config, &weights);
     mien_engine* engine;
     if (mien_create(&config, &weights, malloc(bytes), bytes, &engine) != MIEN_OK) ...
     mien_frame frame = {pixels, 1280, 720, 1280 * 3, MIEN_RGB24};
     if (mien_process(engine, &frame, &faces, &count) == MIEN_OK) ... */
#ifndef MIEN_H
#define MIEN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MIEN_API __attribute__((visibility("default")))
#else
#define MIEN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { /* status codes; the text of each is mien_message(code) */
       MIEN_OK = 0,
       MIEN_BAD_ARGUMENT,
       MIEN_BAD_FILE,
       MIEN_WRONG_KIND,
       MIEN_UNSUPPORTED,
       MIEN_TOO_SMALL,
       MIEN_FRAME_TOO_LARGE,
       MIEN_VERIFY_FAILED
};
enum {
    MIEN_GRAY8 = 0,
    MIEN_RGB24,
    MIEN_BGR24,
    MIEN_RGBA32,
    MIEN_BGRA32,
    MIEN_YUYV,
    MIEN_UYVY,
    MIEN_NV12
}; /* as in mien.hpp */
enum { MIEN_EMOTION = 0, MIEN_GENDER = 1 };

typedef struct mien_config {
    uint32_t struct_size; /* set by mien_config_init; lets the struct grow */
    uint32_t isa;         /* 0: the best that the processor has, 1: scalar, others as in mien.hpp */
    double scale_factor;  /* 1.3; > 1 */
    int32_t min_neighbors;  /* 5; 0: raw candidates */
    int32_t min_size;       /* 0: the cascade's window */
    int32_t max_size;       /* 0: the frame */
    int32_t max_width;      /* 640: the largest frame that will come */
    int32_t max_height;     /* 480 */
    int32_t detect_width;   /* 0; else wider frames are shrunk to it for detection */
    int32_t max_faces;      /* 256 */
    int32_t max_candidates; /* 16384 */
    int32_t
        threads; /* 1; more need `run`. Results do not depend on it. mien_pool_lend() sets these three */
    void* run_context;
    /* Calls task(argument, i) once for every i in [0, count), on any threads; returns when all calls have returned. */
    void (*run)(void* run_context, int count, void (*task)(void* argument, int index),
                void* argument);
} mien_config;

/* `.mien` files in memory, which must outlive the engine. Any of the three may be null with size 0. */
typedef struct mien_weights {
    const void* cascade;
    size_t cascade_bytes;
    const void* emotion;
    size_t emotion_bytes;
    const void* gender;
    size_t gender_bytes;
} mien_weights;

typedef struct mien_frame {
    const uint8_t* data;
    int32_t width, height;
    ptrdiff_t stride_bytes;
    uint32_t format; /* MIEN_GRAY8 ... */
} mien_frame;

typedef struct mien_face {
    int32_t x, y, width, height;
    int32_t neighbors;
    uint32_t emotion_count, gender_count; /* 0 without that model */
    const float*
        emotion; /* probabilities in the order of mien_label(); valid until the next call with the engine */
    const float* gender;
} mien_face;

typedef struct mien_engine mien_engine;

MIEN_API const char* mien_version(void);
MIEN_API const char* mien_message(int status);
MIEN_API void mien_config_init(mien_config* config);

/* A pool of threads to lend to engines, which it must outlive: as mien/thread_pool.hpp. Null when memory is used up. */
typedef struct mien_pool mien_pool;
MIEN_API mien_pool* mien_pool_create(int threads);
MIEN_API void mien_pool_lend(mien_pool* pool, mien_config* config);
MIEN_API void mien_pool_destroy(mien_pool* pool);

/* Bytes that mien_create needs; 0 when the configuration or a weights file is invalid (mien_create says which). */
MIEN_API size_t mien_required_bytes(const mien_config* config, const mien_weights* weights);
/* The engine lives in `memory`; there is nothing to destroy, free the memory when done. */
MIEN_API int mien_create(const mien_config* config, const mien_weights* weights, void* memory,
                         size_t bytes, mien_engine** engine);

/* Faces of a frame with emotion and gender; boxes only; one face whose box is known; a picture that is a face crop. */
MIEN_API int mien_process(mien_engine* engine, const mien_frame* frame, const mien_face** faces,
                          size_t* count);
MIEN_API int mien_detect(mien_engine* engine, const mien_frame* frame, const mien_face** faces,
                         size_t* count);
MIEN_API int mien_classify(mien_engine* engine, const mien_frame* frame, int32_t x, int32_t y,
                           int32_t width, int32_t height, mien_face* face);
MIEN_API int mien_classify_crop(mien_engine* engine, const mien_frame* crop, mien_face* face);

/* Name of class i (a copy in `text`, always ended by a zero byte, cut to `bytes`); returns its full length, 0 if there is none. */
MIEN_API size_t mien_label(const mien_engine* engine, int head, int i, char* text, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
