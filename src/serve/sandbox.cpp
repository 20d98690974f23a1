// SPDX-License-Identifier: MIT
// A filter of system calls (seccomp) in the kernel's small machine language, and Landlock's rules;
// see sandbox.h. The filter refuses what is listed, everything else goes on: the C library of another
// year calls other functions.
#include "serve/sandbox.h"

#if defined(__linux__) && __has_include(<linux/seccomp.h>)
#include <fcntl.h>
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

bool confine_new_threads(bool) { return false; }
Sandbox enter_sandbox(bool, bool) { return {false, "no sandbox: this build has none"}; }

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

#ifdef __NR_landlock_create_ruleset
// What headers of another year may lack.
namespace landlock {
struct Ruleset {
    std::uint64_t files = 0, network = 0, scope = 0;
};
#pragma pack(push, 1)
struct PathBeneath {
    std::uint64_t allowed = 0;
    std::int32_t folder = -1;
};
#pragma pack(pop)
constexpr std::uint64_t write_file = 1 << 1, read_file = 1 << 2, read_folder = 1 << 3,
                        control_device = 1 << 15;
constexpr std::uint64_t bind_and_connect = 3, abstract_sockets_and_signals = 3;

// What a version of it can refuse, and how much of Ruleset it knows.
Ruleset all_of(long version) {
    const int kinds = version < 2 ? 13 : version < 3 ? 14 : version < 5 ? 15 : 16;
    return {(std::uint64_t{1} << kinds) - 1, version < 4 ? 0 : bind_and_connect,
            version < 6 ? 0 : abstract_sockets_and_signals};
}
std::size_t size_of(long version) { return version < 4 ? 8 : version < 6 ? 16 : 24; }
}  // namespace landlock

bool allow_devices(int ruleset, std::uint64_t known) {
    landlock::PathBeneath rule;
    rule.allowed = known & (landlock::write_file | landlock::read_file | landlock::read_folder |
                            landlock::control_device);
    rule.folder = ::open("/dev", O_PATH | O_CLOEXEC);
    if (rule.folder < 0) return false;
    constexpr int path_beneath = 1;
    const bool done = ::syscall(__NR_landlock_add_rule, ruleset, path_beneath, &rule, 0) == 0;
    ::close(rule.folder);
    return done;
}
#endif

}  // namespace

bool confine_new_threads([[maybe_unused]] bool keep_devices) {
#ifdef __NR_landlock_create_ruleset
    constexpr int ask_version = 1;
    const long version =
        ::syscall(__NR_landlock_create_ruleset, nullptr, std::size_t{0}, ask_version);
    if (version < 1) return false;
    const landlock::Ruleset refused = landlock::all_of(version);
    const auto ruleset = static_cast<int>(
        ::syscall(__NR_landlock_create_ruleset, &refused, landlock::size_of(version), 0));
    if (ruleset < 0) return false;
    const bool done = (!keep_devices || allow_devices(ruleset, refused.files)) &&
                      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                      ::syscall(__NR_landlock_restrict_self, ruleset, 0) == 0;
    ::close(ruleset);
    return done;
#else
    return false;
#endif
}

Sandbox enter_sandbox(bool may_open, bool confined) {
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
    const char* const files =
        !may_open  ? "no files, "
        : confined ? "files can be opened below /dev only, for the camera; no "
                   : "files can be opened, for the camera; none can be changed, and no ";
    return {true, std::string("sandbox: ") + files +
                      "programs or new connections from here on (seccomp" +
                      (confined ? ", Landlock)" : ")")};
}

#endif

}  // namespace mien::serve
