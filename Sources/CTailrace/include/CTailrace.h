// What Swift's Glibc module leaves out: one header per noun.
#ifndef TAILRACE_CTAILRACE_H
#define TAILRACE_CTAILRACE_H

#include "bytes.h"
#include "cache.h"
#include "children.h"
#include "crc32c.h"
#include "datagrams.h"
#include "files.h"
#include "memory.h"
#include "patterns.h"
#include "threads.h"

#endif
