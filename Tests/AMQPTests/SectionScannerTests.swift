import NIOCore
import TestSupport
import Testing

@testable import AMQP

@Suite struct SectionScannerTests {
    /// What the thorough walk finds, or nil when it refuses the message.
    private func walk(_ bytes: [UInt8]) -> [MessageSection]? {
        var sections = MessageSections(ByteBuffer(bytes: bytes))
        var found: [MessageSection] = []
        do {
            while let section = try sections.next() { found.append(section) }
            return found
        } catch {
            return nil
        }
    }

    private func scan(_ bytes: [UInt8]) -> [(MessageSection.Kind, Range<Int>, Range<Int>)]? {
        bytes.withUnsafeBytes { bytes in
            var scanner = SectionScanner(bytes)
            var found: [(MessageSection.Kind, Range<Int>, Range<Int>)] = []
            while true {
                switch scanner.next() {
                case .section(let kind, let value, let content): found.append((kind, value, content))
                case .end: return found
                case .unusual: return nil
                }
            }
        }
    }

    private var message: [UInt8] {
        var bytes: [UInt8] = [0x00, 0x53, 0x72, 0xC1, 0x08, 0x02, 0xA3, 0x01, 0x6B, 0xA1, 0x02, 0x76, 0x76]
        bytes += [0x00, 0x53, 0x74, 0xD1, 0, 0, 0, 8, 0, 0, 0, 2, 0xA1, 0x01, 0x61, 0x41]
        bytes += [0x00, 0x53, 0x75, 0xA0, 0x03, 1, 2, 3]
        bytes += [0x00, 0x53, 0x75, 0xB0, 0, 0, 1, 0] + [UInt8](repeating: 7, count: 256)
        return bytes
    }

    @Test func findsWhatTheThoroughWalkFinds() throws {
        let quick = try #require(scan(message))
        let thorough = try #require(walk(message))
        #expect(quick.map(\.0) == [.messageAnnotations, .applicationProperties, .data, .data])
        #expect(quick.map(\.0) == thorough.map(\.kind))
        #expect(quick.map(\.1) == thorough.map(\.value))
        #expect(quick[2].2 == thorough[2].content)
        #expect(quick[3].2 == thorough[3].content)
    }

    @Test func leavesUnusualFormsToTheThoroughWalk() {
        // The descriptor as an eight-byte ulong: right, but not what encoders write.
        let wide: [UInt8] = [0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x75, 0xA0, 0x01, 9]
        #expect(scan(wide) == nil)
        #expect(walk(wide)?.map(\.kind) == [.data])
    }

    @Test func agreesWithTheThoroughWalkOnMutatedMessages() {
        for seed in [1, 2, 3, SeededGenerator.fresh("section scanner").seed] {
            var random = SeededGenerator(seed: seed)
            for _ in 0..<3_000 {
                let bytes = random.mutate(message)
                guard let quick = scan(bytes), let thorough = walk(bytes) else { continue }
                #expect(quick.map(\.1) == thorough.map(\.value), "seed \(seed): \(bytes)")
            }
        }
    }
}
