// SPDX-License-Identifier: MIT
// A filter of system calls (seccomp) in the kernel's small machine language; see sandbox.h. What is
// listed is refused, everything else goes on: the C library of another year calls other functions.
#include "serve/sandbox.h"

#if defined(__linux__) && __has_include(<linux/seccomp.h>)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#if defined(__x86_64__) && !defined(__ILP32__)
#define MIEN_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MIEN_AUDIT_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define MIEN_AUDIT_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define MIEN_AUDIT_ARCH AUDIT_ARCH_RISCV64
#endif
// Their run-time libraries open files and start processes for their reports.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MIEN_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define MIEN_SANITIZED 1
#endif
#endif
#endif

namespace mien::serve {

#if !defined(MIEN_AUDIT_ARCH) || defined(MIEN_SANITIZED)

Sandbox enter_sandbox(bool) { return {false, "no sandbox: this build has none"}; }

#else

namespace {

class Filter {
public:
    Filter() {
        load(offsetof(seccomp_data, arch));
        // Numbers of another architecture mean other calls.
        add(BPF_JMP | BPF_JEQ | BPF_K, MIEN_AUDIT_ARCH, 1, 0);
        refuse(EPERM);
        load(offsetof(seccomp_data, nr));
#ifdef __x86_64__
        constexpr std::uint32_t x32 = 0x40000000;
        add(BPF_JMP | BPF_JGE | BPF_K, x32, 0, 1);
        refuse(EPERM);
#endif
    }
    void refuse_calls(std::initializer_list<long> numbers, int error = EPERM) {
        for (const long number : numbers) {
            add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1);
            refuse(error);
        }
    }
    // Refuses the call when its argument has one of `bits`, or with `wanted` when it lacks them.
    void refuse_bits(long number, int argument, std::uint32_t bits, bool wanted = false) {
        add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 4);
        constexpr std::size_t low = std::endian::native == std::endian::little ? 0 : 4;
        load(offsetof(seccomp_data, args) + 8 * static_cast<std::size_t>(argument) + low);
        add(BPF_JMP | BPF_JSET | BPF_K, bits, wanted ? 1 : 0, wanted ? 0 : 1);
        refuse(EPERM);
        add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    bool apply() {
        add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        sock_fprog program = {static_cast<unsigned short>(code_.size()), code_.data()};
        // Without it only the administrator may; and nothing that is run later gains rights.
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
        return ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                         &program) == 0;
    }

private:
    void add(int code, std::uint32_t value, int if_true = 0, int if_false = 0) {
        code_.push_back({static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(if_true),
                         static_cast<std::uint8_t>(if_false), value});
    }
    void load(std::size_t offset) {
        add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
    }
    void refuse(int error) {
        add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error));
    }
    std::vector<sock_filter> code_;
};

void refuse_opening(Filter& filter) {
    filter.refuse_calls({
#ifdef __NR_open
        __NR_open,
#endif
#ifdef __NR_creat
        __NR_creat,
#endif
#ifdef __NR_openat2
        __NR_openat2,
#endif
        __NR_openat});
}

void refuse_files(Filter& filter) {
    filter.refuse_calls({
#ifdef __NR_unlink
        __NR_unlink,       __NR_rename,
        __NR_mkdir,        __NR_rmdir,
        __NR_link,         __NR_symlink,
        __NR_mknod,        __NR_chmod,
        __NR_chown,
#endif
#ifdef __NR_renameat
        __NR_renameat,
#endif
#ifdef __NR_open_tree
        __NR_open_tree,    __NR_move_mount,
        __NR_fsopen,
#endif
        __NR_unlinkat,     __NR_renameat2,
        __NR_mkdirat,      __NR_linkat,
        __NR_symlinkat,    __NR_mknodat,
        __NR_fchmodat,     __NR_fchownat,
        __NR_truncate,     __NR_mount,
        __NR_umount2,      __NR_pivot_root,
        __NR_chroot,       __NR_open_by_handle_at,
        __NR_memfd_create, __NR_swapon,
        __NR_acct});
}

void refuse_processes(Filter& filter) {
    filter.refuse_calls({
#ifdef __NR_fork
        __NR_fork,
        __NR_vfork,
#endif
#ifdef __NR_userfaultfd
        __NR_userfaultfd,
#endif
#ifdef __NR_pidfd_getfd
        __NR_pidfd_getfd,
#endif
#ifdef __NR_kexec_load
        __NR_kexec_load,
#endif
        __NR_execve,
        __NR_execveat,
        __NR_ptrace,
        __NR_process_vm_readv,
        __NR_process_vm_writev,
        __NR_unshare,
        __NR_setns,
        __NR_bpf,
        __NR_perf_event_open,
        __NR_keyctl,
        __NR_add_key,
        __NR_request_key,
        __NR_init_module,
        __NR_finit_module,
        __NR_delete_module,
        __NR_reboot});
    // Threads, but no processes. What clone3 is told cannot be seen from here; the C library takes
    // the other one where it is missing.
#ifdef __NR_clone3
    filter.refuse_calls({__NR_clone3}, ENOSYS);
#endif
    filter.refuse_bits(__NR_clone, 0, CLONE_THREAD, true);
}

void refuse_sockets(Filter& filter) {
    filter.refuse_calls({__NR_socket, __NR_socketpair, __NR_connect, __NR_bind, __NR_listen});
    // A way around all of this.
#ifdef __NR_io_uring_setup
    filter.refuse_calls({__NR_io_uring_setup, __NR_io_uring_enter, __NR_io_uring_register}, ENOSYS);
#endif
}

void refuse_code(Filter& filter) {
#ifdef __NR_mmap
    filter.refuse_bits(__NR_mmap, 2, PROT_EXEC);
#endif
#ifdef __NR_mmap2
    filter.refuse_bits(__NR_mmap2, 2, PROT_EXEC);
#endif
    filter.refuse_bits(__NR_mprotect, 2, PROT_EXEC);
#ifdef __NR_pkey_mprotect
    filter.refuse_bits(__NR_pkey_mprotect, 2, PROT_EXEC);
#endif
}

}  // namespace

Sandbox enter_sandbox(bool may_open) {
    Filter filter;
    if (!may_open) refuse_opening(filter);
    refuse_files(filter);
    refuse_processes(filter);
    refuse_sockets(filter);
    refuse_code(filter);
    errno = 0;
    if (!filter.apply())
        return {false, std::string("no sandbox: the kernel does not allow it (seccomp: ") +
                           std::strerror(errno != 0 ? errno : ESRCH) + ")"};
    return {true,
            std::string("sandbox: ") +
                (may_open ? "files can be opened, for the camera; none can be changed, and no "
                          : "no files, ") +
                "programs or new connections from here on (seccomp)"};
}

#endif

}  // namespace mien::serve
