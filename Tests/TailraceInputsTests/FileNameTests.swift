import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Names of files are bytes: what is no UTF-8 has a text that leads back to it.
@Suite struct FileNameTests {
    private let directory = TemporaryDirectory()

    @Test func everyNameHasATextOfItsOwn() {
        func check(_ name: [UInt8], _ text: String) {
            #expect(FileName.text(name) == text)
            #expect(FileName.bytes(text) == name)
        }
        check(Array("plain.log".utf8), "plain.log")
        check(Array("größe\u{301}.log".utf8), "größe\u{301}.log")
        check([0x61, 0xFC, 0x62], "a\\xfcb")
        check([0xC3], "\\xc3")
        check([0xE2, 0x82, 0x2E, 0x6C], "\\xe2\\x82.l")
        check(Array("a\\b".utf8), "a\\b")
        check(Array("a\\x4".utf8), "a\\x4")
        check(Array("a\\x00".utf8), "a\\x00")
        check(Array("a\\x41".utf8), "a\\x5cx41")
        check(Array("\\\\xFF".utf8), "\\\\x5cxFF")
        #expect(FileName.canonical("/a\\x41\\xFC\\xc3\\xbc") == "/aA\\xfcü")
    }

    @Test func anyBytesComeBack() {
        for seed in [1, 2, SeededGenerator.fresh("file names").seed] as [UInt64] {
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<2000 {
                let name = (0..<Int.random(in: 0...12, using: &generator)).map { _ -> UInt8 in
                    let some: [UInt8] = [0x5C, 0x78, 0x35, 0x63, 0x41, 0xC3, 0xBC, 0xE2, 0x82, 0xAC, 0xF0]
                    let index = Int.random(in: 0...some.count, using: &generator)
                    return index < some.count ? some[index] : UInt8.random(in: 1...255, using: &generator)
                }
                let text = FileName.text(name)
                #expect(FileName.bytes(text) == name, "seed \(seed): \(name)")
                #expect(FileName.canonical(text) == text, "seed \(seed): \(name)")
            }
        }
    }

    /// The path as the system takes it.
    private func raw(_ name: [UInt8]) -> [CChar] {
        (Array((directory.path + "/").utf8) + name + [0]).map { CChar(bitPattern: $0) }
    }

    private func append(_ text: String, to name: [UInt8]) {
        let descriptor = open(raw(name), O_WRONLY | O_CREAT | O_APPEND, 0o644)
        defer { close(descriptor) }
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
    }

    @Test(arguments: [true, false]) func filesWhoseNamesAreNoUTF8AreFollowedAndResumed(usesInotify: Bool) throws {
        let sink = FakeSink()
        var limits = FileTailLimits.test
        limits.usesInotify = usesInotify
        // Two that were the same with their bytes replaced, in a directory that is none either.
        let folder: [UInt8] = [0xE4, 0x2E]
        mkdir(raw(folder), 0o755)
        let names = [[0xFC], [0xFD], Array("\\xfc".utf8)].map { folder + [0x2F] + $0 + Array(".log".utf8) }
        let texts = ["\\xfc", "\\xfd", "\\x5cxfc"].map { directory("\\xe4./\($0).log") }
        let inputs = [input(directory("?./?*.log"))]
        for (index, name) in names.enumerated() { append("one \(index)\n", to: name) }
        let running = try RunningTailer(inputs, sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 3 })
        for (index, name) in names.enumerated() { append("two \(index)\n", to: name) }
        #expect(sink.wait { $0.lineCount == 6 })
        // A rotation.
        rename(raw(names[0]), raw(names[0] + Array(".1".utf8)))
        append("three 0\n", to: names[0])
        #expect(sink.wait { $0.lineCount == 7 })
        running.stop()
        for (index, name) in names.enumerated() { append("four \(index)\n", to: name) }
        let again = try RunningTailer(inputs, sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 10 })
        #expect((again.tailer.explain(texts[1]) ?? nil)?.state.path == texts[1])
        #expect(
            again.tailer.setPosition(texts[1], to: .offset(6))
                == .success(PositionChange(path: texts[1], source: texts[1], from: 19, to: 6, isReadAgain: true)))
        #expect(sink.wait { $0.lineCount == 12 })
        again.stop()
        #expect(sink.texts(texts[0]) == ["one 0", "two 0", "three 0", "four 0"])
        #expect(sink.texts(texts[1]) == ["one 1", "two 1", "four 1", "two 1", "four 1"])
        #expect(sink.texts(texts[2]) == ["one 2", "two 2", "four 2"])
        #expect(sink.lines.count == 3)
        let stored = sink.positions.compactMap { StoredFilePosition(source: $0.key, value: $0.value) }
        #expect(Set(stored.map(\.source)) == Set(texts))
        #expect(stored.filter { $0.path == texts[1] }.map(\.size) == [19])
        #expect(PathFacts(path: texts[1]).kind == .file)
        #expect(GlobWalk(include: inputs[0].include, exclude: []).files == 3)
    }
}
