// File system calls that Swift's Glibc module does not import.
#ifndef TAILRACE_FILES_H
#define TAILRACE_FILES_H

#include <stdint.h>

/// Takes the blocks of an empty file's first `length` bytes (fallocate with mode 0), so that writing them needs no room any
/// more. Returns 0, or -1 with errno set.
int tailrace_allocate(int descriptor, int64_t length);

/// Has the disk begin to write those bytes, without waiting for it (sync_file_range).
void tailrace_start_writing(int descriptor, int64_t offset, int64_t length);

/// `SEEK_DATA` of lseek: the next byte that is not in a hole.
enum { TAILRACE_SEEK_DATA = 3 };

/// What statx tells about a file.
struct tailrace_file_status {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    /// Nanoseconds since 1970; 0 when the file system keeps no birth time.
    int64_t birth;
    /// Nanoseconds since 1970.
    int64_t modified;
    /// Type and permissions (`st_mode`).
    uint32_t mode;
    uint32_t links;
};

/// The status of the file at `path`; of the link itself when `follow` is 0. Returns 0, or -1 with errno set.
int tailrace_status(const char *path, int follow, struct tailrace_file_status *status);

/// The status of an open file. Returns 0, or -1 with errno set.
int tailrace_descriptor_status(int descriptor, struct tailrace_file_status *status);

/// 1 when what lies there is on a file system whose content somebody else keeps: what is told of a file may be old, and
/// changes that others make come without an event.
int tailrace_is_remote(const char *path);
int tailrace_descriptor_is_remote(int descriptor);

#endif
