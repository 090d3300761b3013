/* Calls that change what a file holds, and those that force it to the disk. */

struct piece {
    int fd;
    const void *data;
    size_t size;
    int64_t offset;  /* -1: where the descriptor stands */
};

static void first_half(void *argument) {
    struct piece *piece = argument;
    if (piece->offset < 0) syscall(SYS_write, piece->fd, piece->data, piece->size / 2);
    else syscall(SYS_pwrite64, piece->fd, piece->data, piece->size / 2, piece->offset);
}

static int64_t position(int fd) { return syscall(SYS_lseek, fd, 0, SEEK_CUR); }

/* EXPRESSION writes PARTS pieces of DATA; OFFSET is -1 where it writes at the descriptor's position. */
#define WRITING(FD, DATA, PARTS, LENGTH, OFFSET, EXPRESSION) \
    do { \
        struct call call = {.name = "write"}; \
        const struct iovec *pieces = (DATA); \
        int parts = (PARTS); \
        if (!(LENGTH) || !path_of_fd(FD, call.path) || !is_barrier(&call)) return (EXPRESSION); \
        struct piece piece = {FD, pieces[0].iov_base, pieces[0].iov_len, OFFSET}; \
        call.size = (int64_t)(LENGTH); \
        call.offset = (OFFSET) < 0 ? position(FD) : (int64_t)(OFFSET); \
        call.inode = inode_of_fd(FD); \
        int refused = reach(&call, first_half, &piece); \
        if (refused) errno = refused; \
        ssize_t result = refused ? -1 : (EXPRESSION); \
        int error = result < 0 ? errno : 0; \
        if (!error) call.size = result; \
        if (!error && (OFFSET) < 0) call.offset = position(FD) - result; \
        note(&call, error, pieces, parts > 64 ? 64 : parts, error ? 0 : (uint64_t)result); \
        return result; \
    } while (0)

static size_t total(const struct iovec *pieces, int count) {
    size_t sum = 0;
    for (int at = 0; at < count; at++) sum += pieces[at].iov_len;
    return sum;
}

#define ONE(data, size) &(struct iovec){(void *)(data), size}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    WRITING(fd, ONE(data, size), 1, size, (int64_t)-1, real(fd, data, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REAL(pwrite);
    WRITING(fd, ONE(data, size), 1, size, offset, real(fd, data, size, offset));
}

ssize_t writev(int fd, const struct iovec *data, int count) {
    REAL(writev);
    WRITING(fd, data, count, total(data, count), (int64_t)-1, real(fd, data, count));
}

ssize_t pwritev(int fd, const struct iovec *data, int count, off_t offset) {
    REAL(pwritev);
    WRITING(fd, data, count, total(data, count), offset, real(fd, data, count, offset));
}

#ifdef __GLIBC__
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(pwrite64);
    WRITING(fd, ONE(data, size), 1, size, offset, real(fd, data, size, offset));
}

ssize_t pwritev64(int fd, const struct iovec *data, int count, off64_t offset) {
    REAL(pwritev64);
    WRITING(fd, data, count, total(data, count), offset, real(fd, data, count, offset));
}

ssize_t pwritev2(int fd, const struct iovec *data, int count, off_t offset, int flags) {
    REAL(pwritev2);
    WRITING(fd, data, count, total(data, count), offset, real(fd, data, count, offset, flags));
}

ssize_t pwritev64v2(int fd, const struct iovec *data, int count, off64_t offset, int flags) {
    REAL(pwritev64v2);
    WRITING(fd, data, count, total(data, count), offset, real(fd, data, count, offset, flags));
}
#endif

/* The kernel copies; what it wrote is read back for the log. */
#define COPYING(FD, EXPRESSION) \
    do { \
        struct call call = {.name = "write"}; \
        if (!path_of_fd(FD, call.path) || !is_barrier(&call)) return (EXPRESSION); \
        call.size = (int64_t)size; \
        call.inode = inode_of_fd(FD); \
        int refused = reach(&call, NULL, NULL); \
        if (refused) errno = refused; \
        ssize_t result = refused ? -1 : (EXPRESSION); \
        if (result < 0) note(&call, errno, NULL, 0, 0); \
        else note_content(&call, FD, (at ? *at : position(FD)) - result, result); \
        return result; \
    } while (0)

ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    REAL(sendfile);
    const off_t *at = NULL;
    COPYING(out, real(out, in, from, size));
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *at, size_t size, unsigned int flags) {
    REAL(copy_file_range);
    COPYING(out, real(in, from, out, at, size, flags));
}

#ifdef __GLIBC__
ssize_t sendfile64(int out, int in, off64_t *from, size_t size) {
    REAL(sendfile64);
    const off64_t *at = NULL;
    COPYING(out, real(out, in, from, size));
}
#endif

#define FORCING(EXPRESSION) \
    do { \
        struct call call = {.name = "fsync"}; \
        if (!path_of_fd(fd, call.path) || !is_barrier(&call)) return (EXPRESSION); \
        call.inode = inode_of_fd(fd); \
        int refused = reach(&call, NULL, NULL); \
        if (refused) errno = refused; \
        int result = refused ? -1 : (EXPRESSION); \
        note(&call, result ? errno : 0, NULL, 0, 0); \
        return result; \
    } while (0)

int fsync(int fd) {
    REAL(fsync);
    FORCING(real(fd));
}

int fdatasync(int fd) {
    REAL(fdatasync);
    FORCING(real(fd));
}
