import Glibc
import TailraceSpool
import TestSupport

/// A disk in memory behind a page cache: what is not synced survives a kill and may not survive a power cut, where it is
/// lost, torn or arrives in another order. Everything that happens is decided by the seed.
///
/// Used on one thread: hence `@unchecked Sendable`.
package final class SimulatedDisk: Disk, @unchecked Sendable {
    private enum Node {
        case file(SimulatedFile)
        case directory
    }

    /// A change of a directory that is not on the platters yet.
    private enum Change {
        case add(String, Node)
        case remove(String)
        case rename(String, String)

        var directories: [String] {
            switch self {
            case .add(let path, _), .remove(let path): [SimulatedDisk.parent(path)]
            case .rename(let path, let other): [SimulatedDisk.parent(path), SimulatedDisk.parent(other)]
            }
        }
    }

    private struct Handle {
        let path: String
        let node: Node
    }

    private var entries: [String: Node] = ["/": .directory]
    private var durableEntries: [String: Node] = ["/": .directory]
    private var changes: [Change] = []
    private var handles: [CInt: Handle] = [:]
    private var lastHandle: CInt = 2
    private var random: SeededGenerator
    /// The number of the call that is being made.
    private var present = 0

    package var trouble = DiskTrouble()
    /// Calls so far, and bytes read.
    package private(set) var calls = 0
    package private(set) var bytesRead = 0
    /// Calls that failed because of `trouble`, but those that were only interrupted.
    package private(set) var failures = 0
    /// Told of every call before it is made. May let others run, and may take the machine away.
    package var onCall: ((SpoolFileOperation, String) -> Void)?
    /// Told what was made of every call.
    package var onResult: ((SpoolFileOperation, String, Int) -> Void)?
    /// The process that made the calls is no more: nothing has an effect until `restart`.
    package var isDead = false

    package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private static func parent(_ path: String) -> String {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        return parent.isEmpty ? "/" : parent
    }

    /// The way of a path without "..".
    private static func resolved(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    private func call(
        _ operation: SpoolFileOperation, _ path: String, failing: () -> Void = {}, _ body: () -> Int
    ) -> Int {
        calls += 1
        let number = calls
        onCall?(operation, path)
        guard !isDead else { return -Int(EIO) }
        present = number
        let result: Int
        if let code = trouble.failure(operation, number: number, &random) {
            if code != EINTR {
                failures += 1
                failing()
            }
            result = -Int(code)
        } else {
            result = body()
        }
        onResult?(operation, path, result)
        return result
    }

    private func file(_ handle: CInt) -> (path: String, file: SimulatedFile)? {
        guard let handle = handles[handle], case .file(let file) = handle.node else { return nil }
        return (handle.path, file)
    }

    // MARK: - Files

    package func open(_ path: String, _ flags: CInt) -> Int {
        let path = Self.resolved(path)
        return call(flags & O_CREAT == 0 ? .open : .create, path) {
            var node = entries[path]
            if node != nil, flags & O_EXCL != 0 { return -Int(EEXIST) }
            if node == nil {
                guard flags & O_CREAT != 0, entries[Self.parent(path)] != nil else { return -Int(ENOENT) }
                let new = Node.file(SimulatedFile())
                change(.add(path, new))
                node = new
            }
            guard let node else { return -Int(ENOENT) }
            lastHandle += 1
            handles[lastHandle] = Handle(path: path, node: node)
            return Int(lastHandle)
        }
    }

    package func close(_ file: CInt) {
        if let (_, closed) = self.file(file), closed.isLocked, handles[file]?.path.hasSuffix("lock") == true {
            closed.isLocked = false
        }
        handles[file] = nil
    }

    package func size(_ file: CInt) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        return call(.open, path) { file.bytes.count }
    }

    package func read(_ file: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        return call(.read, path) {
            let count = trouble.share(of: bytes.count, .read, number: present, &random)
            let done = file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), at: offset)
            bytesRead += done
            return done
        }
    }

    package func write(_ file: CInt, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        let total = vectors.reduce(0) { $0 + $1.iov_len }
        // A call that fails may have written some of it all the same.
        return call(.write, path, failing: { put(vectors, Int.random(in: 0...total, using: &random), file, offset) }) {
            let count = trouble.share(of: total, .write, number: present, &random)
            put(vectors, count, file, offset)
            return count
        }
    }

    private func put(_ vectors: UnsafeBufferPointer<iovec>, _ count: Int, _ file: SimulatedFile, _ offset: Int) {
        var done = 0
        for vector in vectors where done < count {
            let part = UnsafeRawBufferPointer(start: vector.iov_base, count: min(vector.iov_len, count - done))
            file.write(part, at: offset + done)
            done += part.count
        }
    }

    // What is not synced is on the platters or not, as the seed wills, whether somebody asked for it or not.
    package func startWriting(_ file: CInt, at offset: Int, count: Int) {}

    package func syncData(_ file: CInt) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        let sectors = file.dirtySectors()
        // After a failed sync the kernel counts the pages as clean, and the next sync succeeds without them.
        return call(.sync, path, failing: { file.forget(sectors) }) {
            file.settle(sectors)
            return 0
        }
    }

    package func truncate(_ file: CInt, to size: Int) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        return call(.truncate, path) {
            file.resize(to: size)
            return 0
        }
    }

    package func preallocate(_ file: CInt, _ size: Int) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        return call(.preallocate, path) {
            if file.bytes.count < size { file.resize(to: size) }
            return 0
        }
    }

    package func lock(_ file: CInt) -> Int {
        guard let (path, file) = self.file(file) else { return -Int(EBADF) }
        return call(.lock, path) {
            if file.isLocked { return -Int(EWOULDBLOCK) }
            file.isLocked = true
            return 0
        }
    }

    package func unlock(_ file: CInt) { self.file(file)?.file.isLocked = false }

    // MARK: - Directories

    package func sync(_ file: CInt) -> Int {
        guard let directory = handles[file]?.path else { return -Int(EBADF) }
        let count = changes.count
        return call(.syncDirectory, directory) {
            var left: [Change] = []
            for (index, change) in changes.enumerated() {
                if index < count, change.directories.contains(directory) {
                    Self.apply(change, to: &durableEntries)
                } else {
                    left.append(change)
                }
            }
            changes = left
            return 0
        }
    }

    package func link(_ path: String, as other: String) -> Int {
        let (path, other) = (Self.resolved(path), Self.resolved(other))
        return call(.link, other) {
            guard let node = entries[path] else { return -Int(ENOENT) }
            guard entries[other] == nil else { return -Int(EEXIST) }
            change(.add(other, node))
            return 0
        }
    }

    package func unlink(_ path: String) -> Int {
        let path = Self.resolved(path)
        return call(.unlink, path) {
            guard entries[path] != nil else { return -Int(ENOENT) }
            change(.remove(path))
            return 0
        }
    }

    package func rename(_ path: String, to other: String) -> Int {
        let (path, other) = (Self.resolved(path), Self.resolved(other))
        return call(.rename, other) {
            guard entries[path] != nil else { return -Int(ENOENT) }
            change(.rename(path, other))
            return 0
        }
    }

    package func makeDirectory(_ path: String) -> Int {
        let path = Self.resolved(path)
        return call(.makeDirectory, path) {
            guard entries[path] == nil else { return -Int(EEXIST) }
            guard entries[Self.parent(path)] != nil else { return -Int(ENOENT) }
            change(.add(path, .directory))
            return 0
        }
    }

    /// There is enough; that there is none at times is among the troubles.
    package func space(_ path: String, into space: inout DiskSpace) -> Int {
        space = DiskSpace(total: 1 << 40, free: 1 << 39)
        return 0
    }

    package func list(_ path: String, into names: inout [String]) -> Int {
        let path = Self.resolved(path)
        var found: [String] = []
        let result = call(.list, path) {
            guard entries[path] != nil else { return -Int(ENOENT) }
            found = self.names(in: path)
            found.shuffle(using: &random)
            return 0
        }
        names += found
        return result
    }

    private func change(_ change: Change) {
        Self.apply(change, to: &entries)
        changes.append(change)
    }

    private static func apply(_ change: Change, to entries: inout [String: Node]) {
        switch change {
        case .add(let path, let node): entries[path] = node
        case .remove(let path): entries[path] = nil
        case .rename(let path, let other):
            guard let node = entries.removeValue(forKey: path) else { return }
            entries[other] = node
        }
    }

    // MARK: - What happens to the machine

    /// The processes end; the page cache stays.
    package func kill() {
        for handle in handles.values { if case .file(let file) = handle.node { file.isLocked = false } }
        handles = [:]
        isDead = true
    }

    /// The power goes: with it the processes, the page cache, and what of the directories was not synced.
    package func cutPower() {
        kill()
        if Bool.random(using: &random) {
            // A journal keeps the order.
            for change in changes.prefix(Int.random(in: 0...changes.count, using: &random)) {
                Self.apply(change, to: &durableEntries)
            }
        } else {
            for change in changes where Bool.random(using: &random) { Self.apply(change, to: &durableEntries) }
        }
        changes = []
        let lost = durableEntries.keys.filter { durableEntries[Self.parent($0)] == nil }
        for path in lost { durableEntries[path] = nil }
        entries = durableEntries
        let cut = SimulatedFile.PowerCut(
            arrival: [0, 10, 50, 90, 100].randomElement(using: &random) ?? 50,
            tear: [0, 0, 10, 50].randomElement(using: &random) ?? 0, block: Bool.random(using: &random) ? 1 : 8)
        var seen: [ObjectIdentifier] = []
        for path in entries.keys.sorted() {
            guard case .file(let file)? = entries[path], !seen.contains(ObjectIdentifier(file)) else { continue }
            seen.append(ObjectIdentifier(file))
            file.cutPower(cut, &random)
        }
    }

    /// The kernel writes some of what is dirty, unasked.
    package func writeBack() {
        for path in entries.keys.sorted() {
            if case .file(let file)? = entries[path] { file.writeBack(&random) }
        }
    }

    package func restart() { isDead = false }

    /// Bytes of a file that is there become others, on the disk itself: a sector went bad, or somebody wrote over it.
    package func spoil(_ path: String, at offset: Int, _ bytes: [UInt8]) {
        guard case .file(let file)? = entries[path] else { preconditionFailure("no file \(path)") }
        bytes.withUnsafeBytes { file.write($0, at: offset) }
        file.settle(file.dirtySectors())
    }

    // MARK: - Looking

    package func names(in directory: String) -> [String] {
        entries.keys.filter { $0 != "/" && Self.parent($0) == directory }.map {
            String($0.dropFirst(directory.count + 1))
        }
        .sorted()
    }

    /// Bytes of the file as programs see them.
    package func contents(_ path: String) -> [UInt8]? {
        guard case .file(let file)? = entries[path] else { return nil }
        return file.bytes
    }
}
