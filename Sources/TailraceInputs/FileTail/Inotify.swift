import Glibc

/// An inotify instance: watches in, events out. Not blocking.
final class Inotify {
    struct Event {
        var watch: Int32
        var mask: UInt32
        /// Ties the two halves of a rename together; 0 = none.
        var cookie: UInt32
        /// Empty when the watched thing itself is meant.
        var name: String

        func has(_ flag: Int32) -> Bool { mask & UInt32(bitPattern: flag) != 0 }
        var isOverflow: Bool { has(IN_Q_OVERFLOW) }
        var isDirectory: Bool { mask & 0x4000_0000 != 0 }
    }

    let descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer
    /// The last read has taken all that there was: there was room for one more, whatever its name.
    private(set) var wasEmptied = true
    /// Bytes.
    private static let largestEvent = MemoryLayout<inotify_event>.size + Int(NAME_MAX) + 1

    /// Nil with errno set (EMFILE: `fs.inotify.max_user_instances`).
    init?() {
        let descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
        buffer = .allocate(byteCount: 65_536, alignment: 8)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    static let directoryMask = UInt32(
        IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
            | IN_ONLYDIR)
    /// For a directory in which only a directory's appearance matters.
    static let ancestorMask = UInt32(
        IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
    /// For the target of a link.
    static let targetMask = UInt32(IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

    /// The watch's number, or -1 with errno set (ENOSPC: `fs.inotify.max_user_watches`).
    func add(_ path: String, mask: UInt32) -> Int32 { path.withSystemPath { inotify_add_watch(descriptor, $0, mask) } }

    func remove(_ watch: Int32) { _ = inotify_rm_watch(descriptor, watch) }

    /// Calls `body` for each event of one read; false when there was none.
    func read(_ body: (Event) -> Void) -> Bool {
        let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        wasEmptied = count <= buffer.count - Self.largestEvent
        guard count > 0 else { return false }
        let header = MemoryLayout<inotify_event>.size
        var index = 0
        while index + header <= count {
            let event = buffer.loadUnaligned(fromByteOffset: index, as: inotify_event.self)
            let end = min(index + header + Int(event.len), count)
            let name = buffer[(index + header)..<end].prefix { $0 != 0 }
            body(
                Event(
                    watch: event.wd, mask: event.mask, cookie: event.cookie, name: FileName.text(name)))
            index = end
        }
        return true
    }
}
