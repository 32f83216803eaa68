/* A disk that fails: loaded before the C library, it lets the k-th write or flush of a file whose path holds FAULT_PATH
   come to nothing, and all later ones too if FAULT_KIND says so.

   FAULT_AT    k, from 1 on
   FAULT_MARK  a file that is made when it has come to that
   FAULT_KIND  cut:  half of a write is done, then the process ends as if the power had gone
               once: the k-th fails with "no space left on device"
               full: so do all after it */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long done;

/* Whether this operation on `fd` is to fail. */
static int fails(int fd)
{
    const char *part = getenv("FAULT_PATH"), *at = getenv("FAULT_AT"), *kind = getenv("FAULT_KIND");
    char link[64], path[4096];
    if (!part || !at || !kind)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    if (!strstr(path, part))
        return 0;
    long k = atol(at), now = atomic_fetch_add(&done, 1) + 1;
    if (now == k && getenv("FAULT_MARK"))
        close(open(getenv("FAULT_MARK"), O_CREAT | O_WRONLY, 0600));
    return strcmp(kind, "full") == 0 ? now >= k : now == k;
}

static int is_cut(void)
{
    return strcmp(getenv("FAULT_KIND"), "cut") == 0;
}

ssize_t write(int fd, const void *from, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    if (!fails(fd))
        return real(fd, from, n);
    if (is_cut()) {
        real(fd, from, n / 2);
        _exit(86);
    }
    errno = ENOSPC;
    return -1;
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "pwrite64");
    if (!fails(fd))
        return real(fd, from, n, at);
    if (is_cut()) {
        real(fd, from, n / 2, at);
        _exit(86);
    }
    errno = ENOSPC;
    return -1;
}

static int flush(int fd, const char *name)
{
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    if (!fails(fd))
        return real(fd);
    if (is_cut())
        _exit(86);
    errno = ENOSPC;
    return -1;
}

int fsync(int fd)
{
    return flush(fd, "fsync");
}

int fdatasync(int fd)
{
    return flush(fd, "fdatasync");
}
