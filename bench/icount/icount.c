/* SPDX-License-Identifier: MIT
 * How many instructions does a program run? A plugin for QEMU's user-mode emulation (TCG plugin interface, version 1):
 *   qemu-aarch64 -cpu cortex-a53 -plugin ./icount.so,out=FILE PROGRAM      writes the count to FILE
 * or with blocks=FILE        each block: first address, length, how often it was entered (bench/cycles.py)
 * A translated block adds its length whenever it is entered; a block has one way in, so nothing is estimated.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
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
uint64_t qemu_plugin_tb_vaddr(const block*);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(plugin_id id, const void* info, int count, char** arguments);

static uint64_t instructions;
static char path[4096];
enum { most_blocks = 1 << 18 };
static struct {
    uint64_t address, length, times;
} blocks[most_blocks];
static int block_count, by_block;

static void block_translated(plugin_id id, block* translated) {
    const uint64_t length = qemu_plugin_tb_n_insns(translated);
    (void)id;
    if (by_block) {
        if (block_count == most_blocks) {
            fputs("icount: too many blocks\n", stderr);
            exit(1);
        }
        blocks[block_count].address = qemu_plugin_tb_vaddr(translated);
        blocks[block_count].length = length;
        qemu_plugin_register_vcpu_tb_exec_inline(translated, add_u64, &blocks[block_count].times,
                                                 1);
        ++block_count;
        return;
    }
    qemu_plugin_register_vcpu_tb_exec_inline(translated, add_u64, &instructions, length);
}

static void write_count(plugin_id id, void* unused) {
    FILE* file = fopen(path, "w");
    (void)id;
    (void)unused;
    if (!file) {
        perror(path);
        return;
    }
    if (!by_block) fprintf(file, "%" PRIu64 "\n", instructions);
    for (int i = 0; i < block_count; ++i)
        fprintf(file, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", blocks[i].address, blocks[i].length,
                blocks[i].times);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const void* info, int count, char** arguments) {
    const char* const equals = count == 1 ? strchr(arguments[0], '=') : NULL;
    const int known = equals && (strncmp(arguments[0], "out=", 4) == 0 ||
                                 strncmp(arguments[0], "blocks=", 7) == 0);
    (void)info;
    if (!known || strlen(equals + 1) >= sizeof path) {
        fputs("icount: one argument, out=FILE or blocks=FILE\n", stderr);
        return 1;
    }
    by_block = arguments[0][0] == 'b';
    strcpy(path, equals + 1);
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_atexit_cb(id, write_count, NULL);
    return 0;
}
