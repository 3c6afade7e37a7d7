#define _GNU_SOURCE
#include "files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

int tailrace_allocate(int descriptor, int64_t length) {
    // btrfs would write to other blocks, each time, and need room for them. Other file systems do not know the flag.
    int flags;
    if (ioctl(descriptor, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        ioctl(descriptor, FS_IOC_SETFLAGS, &flags);
    }
    return fallocate(descriptor, 0, 0, length);
}

void tailrace_start_writing(int descriptor, int64_t offset, int64_t length) {
    sync_file_range(descriptor, offset, length, SYNC_FILE_RANGE_WRITE);
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

static int is_remote(const struct statfs *status) {
    switch ((uint32_t)status->f_type) {
    case 0x00006969: // NFS
    case 0x0000517B: // SMB, in three versions
    case 0xFF534D42:
    case 0xFE534D42:
    case 0x65735546: // FUSE
    case 0x01021997: // 9P
    case 0x00C36400: // Ceph
    case 0x5346414F: // AFS
    case 0x73757245: // Coda
    case 0x0BD00BD0: // Lustre
    case 0x786F4256: // VirtualBox's shared folders
        return 1;
    default: return 0;
    }
}

int tailrace_is_remote(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && is_remote(&status);
}

int tailrace_descriptor_is_remote(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 && is_remote(&status);
}
