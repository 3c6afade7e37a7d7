"""A file system that shows a directory as a server does whose answers are old: stale_file_system.py DIRECTORY MOUNT.

The file `.answers` of the directory says of which files something else than the truth is told, a line for each:
`size NAME BYTES`, `nuls NAME OFFSET` (from there on, NULs are read), `short NAME BYTES` (no read gives more).
"""

import errno
import os
import sys

from fusepy import FUSE, FuseOSError, Operations

ROOT = sys.argv[1]


class StaleFiles(Operations):
    def __init__(self):
        self.use_ns = True

    def answers(self, path):
        try:
            with open(os.path.join(ROOT, ".answers")) as file:
                lines = [line.split() for line in file]
        except FileNotFoundError:
            return {}
        return {kind: int(number) for kind, name, number in lines if name == path[1:]}

    def getattr(self, path, fh=None):
        try:
            status = os.lstat(ROOT + path)
        except OSError as error:
            raise FuseOSError(error.errno)
        names = ("st_mode", "st_size", "st_ino", "st_nlink", "st_uid", "st_gid")
        attributes = {name: getattr(status, name) for name in names}
        attributes["st_mtime"] = status.st_mtime_ns
        attributes["st_size"] = self.answers(path).get("size", status.st_size)
        return attributes

    def readdir(self, path, fh):
        return [".", ".."] + os.listdir(ROOT + path)

    def open(self, path, flags):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise FuseOSError(errno.EROFS)
        return os.open(ROOT + path, os.O_RDONLY)

    def read(self, path, size, offset, fh):
        answers = self.answers(path)
        data = os.pread(fh, min(size, answers.get("short", size)), offset)
        if "size" in answers:
            data = data[: max(0, answers["size"] - offset)]
        if "nuls" in answers:
            true = max(0, answers["nuls"] - offset)
            data = data[:true] + bytes(len(data[true:]))
        return data

    def release(self, path, fh):
        os.close(fh)
        return 0


FUSE(StaleFiles(), sys.argv[2], foreground=True, nothreads=True, use_ino=True, direct_io=True, attr_timeout=0,
     entry_timeout=0)
