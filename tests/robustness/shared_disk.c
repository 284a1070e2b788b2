/* Preloaded into a process, makes a folder behave like the worst of network file systems: no locks,
 * no memory shared between processes (which SQLite's write-ahead log needs), no hard links.
 *
 * FRANK_SHARED_FOLDER  the folder
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    const char *folder = getenv("FRANK_SHARED_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int file_below(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

int flock(int descriptor, int operation) {
    if (file_below(descriptor)) {
        errno = ENOLCK;
        return -1;
    }
    return NEXT(flock)(descriptor, operation);
}

void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
    if (descriptor >= 0 && (flags & MAP_SHARED) && file_below(descriptor)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return NEXT(mmap)(address, size, protection, flags, descriptor, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int descriptor, off64_t offset) {
    if (descriptor >= 0 && (flags & MAP_SHARED) && file_below(descriptor)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return NEXT(mmap64)(address, size, protection, flags, descriptor, offset);
}

int link(const char *from, const char *to) {
    if (below(to)) {
        errno = EPERM;
        return -1;
    }
    return NEXT(link)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    if (below(to)) {
        errno = EPERM;
        return -1;
    }
    return NEXT(linkat)(from_folder, from, to_folder, to, flags);
}
