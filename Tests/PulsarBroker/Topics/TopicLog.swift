import Glibc
internal import NIOCore
internal import Pulsar

/// The entries of one topic in a file, appended; what was written survives the end of the process, not of the machine.
///
/// An entry: the length of the rest and its CRC-32C, each four bytes, big-endian; then the length of the message
/// metadata, the metadata, and the payload, as they stood in the SEND behind its checksum. A torn entry at the end, which a
/// kill in the middle of a write leaves, is cut off when the file is opened.
final class TopicLog: TopicEntries {
    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ what: String, _ path: String) { description = "\(what) \(path): \(String(cString: strerror(errno)))" }
    }

    private struct Place {
        /// Of the entry's rest.
        var offset: Int
        var length: Int
    }

    private let path: String
    private let descriptor: Int32
    private var places: [Place] = []
    private var end = 0

    /// - Parameters:
    ///   - isWritable: false to look at a file that a broker may be writing.
    ///   - found: called with each entry that is there.
    init(path: String, isWritable: Bool = true, found: (FramePayload) -> Void) throws {
        self.path = path
        descriptor = open(path, isWritable ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Failure("opening", path) }
        while let payload = try read(at: end) {
            places.append(Place(offset: end + 8, length: payload.length))
            end += 8 + payload.length
            found(payload.entry)
        }
        if isWritable, ftruncate(descriptor, end) != 0 { throw Failure("cutting", path) }
    }

    deinit { close(descriptor) }

    var count: Int { places.count }

    /// Returns the number of the entry, when the file has it.
    func append(_ entry: FramePayload) throws -> Int {
        var head = ByteBuffer()
        let metadataLength = UInt32(entry.encodedMetadata.readableBytes)
        let length = 4 + entry.encodedMetadata.readableBytes + entry.payload.readableBytes
        var checksum = CRC32C()
        checksum.update(metadataLength)
        checksum.update(entry.encodedMetadata)
        checksum.update(entry.payload)
        head.writeInteger(UInt32(length))
        head.writeInteger(checksum.value)
        head.writeInteger(metadataLength)
        head.writeImmutableBuffer(entry.encodedMetadata)
        var offset = end
        for part in [head, entry.payload] {
            try part.withUnsafeReadableBytes { try write($0, at: offset) }
            offset += part.readableBytes
        }
        places.append(Place(offset: end + 8, length: length))
        end = offset
        return places.count - 1
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let slice = UnsafeRawBufferPointer(rebasing: rest)
            let count = pwrite(descriptor, slice.baseAddress, slice.count, off_t(offset + rest.startIndex))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure("writing", path) }
            rest = rest.dropFirst(count)
        }
    }

    func entry(_ index: Int) throws -> FramePayload {
        guard let payload = try read(at: places[index].offset - 8) else { throw Failure("reading", path) }
        return payload.entry
    }

    /// Nil: no whole entry stands there.
    private func read(at offset: Int) throws -> (entry: FramePayload, length: Int)? {
        guard var head = try bytes(at: offset, count: 8), let length: UInt32 = head.readInteger(),
            let checksum: UInt32 = head.readInteger(), var rest = try bytes(at: offset + 8, count: Int(length))
        else { return nil }
        var computed = CRC32C()
        computed.update(rest)
        guard computed.value == checksum, let metadataLength: UInt32 = rest.readInteger(),
            let metadata = rest.readSlice(length: Int(metadataLength))
        else { return nil }
        return (FramePayload(encodedMetadata: metadata, payload: rest), Int(length))
    }

    /// Nil: the file ends before.
    private func bytes(at offset: Int, count: Int) throws -> ByteBuffer? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure("looking at", path) }
        guard offset + count <= status.st_size else { return nil }
        var buffer = ByteBuffer()
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            var done = 0
            while done < count {
                let more = pread(
                    descriptor, bytes.baseAddress.map { $0 + done }, count - done, off_t(offset + done))
                if more < 0 && errno == EINTR { continue }
                guard more > 0 else { throw Failure("reading", path) }
                done += more
            }
            return count
        }
        return buffer
    }
}
