/* SPDX-License-Identifier: MIT
   Does the C interface compile as C89 and work from C? Also built against an installed mien by tests/install. */
#include <mien/mien.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void* load(const char* folder, const char* name, size_t* bytes) {
    char path[1024];
    FILE* file;
    void* data;
    long size;
    if (strlen(folder) + strlen(name) + 2 > sizeof path) return NULL;
    sprintf(path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0 ||
        fseek(file, 0, SEEK_SET) != 0)
        return NULL;
    data = malloc((size_t)size);
    *bytes = data != NULL ? fread(data, 1, (size_t)size, file) : 0;
    fclose(file);
    return data;
}

int main(int argc, char** argv) {
    const char* folder = argc > 1 ? argv[1] : "weights";
    static unsigned char pixels[320 * 240];
    mien_weights weights;
    mien_config config;
    mien_frame frame;
    mien_engine* engine;
    mien_face face;
    mien_reading reading;
    void* memory;
    size_t bytes, count, i;
    char label[32];
    int status;

    mien_weights_init(&weights);
    weights.cascade.data =
        load(folder, "haarcascade_frontalface_default.mien", &weights.cascade.bytes);
    weights.heads[MIEN_EMOTION].data =
        load(folder, "emotion.mien", &weights.heads[MIEN_EMOTION].bytes);
    if (weights.cascade.data == NULL || weights.heads[MIEN_EMOTION].data == NULL) return 3;
    mien_config_init(&config);
    bytes = mien_required_bytes(&config, &weights);
    memory = malloc(bytes);
    status = mien_create(&config, &weights, memory, bytes, &engine);
    if (status != MIEN_OK) {
        printf("mien: %s\n", mien_message(status));
        return 4;
    }
    mien_frame_init(&frame);
    frame.data = pixels;
    frame.width = 320;
    frame.height = 240;
    frame.stride_bytes = 320;
    frame.format = MIEN_GRAY8;
    status = mien_process(engine, &frame, &count);
    for (i = 0; i < count; ++i)
        if (mien_face_at(engine, i, &face) == MIEN_OK &&
            mien_reading_at(engine, i, MIEN_EMOTION, &reading) == MIEN_OK)
            printf("%d, %d: %u probabilities\n", (int)face.x, (int)face.y, (unsigned)reading.count);
    mien_label(engine, MIEN_EMOTION, 3, label, sizeof label);
    printf("mien %s: %lu faces, %s, label 3 is %s\n", mien_version(), (unsigned long)count,
           mien_message(status), label);
    free(memory);
    free((void*)weights.cascade.data);
    free((void*)weights.heads[MIEN_EMOTION].data);
    return status != MIEN_OK || strcmp(label, "happy") != 0;
}
