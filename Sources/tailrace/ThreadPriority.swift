/// Takes the place of the C library's `setpriority` in this program, for one caller: Swift's run-time library (libdispatch) wants
/// another priority for one of its own threads at every start, nice -4, which takes a right that a service does not have, and
/// complains on standard error that it may not. No thread of ours needs any: all keep the process's.
///
/// Not in a library's module: there it would be every program's.
@_cdecl("setpriority")
package func keepThreadPriority(_ which: CInt, _ who: CUnsignedInt, _ priority: CInt) -> CInt { 0 }
