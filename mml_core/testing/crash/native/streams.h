/* C streams. libc writes their buffers by calls of its own that cannot be interposed, so what makes it write is
   a barrier: fwrite, fflush and fclose, and fopen where it makes or empties the file.

   What fputs, putc and fprintf put into a buffer is seen when that is flushed; where libc flushes a full buffer
   in the middle of those, at the next barrier of the stream. The log is then given the whole file. */

#include <stdio_ext.h>

static int flags_of(const char *mode) {
    int both = strchr(mode, '+') ? O_RDWR : O_WRONLY;
    if (*mode == 'w') return both | O_CREAT | O_TRUNC;
    return *mode == 'a' ? both | O_CREAT | O_APPEND : 0;
}

static int is_stream_barrier(FILE *stream, struct call *call) {
    call->name = "write";
    if (!stream || !path_of_fd(fileno(stream), call->path) || !is_barrier(call)) return 0;
    int flags = (int)syscall(SYS_fcntl, fileno(stream), F_GETFL);
    call->inode = inode_of_fd(fileno(stream));
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

static int refused(struct call *call) {
    int error = reach(call, NULL, NULL);
    if (!error) return 0;
    note(call, error, NULL, 0, 0);
    errno = error;
    return 1;
}

static void note_file(struct call *call, FILE *stream) {
    int before = errno, fd = fileno(stream);
    int64_t here = position(fd), end = syscall(SYS_lseek, fd, 0, SEEK_END);
    syscall(SYS_lseek, fd, here, SEEK_SET);
    note_content(call, fd, 0, end);
    errno = before;
}

#define OPENING_STREAM(EXPRESSION) \
    do { \
        struct call call = {.name = "open", .flags = (uint32_t)flags_of(mode)}; \
        if (!call.flags || !full_path(AT_FDCWD, path, call.path) || !is_barrier(&call)) return (EXPRESSION); \
        if (refused(&call)) return NULL; \
        FILE *result = (EXPRESSION); \
        if (result) call.inode = inode_of_fd(fileno(result)); \
        note(&call, result ? 0 : errno, NULL, 0, 0); \
        return result; \
    } while (0)

FILE *fopen(const char *path, const char *mode) {
    REAL(fopen);
    OPENING_STREAM(real(path, mode));
}

FILE *freopen(const char *path, const char *mode, FILE *stream) {
    REAL(freopen);
    OPENING_STREAM(real(path, mode, stream));
}

#ifdef __GLIBC__
FILE *fopen64(const char *path, const char *mode) {
    REAL(fopen64);
    OPENING_STREAM(real(path, mode));
}
#endif

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
    REAL(fwrite);
    struct call call = {0};
    if (!size || !count || !is_stream_barrier(stream, &call)) return real(data, size, count, stream);
    if (refused(&call)) return 0;
    size_t result = real(data, size, count, stream);
    note_file(&call, stream);
    return result;
}

int fflush(FILE *stream) {
    REAL(fflush);
    struct call call = {0};
    if (!is_stream_barrier(stream, &call)) return real(stream);
    if (refused(&call)) return EOF;
    int result = real(stream);
    note_file(&call, stream);
    return result;
}

int fclose(FILE *stream) {
    REAL(fclose);
    static __typeof__(fflush) *flush;
    if (!flush) flush = (__typeof__(fflush) *)dlsym(RTLD_NEXT, "fflush");
    struct call call = {0};
    if (!is_stream_barrier(stream, &call)) return real(stream);
    if (refused(&call)) {
        int error = errno;
        __fpurge(stream);
        real(stream);
        errno = error;
        return EOF;
    }
    int flushed = flush(stream);
    note_file(&call, stream);
    return real(stream) || flushed ? EOF : 0;
}
