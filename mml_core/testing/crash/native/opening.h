/* Calls that make, empty or resize a file. */

#define CREATES(flags) ((flags) & (O_CREAT | O_TRUNC))

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define OPENING(FOLDER, PATH, FLAGS, EXPRESSION) \
    do { \
        if (!CREATES(FLAGS)) return (EXPRESSION); \
        struct call call = {.name = "open", .flags = (uint32_t)(FLAGS)}; \
        if (!full_path(FOLDER, PATH, call.path)) return (EXPRESSION); \
        ON_PATHS(int, EXPRESSION); \
    } while (0)

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE_OF(flags)
    OPENING(AT_FDCWD, path, flags, real(path, flags, mode));
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    MODE_OF(flags)
    OPENING(folder, path, flags, real(folder, path, flags, mode));
}

int creat(const char *path, mode_t mode) {
    REAL(creat);
    OPENING(AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY, real(path, mode));
}

#define RESIZING(NAME, EXPRESSION) \
    do { \
        call.name = NAME; \
        ON_PATHS(int, EXPRESSION); \
    } while (0)

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    struct call call = {.size = length};
    if (!path_of_fd(fd, call.path)) return real(fd, length);
    RESIZING("truncate", real(fd, length));
}

int truncate(const char *path, off_t length) {
    REAL(truncate);
    struct call call = {.size = length};
    if (!full_path(AT_FDCWD, path, call.path)) return real(path, length);
    RESIZING("truncate", real(path, length));
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    REAL(fallocate);
    struct call call = {.flags = (uint32_t)mode, .offset = offset, .size = length};
    if (!path_of_fd(fd, call.path)) return real(fd, mode, offset, length);
    RESIZING("allocate", real(fd, mode, offset, length));
}

/* Unlike the others it returns the errno. */
int posix_fallocate(int fd, off_t offset, off_t length) {
    REAL(posix_fallocate);
    struct call call = {.name = "allocate", .offset = offset, .size = length};
    if (!path_of_fd(fd, call.path) || !is_barrier(&call)) return real(fd, offset, length);
    int error = reach(&call, NULL, NULL);
    if (!error) error = real(fd, offset, length);
    call.inode = inode_of_fd(fd);
    note(&call, error, NULL, 0, 0);
    return error;
}

#ifdef __GLIBC__
int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE_OF(flags)
    OPENING(AT_FDCWD, path, flags, real(path, flags, mode));
}

int openat64(int folder, const char *path, int flags, ...) {
    REAL(openat64);
    MODE_OF(flags)
    OPENING(folder, path, flags, real(folder, path, flags, mode));
}

int creat64(const char *path, mode_t mode) {
    REAL(creat64);
    OPENING(AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY, real(path, mode));
}

/* What programs call that were built with checks of their buffers; it takes no mode. */
int __open64_2(const char *path, int flags) {
    static int (*real)(const char *, int);
    if (!real) real = (int (*)(const char *, int))dlsym(RTLD_NEXT, "__open64_2");
    OPENING(AT_FDCWD, path, flags, real(path, flags));
}

int __open_2(const char *path, int flags) {
    static int (*real)(const char *, int);
    if (!real) real = (int (*)(const char *, int))dlsym(RTLD_NEXT, "__open_2");
    OPENING(AT_FDCWD, path, flags, real(path, flags));
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    struct call call = {.size = length};
    if (!path_of_fd(fd, call.path)) return real(fd, length);
    RESIZING("truncate", real(fd, length));
}

int truncate64(const char *path, off64_t length) {
    REAL(truncate64);
    struct call call = {.size = length};
    if (!full_path(AT_FDCWD, path, call.path)) return real(path, length);
    RESIZING("truncate", real(path, length));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    REAL(fallocate64);
    struct call call = {.flags = (uint32_t)mode, .offset = offset, .size = length};
    if (!path_of_fd(fd, call.path)) return real(fd, mode, offset, length);
    RESIZING("allocate", real(fd, mode, offset, length));
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    REAL(posix_fallocate64);
    struct call call = {.name = "allocate", .offset = offset, .size = length};
    if (!path_of_fd(fd, call.path) || !is_barrier(&call)) return real(fd, offset, length);
    int error = reach(&call, NULL, NULL);
    if (!error) error = real(fd, offset, length);
    call.inode = inode_of_fd(fd);
    note(&call, error, NULL, 0, 0);
    return error;
}
#endif

/* Temporary names that C libraries ask for: the name is known only when it is made. */
#define TEMPORARY(EXPRESSION) \
    do { \
        struct call call = {.name = "open", .flags = O_CREAT | O_EXCL | O_RDWR}; \
        if (!full_path(AT_FDCWD, form, call.path) || !is_barrier(&call)) return (EXPRESSION); \
        int refused = reach(&call, NULL, NULL); \
        if (refused) errno = refused; \
        int result = refused ? -1 : (EXPRESSION); \
        int error = result < 0 ? errno : 0; \
        if (!error) full_path(AT_FDCWD, form, call.path); \
        if (!error) call.inode = inode_of_fd(result); \
        note(&call, error, NULL, 0, 0); \
        return result; \
    } while (0)

int mkstemp(char *form) {
    REAL(mkstemp);
    TEMPORARY(real(form));
}

int mkostemp(char *form, int flags) {
    REAL(mkostemp);
    TEMPORARY(real(form, flags));
}

int mkstemps(char *form, int suffix) {
    REAL(mkstemps);
    TEMPORARY(real(form, suffix));
}

#ifdef __GLIBC__
int mkstemp64(char *form) {
    REAL(mkstemp64);
    TEMPORARY(real(form));
}

int mkostemp64(char *form, int flags) {
    REAL(mkostemp64);
    TEMPORARY(real(form, flags));
}
#endif
