import NIOCore
import TestSupport
import Testing

@testable import Pulsar

/// The frames of `Recorded/pulsar-frames.json`: what the official client 4.2.0 and a broker said to each other.
struct RecordedFrame: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]

    var testDescription: String { name }
    var buffer: ByteBuffer { ByteBuffer(bytes: bytes) }

    func decoded() throws(WireError) -> Frame? {
        var buffer = buffer
        var decoder = FrameDecoder()
        return try decoder.decode(buffer: &buffer)
    }

    /// The file has each key on a line of its own; a frame's name stands before its bytes.
    static let all: [RecordedFrame] = {
        var name = ""
        var frames: [RecordedFrame] = []
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        for line in ChildProcess.text("/\(folder)/Recorded/pulsar-frames.json").split(separator: "\n") {
            let parts = line.split(separator: "\"")
            guard parts.count >= 4 else { continue }
            if parts[1] == "name" { name = String(parts[3]) }
            if parts[1] == "hex" { frames.append(RecordedFrame(name: name, bytes: bytes(parts[3]))) }
        }
        return frames
    }()

    static func named(_ name: String) -> RecordedFrame? { all.first { $0.name == name } }

    private static func bytes(_ digits: Substring) -> [UInt8] {
        let values = digits.compactMap(\.hexDigitValue)
        return stride(from: 0, to: values.count - 1, by: 2).map { UInt8(values[$0] * 16 + values[$0 + 1]) }
    }
}
