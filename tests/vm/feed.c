/* SPDX-License-Identifier: MIT
   Plays frames into a v4l2loopback device, over and over until it is ended: feed DEVICE FORMAT WIDTH HEIGHT RATE FILE...
   FORMAT: V4L2's four letters. MJPG: each FILE is one image; else FILE holds frames of 12 (YV12) or 16 bits one after the other. RATE 0: as fast as the device takes them. */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_FRAMES 256

static struct {
    unsigned char* data;
    size_t bytes;
} frames[MAX_FRAMES];

static void fail(const char* what) {
    perror(what);
    exit(1);
}

static size_t load(const char* path, unsigned char** data) {
    FILE* file = fopen(path, "rb");
    long bytes;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (bytes = ftell(file)) <= 0) fail(path);
    rewind(file);
    *data = malloc((size_t)bytes);
    if (!*data || fread(*data, 1, (size_t)bytes, file) != (size_t)bytes) fail(path);
    fclose(file);
    return (size_t)bytes;
}

int main(int argc, char** argv) {
    if (argc < 7 || strlen(argv[2]) != 4) return 2;
    const int jpeg = strcmp(argv[2], "MJPG") == 0, width = atoi(argv[3]), height = atoi(argv[4]),
              rate = atoi(argv[5]);
    const size_t plain =
        (size_t)width * (size_t)height * (strcmp(argv[2], "YV12") == 0 ? 3 : 4) / 2;
    size_t count = 0, largest = plain;
    for (int i = 6; i < argc; ++i) {
        unsigned char* data;
        const size_t bytes = load(argv[i], &data), step = jpeg ? bytes : plain;
        for (size_t at = 0; at + step <= bytes && count < MAX_FRAMES; at += step, ++count) {
            frames[count].data = data + at;
            frames[count].bytes = step;
        }
        if (jpeg && bytes > largest) largest = bytes;
    }
    const int device = open(argv[1], O_RDWR);
    struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    if (device < 0 || count == 0) fail(argv[1]);
    format.fmt.pix.width = (unsigned)width;
    format.fmt.pix.height = (unsigned)height;
    format.fmt.pix.pixelformat = v4l2_fourcc(argv[2][0], argv[2][1], argv[2][2], argv[2][3]);
    format.fmt.pix.field = V4L2_FIELD_NONE;
    format.fmt.pix.sizeimage = (unsigned)largest;
    if (ioctl(device, VIDIOC_S_FMT, &format) != 0) fail("VIDIOC_S_FMT");
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (size_t i = 0;; i = (i + 1) % count) {
        if (write(device, frames[i].data, frames[i].bytes) < 0) fail("write");
        if (rate > 0) {
            next.tv_nsec += 1000000000L / rate;
            next.tv_sec += next.tv_nsec / 1000000000L;
            next.tv_nsec %= 1000000000L;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        }
    }
}
