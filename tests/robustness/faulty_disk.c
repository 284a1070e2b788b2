/* Preloaded into a process, makes one of its writes to a folder fail, or signals it there.
 *
 * FRANK_FAULT_FOLDER  only files below it count
 * FRANK_FAULT_AT      which call fails, counted from 1; 0: none
 * FRANK_FAULT_ERRNO   with what; below 0: the call succeeds, and the process sends itself the signal of
 *                     that number just before it
 * FRANK_FAULT_LOG     where to write, at the end, how many calls there were, whether that one
 *                     was reached, and on which file; "link:" stands before one that was to be linked
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int calls, failed;
static char where[PATH_MAX + 32];

static int below(const char *path) {
    const char *folder = getenv("FRANK_FAULT_FOLDER");
    if (!folder || !path || strncmp(path, folder, strlen(folder)) != 0) return 0;
    if (!failed) snprintf(where, sizeof where, "%s", path + strlen(folder));
    return 1;
}

static int file_below(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Whether this call is the one that fails. */
static int fails(void) {
    const char *at = getenv("FRANK_FAULT_AT"), *number = getenv("FRANK_FAULT_ERRNO");
    if (__sync_add_and_fetch(&calls, 1) != (at ? atoi(at) : 0)) return 0;
    failed = 1;
    errno = number ? atoi(number) : EIO;
    if (errno >= 0) return 1;
    kill(getpid(), -errno);
    return 0;
}

__attribute__((destructor)) static void tell(void) {
    const char *log = getenv("FRANK_FAULT_LOG");
    if (!log) return;
    FILE *file = fopen(log, "a");
    if (!file) return;
    fprintf(file, "%d %d %s\n", calls, failed, failed ? where : "-");
    fclose(file);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* `frank` ends with this call, which runs no destructors. */
void _exit(int status) {
    tell();
    NEXT(_exit)(status);
    __builtin_unreachable();
}

ssize_t write(int descriptor, const void *content, size_t size) {
    if (file_below(descriptor) && fails()) return -1;
    return NEXT(write)(descriptor, content, size);
}

ssize_t pwrite(int descriptor, const void *content, size_t size, off_t offset) {
    if (file_below(descriptor) && fails()) return -1;
    return NEXT(pwrite)(descriptor, content, size, offset);
}

ssize_t pwrite64(int descriptor, const void *content, size_t size, off64_t offset) {
    if (file_below(descriptor) && fails()) return -1;
    return NEXT(pwrite64)(descriptor, content, size, offset);
}

int fsync(int descriptor) {
    if (file_below(descriptor) && fails()) return -1;
    return NEXT(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    if (file_below(descriptor) && fails()) return -1;
    return NEXT(fdatasync)(descriptor);
}

int rename(const char *from, const char *to) {
    if (below(to) && fails()) return -1;
    return NEXT(rename)(from, to);
}

int link(const char *from, const char *to) {
    if (below(to)) {
        if (!failed) {
            memmove(where + 5, where, strlen(where) + 1);
            memcpy(where, "link:", 5);
        }
        if (fails()) return -1;
    }
    return NEXT(link)(from, to);
}
