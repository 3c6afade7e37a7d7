// The system's zlib as Swift sees it.
#ifndef TAILRACE_CZLIB_SHIM_H
#define TAILRACE_CZLIB_SHIM_H

#include <zlib.h>

#endif
