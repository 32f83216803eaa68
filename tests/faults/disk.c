/* A disk that fails: loaded before the C library, it lets the k-th operation on a file whose path holds FAULT_PATH come to
   nothing, and all later ones too if FAULT_KIND says so. Operations are writes, flushes and whatever changes a folder or
   the length of a file: renames, new files, new folders, truncation and allocation.

   FAULT_AT    k, from 1 on
   FAULT_MARK  a file that is made when it has come to that
   FAULT_KIND  cut:  half of a write is done, then the process ends as if the power had gone; of all else, nothing
               once: the k-th fails with "no space left on device"
               full: so do all after it */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long done;

/* Where a file descriptor leads; empty if nowhere. */
static void path_of(int fd, char *path, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, size - 1);
    path[n > 0 ? n : 0] = 0;
}

/* Whether this operation on the file at the absolute `path` is to fail. */
static int fails_at(const char *path)
{
    const char *part = getenv("FAULT_PATH"), *at = getenv("FAULT_AT"), *kind = getenv("FAULT_KIND");
    if (!part || !at || !kind || !strstr(path, part))
        return 0;
    long k = atol(at), now = atomic_fetch_add(&done, 1) + 1;
    if (now == k && getenv("FAULT_MARK"))
        close(open(getenv("FAULT_MARK"), O_CREAT | O_WRONLY, 0600));
    return strcmp(kind, "full") == 0 ? now >= k : now == k;
}

static int fails(int fd)
{
    char path[4096];
    path_of(fd, path, sizeof path);
    return fails_at(path);
}

/* The same of a file that is named, from the folder `fd` on. */
static int fails_in(int fd, const char *name)
{
    char folder[4096] = "", path[8192];
    if (name[0] != '/') {
        if (fd != AT_FDCWD)
            path_of(fd, folder, sizeof folder);
        else if (!getcwd(folder, sizeof folder))
            return 0;
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fails_at(path);
}

static int is_cut(void)
{
    return strcmp(getenv("FAULT_KIND"), "cut") == 0;
}

/* What an operation that fails, and has done nothing, comes to. */
static int nothing(void)
{
    if (is_cut())
        _exit(86);
    errno = ENOSPC;
    return -1;
}

ssize_t write(int fd, const void *from, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    if (!fails(fd))
        return real(fd, from, n);
    if (is_cut())
        real(fd, from, n / 2);
    return nothing();
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "pwrite64");
    if (!fails(fd))
        return real(fd, from, n, at);
    if (is_cut())
        real(fd, from, n / 2, at);
    return nothing();
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    return pwrite64(fd, from, n, at);
}

static int flush(int fd, const char *name)
{
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    return fails(fd) ? nothing() : real(fd);
}

int fsync(int fd)
{
    return flush(fd, "fsync");
}

int fdatasync(int fd)
{
    return flush(fd, "fdatasync");
}

int ftruncate64(int fd, off64_t length)
{
    int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    return fails(fd) ? nothing() : real(fd, length);
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

int fallocate64(int fd, int mode, off64_t at, off64_t length)
{
    int (*real)(int, int, off64_t, off64_t) = dlsym(RTLD_NEXT, "fallocate64");
    return fails(fd) ? nothing() : real(fd, mode, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length)
{
    return fallocate64(fd, mode, at, length);
}

/* This one returns the error. */
int posix_fallocate64(int fd, off64_t at, off64_t length)
{
    int (*real)(int, off64_t, off64_t) = dlsym(RTLD_NEXT, "posix_fallocate64");
    if (!fails(fd))
        return real(fd, at, length);
    nothing();
    return ENOSPC;
}

int posix_fallocate(int fd, off_t at, off_t length)
{
    return posix_fallocate64(fd, at, length);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
    int (*real)(int, const char *, int, const char *, unsigned int) = dlsym(RTLD_NEXT, "renameat2");
    return fails_in(to_fd, to) ? nothing() : real(from_fd, from, to_fd, to, flags);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat2(from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    return fails_in(to_fd, to) ? nothing() : real(from_fd, from, to_fd, to, flags);
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
    int (*real)(int, const char *, mode_t) = dlsym(RTLD_NEXT, "mkdirat");
    return fails_in(fd, path) ? nothing() : real(fd, path, mode);
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* Opening fails where it would make a file. */
static int open_in(int fd, const char *path, int flags, mode_t mode)
{
    int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat64");
    int makes = (flags & O_CREAT) && faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    return makes && fails_in(fd, path) ? nothing() : real(fd, path, flags, mode);
}

/* The mode is given only where a file may be made. */
#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, last); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int openat64(int fd, const char *path, int flags, ...)
{
    MODE(flags)
    return open_in(fd, path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
    MODE(flags)
    return open_in(fd, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags)
    return open_in(AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    MODE(flags)
    return open_in(AT_FDCWD, path, flags, mode);
}
