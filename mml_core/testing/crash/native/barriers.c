/* Write barriers: counts, logs and injures the calls by which a tree of processes changes the disk.

   Preloaded into every process of a command (LD_PRELOAD). A call that changes a path below one of the watched
   roots is a barrier. Barriers are numbered over all processes by one counter in shared memory. At the one
   that is chosen the command is killed, signalled, or the call fails. Each barrier is appended to a log,
   whose records `barriers.py` reads.

   Nothing here allocates memory, keeps a descriptor, or calls a function that is interposed. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAGIC 0x314b434du
#define KILLED (-1)
#define OUTSIDE 0

struct header {
    uint32_t magic, length;
    uint64_t number;
    uint32_t pid, tid;
    int32_t error;   /* 0: done; an errno: failed; -1: never done, the command was killed here */
    uint32_t flags;  /* of open, unlinkat and renameat2 */
    uint64_t inode;  /* of the file that the call made or changed */
    int64_t offset, size;
    char call[16];
    uint32_t path_length, other_length;
    uint64_t data_length;
} __attribute__((packed));

struct call {
    const char *name;
    char path[PATH_MAX], other[PATH_MAX];
    uint64_t number;
    uint32_t flags;
    int64_t offset, size;
    uint64_t inode;
};

enum action { NOTHING, KILL, SIGNAL, FAIL };

static struct {
    int ready;
    char log[PATH_MAX];
    const char *roots, *ignored, *host;
    uint64_t at;
    enum action action;
    int number, process_only, tear, lasting, with_data, outside;
    _Atomic uint64_t *counter;
} state;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int flag(const char *name) {
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0");
}

static void *shared(const char *folder) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/counter", folder);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL;
    void *memory = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    return memory == MAP_FAILED ? NULL : memory;
}

__attribute__((constructor)) static void set_up(void) {
    if (state.ready) return;
    state.ready = 1;
    const char *folder = getenv("MML_CRASH_DIR"), *action = getenv("MML_CRASH_ACTION");
    const char *at = getenv("MML_CRASH_AT"), *number = getenv("MML_CRASH_NUMBER");
    state.host = getenv("MML_CRASH_HOST");
    state.roots = getenv("MML_CRASH_ROOTS");
    state.ignored = getenv("MML_CRASH_IGNORE");
    if (!folder || !state.roots) return;
    snprintf(state.log, sizeof state.log, "%s/log", folder);
    state.at = at ? strtoull(at, NULL, 10) : 0;
    state.number = number ? atoi(number) : 0;
    if (action) {
        if (!strcmp(action, "kill")) state.action = KILL;
        if (!strcmp(action, "signal")) state.action = SIGNAL;
        if (!strcmp(action, "fail")) state.action = FAIL;
    }
    state.process_only = flag("MML_CRASH_PROCESS_ONLY");
    state.tear = flag("MML_CRASH_TEAR");
    state.lasting = flag("MML_CRASH_LASTING");
    state.with_data = flag("MML_CRASH_DATA");
    state.outside = flag("MML_CRASH_OUTSIDE");
    state.counter = shared(folder);
}

/* -- paths */

static void normalise(char *path) {
    char *out = path;
    for (const char *in = path; *in;) {
        while (*in == '/') in++;
        const char *end = in;
        while (*end && *end != '/') end++;
        size_t length = (size_t)(end - in);
        if (length == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/') continue;
        } else if (length && !(length == 1 && *in == '.')) {
            *out++ = '/';
            memmove(out, in, length);
            out += length;
        }
        in = end;
    }
    if (out == path) *out++ = '/';
    *out = '\0';
}

static int path_of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = '\0';
    return 1;
}

static int full_path(int folder, const char *given, char *path) {
    if (!given || !*given) return 0;
    size_t used = 0;
    if (*given != '/') {
        if (folder == AT_FDCWD) {
            if (syscall(SYS_getcwd, path, PATH_MAX) <= 0) return 0;
        } else if (!path_of_fd(folder, path)) {
            return 0;
        }
        used = strlen(path);
    }
    if (used + strlen(given) + 2 > PATH_MAX) return 0;
    path[used] = '/';
    strcpy(path + used + 1, given);
    normalise(path);
    return 1;
}

/* Walks the lines of a list; `next` holds where to go on. */
static int line_of(const char **next, char *line, size_t size) {
    if (!*next || !**next) return 0;
    const char *end = strchr(*next, '\n');
    size_t length = end ? (size_t)(end - *next) : strlen(*next);
    if (length >= size) length = size - 1;
    memcpy(line, *next, length);
    line[length] = '\0';
    *next = end ? end + 1 : NULL;
    return 1;
}

static int below_root(const char *path) {
    char root[PATH_MAX];
    for (const char *next = state.roots; line_of(&next, root, sizeof root);) {
        size_t length = strlen(root);
        if (!strncmp(path, root, length) && (path[length] == '/' || !path[length])) return 1;
    }
    return 0;
}

static int is_ignored(const char *call, const char *path) {
    char pattern[PATH_MAX];
    for (const char *next = state.ignored; line_of(&next, pattern, sizeof pattern);) {
        const char *glob = pattern;
        char *at = strchr(pattern, '@');  /* "write@GLOB" ignores one call only */
        if (at) {
            *at = '\0';
            if (strcmp(pattern, call)) continue;
            glob = at + 1;
        }
        if (!fnmatch(glob, path, 0)) return 1;
    }
    return 0;
}

/* -- the log */

static uint64_t inode_at(int folder, const char *path, int flags) {
    struct statx found;
    long failed = syscall(SYS_statx, folder, path, flags | AT_SYMLINK_NOFOLLOW, STATX_INO, &found);
    return failed ? 0 : found.stx_ino;
}

