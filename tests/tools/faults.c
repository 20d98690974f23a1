/* SPDX-License-Identifier: MIT
 * Makes one system call of a program fail, for tests of what it leaves behind:
 *   cc -shared -fPIC -o faults.so faults.c -ldl
 *   LD_PRELOAD=./faults.so FAULT_AT=7 FAULT_KIND=ENOSPC FAULT_NOTE=note PROGRAM...
 * Counts the calls that bring a file to the disk: write, pwrite, fsync, ftruncate and close of
 * regular files that are open for writing, rename, link and unlink, fchmod. Number FAULT_AT does
 * not happen and returns the error FAULT_KIND (ENOSPC, EIO, EINTR, EDQUOT); "short" writes half of
 * the bytes, and ENOSPC as of then: a disk that is full stays full. FAULT_NOTE is written when it
 * happens: the name of the call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long calls;
static int full; /* the disk, as of the fault */

static int error_of_kind(void) {
    const char* kind = getenv("FAULT_KIND");
    if (kind == NULL) return EIO;
    if (strcmp(kind, "EINTR") == 0) return EINTR;
    if (strcmp(kind, "EDQUOT") == 0) return EDQUOT;
    return strcmp(kind, "EIO") == 0 ? EIO : ENOSPC;
}

static int is_short(void) {
    const char* kind = getenv("FAULT_KIND");
    return kind != NULL && strcmp(kind, "short") == 0;
}

static void note(const char* call) {
    const char* path = getenv("FAULT_NOTE");
    int file;
    if (path == NULL) return;
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return;
    syscall(SYS_write, file, call, strlen(call));
    syscall(SYS_close, file);
}

static int fails(const char* call) {
    const char* at = getenv("FAULT_AT");
    if (at == NULL || ++calls != atol(at)) return 0;
    note(call);
    return 1;
}

/* Opened for writing, and a file on a disk. */
static int is_output(int file) {
    struct stat info;
    const int flags = fcntl(file, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fstat(file, &info) == 0 &&
           S_ISREG(info.st_mode);
}

static void* original(const char* name) { return dlsym(RTLD_NEXT, name); }

#define WITH(type, name, arguments) ((type(*) arguments)original(name))

ssize_t write(int file, const void* bytes, size_t size) {
    if (is_output(file)) {
        if (full) {
            errno = ENOSPC;
            return -1;
        }
        if (fails("write")) {
            if (is_short()) {
                full = 1;
                if (size > 1) return syscall(SYS_write, file, bytes, size / 2);
            }
            errno = error_of_kind();
            return -1;
        }
    }
    return syscall(SYS_write, file, bytes, size);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
    if (is_output(file)) {
        if (fails("pwrite")) {
            if (is_short() && size > 1)
                return WITH(ssize_t, "pwrite", (int, const void*, size_t, off_t))(file, bytes,
                                                                                  size / 2, at);
            errno = error_of_kind();
            return -1;
        }
    }
    return WITH(ssize_t, "pwrite", (int, const void*, size_t, off_t))(file, bytes, size, at);
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off_t at) {
    return pwrite(file, bytes, size, at);
}

#define FAILING(name, declared, passed, counts)   \
    int name declared {                           \
        if ((counts) && fails(#name)) {           \
            errno = error_of_kind();              \
            return -1;                            \
        }                                         \
        return WITH(int, #name, declared) passed; \
    }

FAILING(fsync, (int file), (file), is_output(file))
FAILING(fdatasync, (int file), (file), is_output(file))
FAILING(ftruncate, (int file, off_t size), (file, size), is_output(file))
FAILING(fchmod, (int file, mode_t mode), (file, mode), is_output(file))
FAILING(rename, (const char* from, const char* to), (from, to), 1)
FAILING(link, (const char* from, const char* to), (from, to), 1)

/* The descriptor is gone all the same, as Linux has it. */
int close(int file) {
    const int counts = is_output(file);
    const int result = (int)syscall(SYS_close, file);
    if (counts && fails("close")) {
        errno = error_of_kind();
        return -1;
    }
    return result;
}
