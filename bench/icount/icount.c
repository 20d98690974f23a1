/* SPDX-License-Identifier: MIT
 * How many instructions does a program run? A plugin for QEMU's user-mode emulation (TCG plugin interface, version 1):
 *   qemu-aarch64 -cpu cortex-a53 -plugin ./icount.so,out=FILE PROGRAM      writes the count to FILE
 * A translated block adds its length whenever it is entered; a block has one way in, so nothing is estimated.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Debian packages no qemu-plugin.h: what is used of it, declared here. */
typedef uint64_t plugin_id;
typedef struct qemu_plugin_tb block;
enum inline_operation { add_u64 = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, block*));
void qemu_plugin_register_vcpu_tb_exec_inline(block*, enum inline_operation, void* counter,
                                              uint64_t amount);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);
size_t qemu_plugin_tb_n_insns(const block*);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(plugin_id id, const void* info, int count, char** arguments);

static uint64_t instructions;
static char path[4096];

static void block_translated(plugin_id id, block* translated) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(translated, add_u64, &instructions,
                                             qemu_plugin_tb_n_insns(translated));
}

static void write_count(plugin_id id, void* unused) {
    FILE* file = fopen(path, "w");
    (void)id;
    (void)unused;
    if (!file) {
        perror(path);
        return;
    }
    fprintf(file, "%" PRIu64 "\n", instructions);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const void* info, int count, char** arguments) {
    (void)info;
    if (count != 1 || strncmp(arguments[0], "out=", 4) != 0 ||
        strlen(arguments[0] + 4) >= sizeof path) {
        fputs("icount: one argument, out=FILE\n", stderr);
        return 1;
    }
    strcpy(path, arguments[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_atexit_cb(id, write_count, NULL);
    return 0;
}
