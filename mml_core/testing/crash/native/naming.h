/* Calls that give, change or take away names. */

#define ON_PATH(NAME, FOLDER, PATH, EXPRESSION) \
    do { \
        struct call call = {.name = NAME}; \
        if (!full_path(FOLDER, PATH, call.path)) return (EXPRESSION); \
        ON_PATHS(int, EXPRESSION); \
    } while (0)

#define ON_TWO(NAME, FLAGS, FOLDER, PATH, OTHER_FOLDER, OTHER, EXPRESSION) \
    do { \
        struct call call = {.name = NAME, .flags = (uint32_t)(FLAGS)}; \
        if (!full_path(FOLDER, PATH, call.path)) return (EXPRESSION); \
        if (!full_path(OTHER_FOLDER, OTHER, call.other)) return (EXPRESSION); \
        ON_PATHS(int, EXPRESSION); \
    } while (0)

int rename(const char *path, const char *other) {
    REAL(rename);
    ON_TWO("rename", 0, AT_FDCWD, path, AT_FDCWD, other, real(path, other));
}

int renameat(int folder, const char *path, int other_folder, const char *other) {
    REAL(renameat);
    ON_TWO("rename", 0, folder, path, other_folder, other, real(folder, path, other_folder, other));
}

#ifdef __GLIBC__
int renameat2(int folder, const char *path, int other_folder, const char *other, unsigned int flags) {
    REAL(renameat2);
    ON_TWO("rename", flags, folder, path, other_folder, other, real(folder, path, other_folder, other, flags));
}
#endif

int link(const char *path, const char *other) {
    REAL(link);
    ON_TWO("link", 0, AT_FDCWD, path, AT_FDCWD, other, real(path, other));
}

int linkat(int folder, const char *path, int other_folder, const char *other, int flags) {
    REAL(linkat);
    ON_TWO("link", 0, folder, path, other_folder, other, real(folder, path, other_folder, other, flags));
}

/* What a symbolic link says is not a path of ours: only its name is looked at. */
int symlink(const char *target, const char *path) {
    REAL(symlink);
    ON_PATH("symlink", AT_FDCWD, path, real(target, path));
}

int symlinkat(const char *target, int folder, const char *path) {
    REAL(symlinkat);
    ON_PATH("symlink", folder, path, real(target, folder, path));
}

int unlink(const char *path) {
    REAL(unlink);
    ON_PATH("unlink", AT_FDCWD, path, real(path));
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    ON_PATH(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, path, real(folder, path, flags));
}

int remove(const char *path) {
    REAL(remove);
    ON_PATH("unlink", AT_FDCWD, path, real(path));
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    ON_PATH("mkdir", AT_FDCWD, path, real(path, mode));
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(mkdirat);
    ON_PATH("mkdir", folder, path, real(folder, path, mode));
}

int rmdir(const char *path) {
    REAL(rmdir);
    ON_PATH("rmdir", AT_FDCWD, path, real(path));
}