static uint64_t inode_of_fd(int fd) { return inode_at(fd, "", AT_EMPTY_PATH); }

static uint64_t inode_of_path(const char *path) { return inode_at(AT_FDCWD, path, 0); }

static void note(const struct call *call, int error, const struct iovec *data, int parts, uint64_t length) {
    int before = errno;
    struct header header = {.magic = MAGIC, .number = call->number, .flags = call->flags, .error = error};
    header.pid = (uint32_t)syscall(SYS_getpid);
    header.tid = (uint32_t)syscall(SYS_gettid);
    header.inode = call->inode;
    header.offset = call->offset;
    header.size = call->size;
    memcpy(header.call, call->name, strnlen(call->name, sizeof header.call));
    header.path_length = (uint32_t)strlen(call->path);
    header.other_length = (uint32_t)strlen(call->other);
    header.data_length = state.with_data && data ? length : 0;
    header.length = (uint32_t)(sizeof header + header.path_length + header.other_length);
    struct iovec pieces[3 + 64] = {
        {&header, sizeof header},
        {(void *)call->path, header.path_length},
        {(void *)call->other, header.other_length},
    };
    int count = 3;
    for (uint64_t left = header.data_length; left && parts; data++, parts--) {
        pieces[count] = *data;
        if (pieces[count].iov_len > left) pieces[count].iov_len = left;
        left -= pieces[count++].iov_len;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, state.log, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0) {
        syscall(SYS_writev, fd, pieces, count);
        syscall(SYS_close, fd);
    }
    errno = before;
}

/* Notes a call together with what a file holds now from `offset` on. */
static void note_content(struct call *call, int fd, int64_t offset, int64_t length) {
    void *memory = MAP_FAILED;
    if (state.with_data && length > 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int again = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        memory = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (again >= 0 && memory != MAP_FAILED)
            length = syscall(SYS_pread64, again, memory, (size_t)length, offset);
        if (again >= 0) syscall(SYS_close, again);
    }
    call->offset = offset;
    call->size = length;
    struct iovec data = {memory, length > 0 ? (size_t)length : 0};
    int known = memory != MAP_FAILED && length > 0;
    note(call, 0, known ? &data : NULL, known, known ? (uint64_t)length : 0);
    if (memory != MAP_FAILED) munmap(memory, (size_t)call->size);
}

/* -- reaching a barrier */

static int takes_room(const char *call) {
    static const char *names[] = {"open", "write", "truncate", "allocate", "mkdir", "link", "symlink", NULL};
    for (const char **name = names; *name; name++)
        if (!strcmp(*name, call)) return 1;
    return 0;
}

/* Signals this process alone, or the command: the group of the session's leader, and that of a worker which
   leads its own. Further workers end with the command by themselves. */
static void send(int number) {
    if (state.process_only) {
        syscall(SYS_kill, (pid_t)syscall(SYS_getpid), number);
        return;
    }
    pid_t session = getsid(0);
    if (session > 0 && session != getpgrp()) syscall(SYS_kill, -session, number);
    syscall(SYS_kill, 0, number);
}

static void die(void) {
    send(SIGKILL);
    for (;;) pause();
}

/* Whether a call is a barrier; its paths are filled in. A call elsewhere is noted by who asked for that. */
static int is_barrier(struct call *call) {
    if (!state.ready) set_up();
    if (!state.counter) return 0;
    int first = below_root(call->path), second = call->other[0] && below_root(call->other);
    if (first || second) return !(first && is_ignored(call->name, call->path)) &&
                                !(second && is_ignored(call->name, call->other));
    return 0;
}

static int elsewhere(const struct call *call) {
    return state.counter && state.outside && call->path[0] && !is_ignored(call->name, call->path);
}

/* Counts a barrier. Returns the errno it has to fail with, or 0. `torn` does the first half of a write. */
static int reach(struct call *call, void (*torn)(void *), void *argument) {
    call->number = atomic_fetch_add(state.counter, 1) + 1;
    int here = state.at && call->number == state.at;
    int after = state.lasting && state.at && call->number > state.at && takes_room(call->name);
    if (here && state.action == KILL) {
        if (state.tear && torn) torn(argument);
        note(call, KILLED, NULL, 0, 0);
        die();
    }
    if (here && state.action == SIGNAL) send(state.number);
    return (here || after) && state.action == FAIL ? state.number : 0;
}

/* Runs a call that takes paths as a barrier: EXPRESSION does it and is -1 where it fails. */
#define ON_PATHS(TYPE, EXPRESSION) \
    do { \
        if (!is_barrier(&call)) { \
            TYPE plain = (EXPRESSION); \
            if (plain != (TYPE)-1 && elsewhere(&call)) note(&call, 0, NULL, 0, 0); \
            return plain; \
        } \
        int refused = reach(&call, NULL, NULL); \
        if (refused) errno = refused; \
        TYPE result = refused ? (TYPE)-1 : (EXPRESSION); \
        int error = result == (TYPE)-1 ? errno : 0; \
        if (!error) call.inode = inode_of_path(call.other[0] ? call.other : call.path); \
        note(&call, error, NULL, 0, 0); \
        return result; \
    } while (0)

#include "opening.h"
#include "writing.h"
#include "naming.h"
#include "streams.h"

/* -- another machine: leases tell machines apart by name */

int gethostname(char *name, size_t size) {
    REAL(gethostname);
    if (!state.ready) set_up();
    if (!state.host) return real(name, size);
    snprintf(name, size, "%s", state.host);
    return 0;
}

int uname(struct utsname *found) {
    REAL(uname);
    if (!state.ready) set_up();
    int result = real(found);
    if (state.host && !result) snprintf(found->nodename, sizeof found->nodename, "%s", state.host);
    return result;
}
