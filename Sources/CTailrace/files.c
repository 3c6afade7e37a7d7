#define _GNU_SOURCE
#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int tailrace_fallocate(int descriptor, int64_t offset, int64_t length) {
    return fallocate(descriptor, 0, offset, length);
}

static int64_t nanoseconds(struct statx_timestamp time) {
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int query(int descriptor, const char *path, int flags, struct tailrace_file_status *status) {
    struct statx result;
    if (statx(descriptor, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &result) != 0) return -1;
    status->device = makedev(result.stx_dev_major, result.stx_dev_minor);
    status->inode = result.stx_ino;
    status->size = result.stx_size;
    status->birth = result.stx_mask & STATX_BTIME ? nanoseconds(result.stx_btime) : 0;
    status->modified = nanoseconds(result.stx_mtime);
    status->mode = result.stx_mode;
    status->links = result.stx_nlink;
    return 0;
}

int tailrace_status(const char *path, int follow, struct tailrace_file_status *status) {
    return query(AT_FDCWD, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, status);
}

int tailrace_descriptor_status(int descriptor, struct tailrace_file_status *status) {
    return query(descriptor, "", AT_EMPTY_PATH, status);
}
